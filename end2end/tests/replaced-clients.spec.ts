// The clients of the two systems that this one replaces, as they are: socket.io-client from npm, their calls, their proxies.
import { type Server, createServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type Socket, io } from "socket.io-client";
import { expect, test } from "./shop";

interface Heard {
  event: string;
  fields: any;
}

/**
 * Connects as a client of either system does, and notes every event that says something new: counts are absolute, and one that
 * is said at the connect may be in the flush that is just under way as well.
 */
function listen(url: string, transports?: string[]): { socket: Socket; heard: Heard[] } {
  const socket = io(url, { ...(transports && { transports }), forceNew: true });
  const heard: Heard[] = [];
  const latest = new Map<string, string>();
  socket.on("disconnect", () => latest.clear());
  socket.onAny((event: string, fields: any) => {
    const [what, said] = [`${event} ${fields.dropId}`, JSON.stringify(fields)];
    if (latest.get(what) !== said) heard.push({ event, fields });
    latest.set(what, said);
  });
  return { socket, heard };
}

const of = (heard: Heard[], event: string) => heard.filter((one) => one.event === event).map((one) => one.fields);

test.describe("Socket.IO", () => {
  const sockets: Socket[] = [];
  const client = (...options: Parameters<typeof listen>) => {
    const listening = listen(...options);
    sockets.push(listening.socket);
    return listening;
  };
  test.afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));

  for (const [name, transports, ends] of [
    ["its defaults", undefined, "websocket"],
    ["polling only", ["polling"], "polling"],
    ["WebSocket only", ["websocket"], "websocket"],
  ] as const) {
    test(`with ${name}, a client hears of stock and purchases as both systems say it`, async ({ shop }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
      await shop.createDrop({ name: "Halo Air", startsAt: "2100-01-01T00:00:00Z" });
      // So that nothing of their creation is under way.
      await shop.configure({});
      const bob = await shop.customer("bob");
      const { socket, heard } = client(shop.url, transports && [...transports]);
      await expect.poll(() => heard).toEqual([
        { event: "stockUpdated", fields: { dropId: drop, newStock: 5 } },
        { event: "stock_update", fields: { dropId: drop, available_stock: 5 } },
      ]);
      expect(socket.connected).toBe(true);
      await expect.poll(() => socket.io.engine.transport.name).toBe(ends);

      heard.length = 0;
      await bob.reserve(drop);
      await expect.poll(() => heard).toEqual([
        { event: "stockUpdated", fields: { dropId: drop, newStock: 4 } },
        { event: "stock_update", fields: { dropId: drop, available_stock: 4 } },
      ]);
      const { purchase, purchaser } = (await bob.purchase(drop)) as any;
      await expect
        .poll(() => of(heard, "purchaseCompleted"))
        .toEqual([{ dropId: drop, newStock: 4, purchaser: { id: purchaser.id, username: "bob" } }]);
      await expect
        .poll(() => of(heard, "purchase_complete"))
        .toEqual([{ dropId: drop, userId: purchaser.id, purchaseId: purchase.id }]);

      heard.length = 0;
      await bob.reserve(drop);
      await bob.release(drop);
      await expect
        .poll(() => of(heard, "stock_update").at(-1))
        .toEqual({ dropId: drop, available_stock: 4, reason: "released" });
    });
  }

  test.describe("with a reservation time of one second", () => {
    test.use({ ttlSeconds: 1 });
    test("a client hears that a reservation expired", async ({ shop }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
      const { heard } = client(shop.url);
      await expect.poll(() => of(heard, "stockUpdated").length).toBeGreaterThan(0);
      await (await shop.customer("bob")).reserve(drop);
      await expect
        .poll(() => of(heard, "stock_update").at(-1))
        .toEqual({ dropId: drop, available_stock: 5, reason: "reservation_expired" });
    });
  });

  test("a client is told every count again after a crash, and when an operator edits a drop", async ({ shop }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    const { socket, heard } = client(shop.url);
    await expect.poll(() => of(heard, "stockUpdated")).toContainEqual({ dropId: drop, newStock: 5 });
    await shop.kill();
    await expect.poll(() => socket.connected).toBe(false);
    heard.length = 0;
    await shop.start();
    await expect.poll(() => of(heard, "stockUpdated")).toEqual([{ dropId: drop, newStock: 5 }]);
    heard.length = 0;
    await shop.sql(`update drops set name = 'Volt' where id = ${drop}`);
    await expect
      .poll(() => of(heard, "stock_update"))
      .toEqual([{ dropId: drop, available_stock: 5, reason: "edited" }]);
  });

  test("another namespace is refused, and what a client sends does no harm", async ({ shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    const { socket, heard } = client(shop.url);
    const other = io(`${shop.url}/admin`, { forceNew: true });
    sockets.push(other);
    const refusals: string[] = [];
    other.on("connect_error", (error) => refusals.push(error.message));
    await expect.poll(() => refusals).toEqual(["There is only the namespace /."]);
    await expect.poll(() => of(heard, "stockUpdated").length).toBeGreaterThan(0);
    socket.emit("join", { room: "drops" });
    socket.emit("file", Buffer.from([1, 2, 3]));
    const bob = await shop.customer("bob");
    await bob.reserve(1);
    await expect.poll(() => of(heard, "stockUpdated").at(-1)).toEqual({ dropId: 1, newStock: 4 });
    expect(socket.connected).toBe(true);
  });

  test("an orderly stop closes every connection, and clients come back by themselves", async ({ shop }) => {
    await shop.createDrop({ name: "Volt Runner" });
    const all = [client(shop.url), client(shop.url, ["polling"]), client(shop.url, ["websocket"])];
    const ended: string[] = [];
    for (const { socket, heard } of all) {
      socket.on("disconnect", (reason) => ended.push(reason));
      await expect.poll(() => of(heard, "stockUpdated").length).toBeGreaterThan(0);
    }
    const stopped = Date.now();
    expect(await shop.stop()).toBe(0);
    expect(Date.now() - stopped).toBeLessThan(3_000);
    await expect.poll(() => ended.length).toBe(3);
    // These are the ones after which a client connects anew; after "io server disconnect" it does not.
    for (const reason of ended) expect(["transport close", "transport error"]).toContain(reason);
    await shop.start();
    for (const { socket } of all) await expect.poll(() => socket.connected).toBe(true);
  });

  test("a client that takes nothing for long gets every count at its next poll, and the others hear everything", async ({
    shop,
  }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    const session = await (await fetch(`${shop.url}/socket.io/?EIO=4&transport=polling`)).text();
    const { sid } = JSON.parse(session.slice(1)) as { sid: string };
    const address = `${shop.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    const poll = () => fetch(address);
    const say = (packet: string) => fetch(address, { method: "POST", body: packet });
    await say("40");
    expect(await (await poll()).text()).toContain("stockUpdated");
    const { heard } = client(shop.url);
    await expect.poll(() => of(heard, "stockUpdated").length).toBeGreaterThan(0);
    // Together more than may wait for a client: 256 events.
    for (const name of ["Court", "Ridge"]) {
      await shop.sql(`insert into drops (name, price_cents, starts_at)
                      select '${name} ' || n, 100, now() from generate_series(1, 2100) n;
                      insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                      select id, 'One size', 1, 1, 1 from drops where name like '${name}%'`);
      const last = { dropId: drop + (name === "Court" ? 2_100 : 4_200), newStock: 1 };
      await expect.poll(() => of(heard, "stockUpdated"), { timeout: 30_000 }).toContainEqual(last);
    }
    const late = await (await poll()).text();
    const counts = late.split("\u001e").filter((packet) => packet.startsWith('42["stockUpdated"'));
    expect(counts).toHaveLength(4_201);
    expect(counts).toContain(`42["stockUpdated",{"dropId":${drop + 4_200},"newStock":1}]`);
    const bob = await shop.customer("bob");
    await bob.reserve(drop);
    await expect.poll(() => of(heard, "stockUpdated").at(-1)).toEqual({ dropId: drop, newStock: 4 });
    expect(await (await poll()).text()).toContain(`42["stockUpdated",{"dropId":${drop},"newStock":4}]`);
  });
});

/** A page and a proxy in front of the shop, as a development server or nginx without further settings is. */
async function frontEnd(target: () => string, token?: string): Promise<Server> {
  const server = createServer((incoming, answer) => {
    if (incoming.url === "/") return void answer.setHeader("content-type", "text/html").end("<title>Old page</title>");
    const { host, port } = new URL(target());
    // The host is the target's: `changeOrigin` of one, `$proxy_host` of the other.
    const headers = { ...incoming.headers, host, ...(token && { authorization: `Bearer ${token}` }) };
    const outgoing = httpRequest({ port, method: incoming.method, path: incoming.url, headers }, (from) => {
      answer.writeHead(from.statusCode!, from.headers);
      from.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    incoming.pipe(outgoing);
  });
  server.on("upgrade", (incoming, socket, head) => {
    const { host, port } = new URL(target());
    const upstream = connect(Number(port), "127.0.0.1", () => {
      const headers = Object.entries({ ...incoming.headers, host }).map(([name, value]) => `${name}: ${value}`);
      upstream.write([`GET ${incoming.url} HTTP/1.1`, ...headers, "", ""].join("\r\n"));
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const address = (server: Server) => `http://localhost:${(server.address() as AddressInfo).port}`;

/** What an old page does: signs in, reserves and purchases with the user's id in the body, and lists the drops. */
async function oldPage(base: string) {
  const call = async (path: string, body?: unknown) => {
    const response = await fetch(base + path, {
      method: body ? "POST" : "GET",
      credentials: base ? "include" : "same-origin",
      headers: { "content-type": "application/json" },
      body: body ? JSON.stringify(body) : undefined,
    });
    return { status: response.status, ...(await response.json()) };
  };
  const { drops } = await call("/api/drops");
  const { user } = await call("/api/users/get-or-create", { username: "alice" });
  const drop = drops[0].id;
  const held = await call(`/api/drops/${drop}/reserve`, { userId: user.id });
  const bought = await call(`/api/drops/${drop}/purchase`, { userId: user.id });
  return { held: held.status, bought: bought.status, purchaser: bought.purchaser?.username };
}

test.describe("old pages", () => {
  const servers: Server[] = [];
  test.afterEach(() => servers.splice(0).forEach((server) => server.closeAllConnections() ?? server.close()));

  test("behind a proxy that names another host, the page acts for its visitor and hears of stock", async ({
    page,
    shop,
  }) => {
    const front = await frontEnd(() => shop.url);
    servers.push(front);
    await shop.configure({ PUBLIC_ORIGIN: address(front) });
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    await page.goto(address(front));
    expect(await page.evaluate(oldPage, "")).toEqual({ held: 201, bought: 200, purchaser: "alice" });
    for (const transports of [["polling", "websocket"], ["websocket", "polling"]]) {
      const { socket, heard } = listen(address(front), transports);
      await expect.poll(() => of(heard, "stockUpdated")).toEqual([{ dropId: drop, newStock: 4 }]);
      await expect.poll(() => socket.io.engine.transport.name).toBe("websocket");
      socket.close();
    }
  });

  test("through a trusted front end, several names act from one browser", async ({ page, shop }) => {
    const front = await frontEnd(() => shop.url, "end-to-end-admin-token");
    servers.push(front);
    await shop.configure({ PUBLIC_ORIGIN: address(front) });
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    await page.goto(address(front));
    const bought = await page.evaluate(async (drop) => {
      const call = async (path: string, body: unknown) => {
        const headers = { "content-type": "application/json" };
        return (await fetch(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
      };
      const names = [];
      for (const username of ["alice", "bob", "alice"]) {
        const { user } = await call("/api/users/get-or-create", { username });
        const { id } = await call("/api/drops/reserve", { dropId: drop, userId: user.id });
        const { purchase } = await call("/api/drops/purchase", { reservationId: id });
        names.push(purchase.userId === user.id ? username : purchase);
      }
      return names;
    }, drop);
    expect(bought).toEqual(["alice", "bob", "alice"]);
  });

  test("on a listed origin the page acts for its visitor, and on another one nobody does", async ({
    page,
    shop,
    consoleErrors,
  }) => {
    const [listed, other] = [await frontEnd(() => shop.url), await frontEnd(() => shop.url)];
    servers.push(listed, other);
    await shop.configure({ CORS_ORIGIN: `https://shop.example, ${address(listed)}` });
    await shop.createDrop({ name: "Volt Runner", totalStock: 5 });
    const elsewhere = shop.url.replace("127.0.0.1", "localhost");
    await page.goto(address(listed));
    expect(await page.evaluate(oldPage, elsewhere)).toEqual({ held: 201, bought: 200, purchaser: "alice" });
    await page.goto(address(other));
    await expect(page.evaluate(oldPage, elsewhere)).rejects.toThrow("Failed to fetch");
    expect(consoleErrors.splice(0).join()).toContain("blocked by CORS policy");
  });
});
