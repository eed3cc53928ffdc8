import type { Page } from "@playwright/test";
import { type Server, createServer, request as httpRequest } from "node:http";
import { type AddressInfo, type Socket, connect } from "node:net";
import { card, connection, expect, open, signIn, test, toast, waitForHydration } from "./shop";

test("the page shows that it is disconnected, and is current again after reconnecting", async ({
  page,
  shop,
  consoleErrors,
}) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await shop.kill();
  await expect(connection(page)).toHaveText("Reconnecting…");
  await shop.start();
  await (await shop.customer("alice")).reserve(drop);
  await expect(connection(page)).toHaveText("Connected");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  consoleErrors.length = 0; // the browser reports each failed attempt to reconnect
});

test("a page without a network shows Offline, and catches up when the network is back", async ({
  page,
  context,
  shop,
  consoleErrors,
}) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await context.setOffline(true);
  await expect(connection(page)).toHaveText("Offline");
  await (await shop.customer("bob")).reserve(drop);
  await context.setOffline(false);
  await expect(connection(page)).toHaveText("Connected");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  consoleErrors.length = 0; // the browser reports each attempt to connect while offline
});

test("a socket that goes silent without closing is replaced", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  let opened = 0;
  let silent = false;
  await page.clock.install();
  await page.routeWebSocket("**/ws", (socket) => {
    const isFirst = ++opened === 1;
    socket.connectToServer().onMessage((message) => {
      if (!(isFirst && silent)) socket.send(message);
    });
  });
  await open(page);
  silent = true;
  await (await shop.customer("alice")).reserve(drop);
  expect(opened).toBe(1);
  await page.clock.fastForward("00:30");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  await expect(connection(page)).toHaveText("Connected");
  expect(opened).toBe(2);
});

test("a click that cannot reach the server shows an error, and can be repeated", async ({
  page,
  context,
  shop,
  consoleErrors,
}) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "carol");
  await context.setOffline(true);
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(page.getByText("The shop could not be reached. Check the connection and try again.")).toBeVisible();
  await context.setOffline(false);
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeVisible();
  consoleErrors.length = 0; // the browser reports each attempt to connect while offline
});

test("a lost response does not reserve a second pair", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "dave");
  const volt = card(page, "Volt Runner");
  await page.route("**/rpc/reserve", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  }, { times: 1 });
  await volt.getByRole("button", { name: "Reserve" }).click();
  // The `reservation` event on the socket brings what the lost response contained.
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await expect(volt.getByText("9 of 10 left")).toBeVisible();
  consoleErrors.length = 0; // the browser reports the broken connection
});

test("navigation between pages keeps the socket open", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  const sockets: string[] = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await open(page);
  await card(page, "Volt Runner").getByRole("link", { name: "Volt Runner" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeVisible();
  await page.getByRole("link", { name: "Drops", exact: true }).click();
  await expect(page.getByRole("heading", { level: 2, name: "Live now" })).toBeVisible();
  await (await shop.customer("erin")).reserve(drop);
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  expect(sockets).toHaveLength(1);
});

test("what leads to another document while the network is away stays on the page, and says so", async ({
  page,
  context,
  shop,
  consoleErrors,
}) => {
  // So many that there are filters.
  await shop.createDrop({ name: "Volt Runner", sizes: ["US 8", "US 9"].map((label) => ({ label, stock: 5 })) });
  for (let number = 1; number <= 8; number++) await shop.createDrop({ name: `Court ${number}` });
  await open(page);
  await signIn(page, "alice");
  await card(page, "Court 1").getByRole("button", { name: "Reserve" }).click();
  const left = page.getByRole("region", { name: "Held for you" }).getByText(/^0:\d\d$/);
  await expect(left).toBeVisible();
  const ways = [
    page.getByRole("link", { name: "My purchases" }),
    page.getByRole("link", { name: "Past drops" }),
    page.getByRole("button", { name: "Filter" }),
  ];
  await context.setOffline(true);
  for (const way of ways) {
    await way.click();
    await expect(toast(page, "The shop could not be reached. Check the connection and try again.")).toBeVisible();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await expect(left).toBeVisible();
  }
  await expect(page).toHaveURL("/");
  await context.setOffline(false);
  await ways[0]!.click();
  await expect(page).toHaveURL("/purchases");
  consoleErrors.length = 0; // the browser reports each attempt to connect while offline
});

test("a link stays on the page when a proxy answers for a server that is gone", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Court 76" });
  await open(page);
  await page.route(/healthz|purchases/, (route) => route.fulfill({ status: 502, body: "Bad gateway" }));
  await page.getByRole("link", { name: "My purchases" }).click();
  await expect(toast(page, "The shop could not be reached.")).toBeVisible();
  await expect(card(page, "Court 76")).toBeVisible();
  consoleErrors.length = 0; // the browser reports the answer
});

/** What a proxy does with a socket; `undefined`: it lets it through. */
type Upgrade = ((socket: Socket) => void) | undefined;

const answer = (status: string) => (socket: Socket) => void socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
const REFUSALS: Record<string, Upgrade> = {
  "answers 400": answer("400 Bad Request"),
  "answers 502": answer("502 Bad Gateway"),
  "answers 200": answer("200 OK"),
  "cuts them off": (socket) => void socket.destroy(),
  "never answers": () => {},
};

/** In front of the shop, for the same address. */
class Proxy {
  upgrade: Upgrade = REFUSALS["answers 502"];
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(target: string): Promise<Proxy> {
    const { port, hostname } = new URL(target);
    const server = createServer((incoming, response) => {
      const { method, url: path, headers } = incoming;
      const outgoing = httpRequest({ hostname, port, method, path, headers }, (from) => {
        response.writeHead(from.statusCode!, from.headers);
        from.pipe(response);
      });
      outgoing.on("error", () => response.destroy());
      incoming.pipe(outgoing);
    });
    const proxy = new Proxy(server);
    server.on("connection", (socket) => proxy.sockets.add(socket));
    server.on("upgrade", (incoming, socket: Socket) => {
      socket.on("error", () => socket.destroy());
      if (proxy.upgrade) return proxy.upgrade(socket);
      const upstream = connect(Number(port), hostname, () => {
        const headers = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}`);
        upstream.write([`GET ${incoming.url} HTTP/1.1`, ...headers, "", ""].join("\r\n"));
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Ends every connection. */
  cut(): void {
    this.sockets.forEach((socket) => socket.destroy());
  }

  stop(): void {
    this.server.close();
    this.cut();
  }
}

/** Opens a page that gets no socket, and waits until it asks. */
async function openSlower(page: Page, address = "/"): Promise<void> {
  await page.goto(address);
  await waitForHydration(page);
  await expect(connection(page)).toHaveText("Connected, slower");
}

/** The statuses of the answers when the page asks. */
function answersOf(page: Page): number[] {
  const answers: number[] = [];
  page.on("response", (response) => void (response.url().endsWith("/snapshot") && answers.push(response.status())));
  return answers;
}

test.describe("where no socket can be opened", () => {
  for (const [name, upgrade] of Object.entries(REFUSALS)) {
    test(`because a proxy ${name}, the page asks for what has changed, and says so`, async ({
      page,
      shop,
      consoleErrors,
    }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
      const alice = await shop.customer("alice");
      const proxy = await Proxy.start(shop.url);
      proxy.upgrade = upgrade;
      const answers = answersOf(page);
      await openSlower(page, proxy.url);
      await alice.reserve(drop);
      await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible({ timeout: 5_000 });
      await alice.purchase(drop);
      await expect(card(page, "Volt Runner").getByText("alice")).toBeVisible({ timeout: 5_000 });
      await shop.createDrop({ name: "Court 76" });
      await expect(card(page, "Court 76")).toBeVisible({ timeout: 5_000 });
      // Nothing is sent when nothing has changed.
      await expect.poll(() => answers.at(-1)).toBe(304);
      await expect(connection(page)).toHaveText("Connected, slower");
      await page.close();
      proxy.stop();
      consoleErrors.length = 0; // the browser reports each socket that could not be opened
    });
  }

  for (const name of ["answers 502", "never answers"]) {
    test(`because a proxy ${name}, the page goes on trying, and stops asking when one is open`, async ({
      page,
      shop,
      consoleErrors,
    }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
      const proxy = await Proxy.start(shop.url);
      proxy.upgrade = REFUSALS[name];
      const answers = answersOf(page);
      await openSlower(page, proxy.url);
      proxy.upgrade = undefined;
      await expect(connection(page)).toHaveText("Connected", { timeout: 40_000 });
      answers.length = 0;
      for (let pairs = 9; pairs > 5; pairs--) {
        await (await shop.customer(`customer ${pairs}`)).reserve(drop);
        await expect(card(page, "Volt Runner").getByText(`${pairs} of 10 left`)).toBeVisible();
      }
      expect(answers).toEqual([]);
      // Until it is lost again.
      proxy.upgrade = REFUSALS[name];
      proxy.cut();
      await expect(connection(page)).toHaveText("Connected, slower");
      await page.close();
      proxy.stop();
      consoleErrors.length = 0; // the browser reports each socket that could not be opened
    });
  }

  test("the page shows what its visitor does in another tab", async ({ page, context, shop, consoleErrors }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const proxy = await Proxy.start(shop.url);
    const slower = await context.newPage();
    await openSlower(slower, proxy.url);
    await open(page);
    await signIn(page, "alice");
    await expect(slower.getByRole("banner").getByText("alice", { exact: true })).toBeVisible();
    const [there, here] = [card(page, "Volt Runner"), card(slower, "Volt Runner")];
    await there.getByRole("button", { name: "Reserve" }).click();
    await expect(here.getByRole("timer")).toHaveText(/^0:\d\d$/);
    await there.getByRole("button", { name: "Give it back" }).click();
    await expect(here.getByRole("timer")).toHaveCount(0);
    await there.getByRole("button", { name: "Reserve" }).click();
    await expect(here.getByRole("timer")).toHaveText(/^0:\d\d$/);
    await there.getByRole("button", { name: "Complete purchase" }).click();
    await expect(here.getByText(/^Yours\./)).toBeVisible();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(here.getByRole("button", { name: "Sign in to reserve" })).toBeVisible();
    await slower.close();
    proxy.stop();
    consoleErrors.length = 0; // the browser reports each socket that could not be opened
  });

  test.describe("with a reservation time of eight seconds", () => {
    test.use({ ttlSeconds: 8 });

    test("a held pair expires once", async ({ page, shop }) => {
      await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
      await page.routeWebSocket("/ws", (socket) => void socket.close());
      await openSlower(page);
      await signIn(page, "alice");
      const volt = card(page, "Volt Runner");
      await volt.getByRole("button", { name: "Reserve" }).click();
      await expect(volt.getByRole("timer")).toHaveText(/^0:0\d$/);
      await expect(volt.getByText("10 of 10 left")).toBeVisible({ timeout: 15_000 });
      await expect(toast(page, /Your 8 seconds are up/)).toHaveCount(1);
      await volt.getByRole("button", { name: "Reserve" }).click();
      await expect(volt.getByRole("timer")).toHaveText(/^0:0\d$/);
    });
  });

  test("an answer from before a click does not undo it", async ({ page, shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await page.routeWebSocket("/ws", (socket) => void socket.close());
    await openSlower(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    const [reserve, purchase] = ["Reserve", "Complete purchase"].map((name) => volt.getByRole("button", { name }));
    for (const [button, becomes] of [[reserve!, purchase!], [purchase!, volt.getByText(/^Yours\./)]] as const) {
      let deliver = () => {};
      const mayArrive = new Promise<void>((resolve) => (deliver = resolve));
      let isRead = () => {};
      const read = new Promise<void>((resolve) => (isRead = resolve));
      await page.route("/snapshot", async (route) => {
        // Whole, whatever the page knows.
        const response = await route.fetch({ headers: { ...route.request().headers(), "if-none-match": "" } });
        isRead();
        await mayArrive;
        await route.fulfill({ response });
      }, { times: 1 });
      await read;
      await button.click();
      await expect(becomes).toBeVisible();
      const arrived = page.waitForResponse("**/snapshot");
      deliver();
      await (await arrived).finished();
      // What an answer changes is on the page two frames later.
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      await expect(becomes).toBeVisible({ timeout: 1 });
    }
  });

  test("a tab that nobody looks at asks for nothing, and is current when it is looked at", async ({ page, shop }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await page.clock.install();
    await page.routeWebSocket("/ws", (socket) => void socket.close());
    const answers = answersOf(page);
    await openSlower(page);
    const show = (isHidden: boolean) =>
      page.evaluate((isHidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, value: isHidden });
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
      }, isHidden);
    await show(true);
    await expect.poll(() => answers.length).toBeGreaterThan(0);
    const before = answers.length;
    await page.clock.runFor(60_000);
    expect(answers.length).toBeLessThanOrEqual(before + 1);
    await (await shop.customer("bob")).reserve(drop);
    await show(false);
    await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible({ timeout: 1_500 });
    await expect(connection(page)).toHaveText("Connected, slower");
  });

  for (const [name, response] of Object.entries({
    "a proxy answers for a server that is gone": { status: 502, body: "Bad gateway" },
    "a proxy answers with a page of its own": {
      status: 200,
      headers: { etag: '"login"', "content-type": "text/html" },
      body: "<!doctype html>\n<title>Sign in to this network</title>",
    },
    "the network is gone": undefined,
  })) {
    test(`the page says that it is not connected when ${name}`, async ({ page, shop, consoleErrors }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
      await page.routeWebSocket("/ws", (socket) => void socket.close());
      await openSlower(page);
      await page.route("/snapshot", (route) => (response ? route.fulfill(response) : route.abort()));
      await expect(connection(page)).toHaveText("Reconnecting…");
      await (await shop.customer("bob")).reserve(drop);
      await page.unroute("/snapshot");
      await expect(connection(page)).toHaveText("Connected, slower");
      await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
      consoleErrors.length = 0; // the browser reports each answer
    });
  }

  test("a page that woke up without a network says so within two seconds, and catches up", async ({ page, shop }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await page.routeWebSocket("/ws", (socket) => void socket.close());
    await openSlower(page);
    let isSilent = true;
    await page.route("/snapshot", (route) => (isSilent ? undefined : route.continue()));
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
    await expect(connection(page)).toHaveText("Reconnecting…", { timeout: 2_500 });
    isSilent = false;
    await (await shop.customer("bob")).reserve(drop);
    await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible({ timeout: 20_000 });
    await expect(connection(page)).toHaveText("Connected, slower");
  });
});
