import type { Page } from "@playwright/test";
import { card, connection, expect, open, signIn, test, toast } from "./shop";

/** Signs in and reserves a pair of Volt Runner. */
async function hold(page: Page): Promise<void> {
  await open(page);
  await signIn(page, "alice");
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Volt Runner").getByRole("timer")).toBeVisible();
}

async function seconds(page: Page): Promise<number> {
  const [minutes, rest] = (await card(page, "Volt Runner").getByRole("timer").innerText()).split(":").map(Number);
  return minutes! * 60 + rest!;
}

/** Waits until two pages show the same countdown. */
async function expectSameCountdown(page: Page, other: Page, timeout: number): Promise<void> {
  const difference = async () => {
    const [here, there] = await Promise.all([seconds(page), seconds(other)]);
    return Math.abs(here - there);
  };
  await expect.poll(difference, { timeout }).toBeLessThanOrEqual(1);
}

for (const late of [5_000, 8_000]) {
  test(`a first snapshot that is ${late} ms late makes no countdown late, in a busy shop too`, async ({
    page,
    context,
    shop,
  }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const busy = await shop.createDrop({ name: "Halo Air", totalStock: 10 });
    await hold(page);
    const other = await context.newPage();
    await other.routeWebSocket("/ws", (socket) => {
      let isHeld = true;
      const held: (string | Buffer)[] = [];
      socket.connectToServer().onMessage((message) => {
        if (message.toString().includes('"heartbeat"')) return; // as a busy server sends none
        isHeld ? held.push(message) : socket.send(message);
      });
      setTimeout(() => {
        isHeld = false;
        held.forEach((message) => socket.send(message));
      }, late);
    });
    const buyer = await shop.customer("bob");
    await other.goto(`/drops/${drop}`);
    await expect(connection(other)).toHaveText("Connected");
    const isDone = expectSameCountdown(page, other, 10_000).then(() => true);
    for (let done = false; !done; done = await Promise.race([isDone, Promise.resolve(false)])) {
      await buyer.reserve(busy);
      await buyer.release(busy);
    }
  });
}

test("a page that woke up is right within two seconds", async ({ page, context, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await page.addInitScript(() => {
    const now = performance.now.bind(performance);
    let slept = 0;
    performance.now = () => now() - slept;
    Object.assign(globalThis, { sleep: (milliseconds: number) => (slept += milliseconds) });
  });
  await hold(page);
  const other = await context.newPage();
  await open(other);
  // Whether or not the browser tells the page that it woke up.
  for (const event of ["visibilitychange", "pageshow", "online", ""]) {
    await page.evaluate((event) => {
      (globalThis as unknown as { sleep: (milliseconds: number) => void }).sleep(5_000);
      if (event) (event === "visibilitychange" ? document : window).dispatchEvent(new Event(event, { bubbles: true }));
    }, event);
    await expectSameCountdown(page, other, 2_500);
  }
});

test("a page that woke up without a network says so within two seconds, and catches up", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  let isSilent = false;
  await page.routeWebSocket("/ws", (socket) => {
    const mine = isSilent;
    socket.connectToServer().onMessage((message) => {
      if (mine || !isSilent) socket.send(message);
    });
  });
  await open(page);
  isSilent = true;
  await (await shop.customer("bob")).reserve(drop);
  const seen = page.evaluate(
    () =>
      new Promise<string>((resolve) => {
        const status = document.querySelector(".connection")!;
        new MutationObserver(() => resolve(status.textContent!)).observe(status, { childList: true, subtree: true });
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
      }),
  );
  expect(await seen).toBe("Reconnecting…");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible({ timeout: 2_000 });
});

test("a page that gets no connection says so", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await page.routeWebSocket("/ws", () => {});
  await page.route("/snapshot", (route) => route.abort());
  await page.goto("/");
  await expect(connection(page)).toHaveText("Reconnecting…", { timeout: 5_000 });
  // It goes on asking.
  await page.close();
  consoleErrors.length = 0; // the browser reports each answer that did not come
});

test.describe("with a reservation time of nine seconds", () => {
  test.use({ ttlSeconds: 9 });

  test("what is announced about the time left is true", async ({ page, shop }) => {
    await shop.createDrop({
      name: "Volt Runner",
      sizes: [{ label: "US 8", stock: 3 }, { label: "US 9", stock: 3 }],
    });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    await volt.getByRole("radio", { name: /US 8/ }).check();
    await volt.getByRole("button", { name: "Reserve" }).click();
    await expect(toast(page, /^US 8 is reserved for 9 seconds\./)).toBeVisible();
    await expect(volt.getByRole("timer")).toHaveText("0:06");
    await page.reload();
    await expect(volt.getByText(/^[56] seconds left$/)).toBeAttached();
  });

  test("a reservation that exists already is named with its own size and time", async ({ page, context, shop }) => {
    await shop.createDrop({
      name: "Volt Runner",
      sizes: [{ label: "US 8", stock: 3 }, { label: "US 9", stock: 3 }],
    });
    await open(page);
    await signIn(page, "alice");
    const stale = await context.newPage();
    let isSilent = false;
    await stale.routeWebSocket("/ws", (socket) => {
      socket.connectToServer().onMessage((message) => {
        if (!isSilent || message.toString().includes('"heartbeat"')) socket.send(message);
      });
    });
    await open(stale);
    isSilent = true;
    await card(page, "Volt Runner").getByRole("radio", { name: /US 8/ }).check();
    await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, "Volt Runner").getByRole("timer")).toHaveText(/0:0[456]/);
    await card(stale, "Volt Runner").getByRole("radio", { name: /US 9/ }).check();
    await card(stale, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
    await expect(toast(stale, /^US 8 is reserved for [3456] seconds\./)).toBeVisible();
  });
});
