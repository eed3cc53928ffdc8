import { card, connection, expect, open, signIn, test, toast } from "./shop";

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
