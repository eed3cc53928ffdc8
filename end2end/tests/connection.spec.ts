import { card, connection, expect, open, signIn, test } from "./shop";

test("the page says when it is cut off, and is right again when it is back", async ({ page, shop, complaints }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await shop.kill();
  await expect(connection(page)).toHaveText("Reconnecting…");
  await shop.start();
  await (await shop.customer("alice")).reserve(drop);
  await expect(connection(page)).toHaveText("Live");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  complaints.length = 0; // the browser reports each attempt to reach a server that is not there
});

test("a device without a network is offline, and catches up", async ({ page, context, shop, complaints }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await context.setOffline(true);
  await expect(connection(page)).toHaveText("Offline");
  await (await shop.customer("bob")).reserve(drop);
  await context.setOffline(false);
  await expect(connection(page)).toHaveText("Live");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  complaints.length = 0; // the browser reports each attempt to leave a device that is offline
});

test("a line that fell silent without a word is replaced", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  let opened = 0;
  let silent = false;
  await page.clock.install();
  await page.routeWebSocket("**/ws", (line) => {
    const isFirst = ++opened === 1;
    line.connectToServer().onMessage((message) => {
      if (!(isFirst && silent)) line.send(message);
    });
  });
  await open(page);
  silent = true;
  await (await shop.customer("alice")).reserve(drop);
  expect(opened).toBe(1);
  await page.clock.fastForward("00:30");
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  await expect(connection(page)).toHaveText("Live");
  expect(opened).toBe(2);
});

test("a click that cannot reach the server says so, and can be repeated", async ({ page, context, shop, complaints }) => {
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
  complaints.length = 0; // as above
});

test("an answer that is lost does not cost a second pair", async ({ page, shop, complaints }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "dave");
  const volt = card(page, "Volt Runner");
  await page.route("**/rpc/reserve", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  }, { times: 1 });
  await volt.getByRole("button", { name: "Reserve" }).click();
  // The reservation's own frame tells what the answer did not.
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await expect(volt.getByText("9 of 10 left")).toBeVisible();
  complaints.length = 0; // the browser reports the broken connection
});

test("going from page to page keeps the socket", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  const sockets: string[] = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await open(page);
  await card(page, "Volt Runner").getByRole("link", { name: "Volt Runner" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeVisible();
  await page.getByRole("link", { name: "My purchases" }).click();
  await expect(page.getByRole("heading", { name: "My purchases" })).toBeVisible();
  await page.getByRole("link", { name: "Drops", exact: true }).click();
  await (await shop.customer("erin")).reserve(drop);
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  expect(sockets).toHaveLength(1);
});
