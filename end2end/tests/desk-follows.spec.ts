// Pages of the desk follow what is stored, say how old they are, and leave alone what somebody is at.
import type { Page } from "@playwright/test";
import { expect, openDesk, test } from "./shop";

const following = (page: Page) => page.locator("#following");

test("every page of the desk follows the sale and says as of when", async ({ newVisitor, shop }) => {
  test.slow();
  const drop = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const context = await newVisitor();
  await openDesk(await context.newPage(), shop);
  const at = async (path: string) => {
    const page = await context.newPage();
    await page.goto(`${shop.url}${path}`);
    await expect(following(page)).toHaveText(/^Live · as of \d\d:\d\d:\d\d/);
    return page;
  };
  const list = await at("/admin");
  const dropPage = await at(`/admin/drops/${drop}`);
  const purchases = await at(`/admin/drops/${drop}/purchases`);
  const proof = await at(`/admin/drops/${drop}/proof`);
  const [log, logOfDrop] = [await at("/admin/log"), await at(`/admin/drops/${drop}/log`)];

  const alice = await shop.customer("alice");
  await alice.reserve(drop);
  await expect(list.locator(`#drop-${drop} td[data-column=Held]`)).toHaveText("1");
  await expect(dropPage.locator("#board figcaption").first()).toContainText("Available 8");
  await alice.purchase(drop);
  await expect(purchases.getByRole("row", { name: "000001" })).toContainText("alice");
  await expect(dropPage.locator("#board")).toContainText("1 of 9");
  await expect(proof.getByRole("main")).toContainText("Purchases made: 1");
  await shop.steer(`/api/drops/${drop}/pause`, {});
  await expect(list.locator(`#drop-${drop}`)).toContainText("Paused");
  await expect(dropPage.locator("#status")).toHaveText("Paused");
  for (const page of [log, logOfDrop]) await expect(page.getByRole("row").nth(1)).toContainText("Paused");
  // And what pages are not told of: a draft.
  await shop.createDrop({ name: "Night Market Low", draft: true } as any);
  await expect(list.getByRole("row").nth(1)).toContainText("Night Market Low", { timeout: 15_000 });
});

test("what has the focus, is unfolded or typed stays, and everything else follows", async ({ newVisitor, shop }) => {
  const sizes = ["US 9", "US 10"].map((label) => ({ label, stock: 5 }));
  const drop = await shop.createDrop({ name: "Halo Air", sizes });
  const page = await (await newVisitor()).newPage();
  await openDesk(page, shop);
  const alice = await shop.customer("alice");
  const bySize = page.locator("#board").getByRole("region", { name: "By size" });
  const figures = page.locator("#board summary").first();
  let available = 10;
  for (const focus of [
    async () => bySize.click(),
    async () => figures.focus(),
    async () => page.locator("#board .periods a, #board a").first().focus({ timeout: 100 }).catch(() => {}),
    async () => page.locator("#pairs").fill("7"),
    async () => page.getByRole("button", { name: "Pause sales" }).focus(),
  ]) {
    await page.goto(`${shop.url}/admin/drops/${drop}`);
    await expect(following(page)).toContainText("Live");
    await figures.click();
    await focus();
    const focused = await page.evaluateHandle(() => document.activeElement);
    await alice.reserve(drop, "US 9");
    await expect(page.locator("#board figcaption").first()).toContainText(`Available ${--available}`);
    await expect(bySize.getByRole("row", { name: "US 9" })).toContainText("1");
    await expect(page.locator("#board details").first()).toHaveAttribute("open", "");
    expect(await focused.evaluate((element) => element === document.activeElement)).toBe(true);
    await alice.release(drop);
    await expect(page.locator("#board figcaption").first()).toContainText(`Available ${++available}`);
  }
  await page.locator("#pairs").fill("7");
  await page.locator("#pairs-size").selectOption("US 10");
  await alice.reserve(drop, "US 9");
  await expect(page.locator("#board figcaption").first()).toContainText("Available 9");
  await expect(page.locator("#pairs")).toHaveValue("7");
  await expect(page.locator("#pairs-size")).toHaveValue("US 10");
});

test("a reason that is being typed stays in its row while newer orders come", async ({ newVisitor, shop }) => {
  const drop = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const buy = async (username: string) => {
    const customer = await shop.customer(username);
    await customer.reserve(drop);
    await customer.purchase(drop);
  };
  await buy("alice");
  const page = await (await newVisitor()).newPage();
  await openDesk(page, shop);
  await page.goto(`${shop.url}/admin/drops/${drop}/purchases`);
  const order = page.getByRole("row", { name: "000001" });
  await order.locator("summary").click();
  await order.getByRole("textbox").pressSequentially("Paid tw");
  await buy("bob");
  await buy("carol");
  await expect(page.getByRole("row", { name: "000003" })).toContainText("carol");
  await order.getByRole("textbox").pressSequentially("ice");
  await expect(order.getByRole("textbox")).toHaveValue("Paid twice");
  await order.getByRole("button", { name: "Cancel order 000001" }).click();
  await expect(order).toContainText("Cancelled");
  await expect(page.getByRole("row", { name: "000002" })).not.toContainText("Cancelled");
});

test("a drop opens and ends on the desk by itself", async ({ newVisitor, shop }) => {
  const soon = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();
  const context = await newVisitor();
  const [list, dropPage] = [await context.newPage(), await context.newPage()];
  await openDesk(list, shop);
  const drop = await shop.createDrop({ name: "Halo Air", startsAt: soon(6), endsAt: soon(9) });
  await list.reload();
  await dropPage.goto(`${shop.url}/admin/drops/${drop}`);
  for (const status of ["Upcoming", "Live", "Ended"]) {
    await expect(dropPage.locator("#status")).toHaveText(status);
    await expect(list.locator(`#drop-${drop}`)).toContainText(status);
  }
});

test("a page whose server is away says so, and follows again when it is back", async ({
  consoleErrors,
  newVisitor,
  shop,
}) => {
  const drop = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const page = await (await newVisitor()).newPage();
  await openDesk(page, shop);
  await page.goto(`${shop.url}/admin/drops/${drop}`);
  await expect(following(page)).toContainText("Live");
  await shop.kill();
  await expect(following(page)).toHaveText(/^Reconnecting… · as of \d\d:\d\d:\d\d/);
  await shop.start();
  await expect(following(page)).toHaveText(/^Live/, { timeout: 20_000 });
  const alice = await shop.customer("alice");
  await alice.reserve(drop);
  await expect(page.locator("#board figcaption").first()).toContainText("Available 8", { timeout: 20_000 });
  consoleErrors.length = 0; // the browser reports what it could not reach
});

test("a refresh that hangs is given up and said", async ({ newVisitor, shop }) => {
  await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const page = await (await newVisitor()).newPage();
  await openDesk(page, shop);
  await expect(following(page)).toContainText("Live");
  await page.route(`${shop.url}/admin`, () => {});
  await expect(following(page)).toContainText("Reconnecting…", { timeout: 30_000 });
  await page.unroute(`${shop.url}/admin`);
  await expect(following(page)).toContainText("Live", { timeout: 30_000 });
});

test("a session that ended is said, and signing in elsewhere goes on", async ({ consoleErrors, newVisitor, shop }) => {
  const drop = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const context = await newVisitor();
  const page = await context.newPage();
  await openDesk(page, shop);
  await page.goto(`${shop.url}/admin/drops/${drop}`);
  await expect(following(page)).toContainText("Live");
  await context.clearCookies({ name: "sneakdrop_admin" });
  await (await shop.customer("alice")).reserve(drop);
  const opened = context.waitForEvent("page");
  await following(page).getByRole("link", { name: "Signed out: sign in again" }).click();
  const other = await opened;
  await other.getByLabel("Admin token").fill("end-to-end-admin-token");
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("heading", { name: "Drops" })).toBeVisible();
  await page.bringToFront();
  await expect(following(page)).toContainText("Live", { timeout: 15_000 });
  await expect(page.locator("#board figcaption").first()).toContainText("Available 8");
  consoleErrors.length = 0; // the browser reports the answers to whoever is signed out
});

test("a socket that is open but silent is given up, and the page goes on", async ({ newVisitor, shop }) => {
  const drop = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  const page = await (await newVisitor()).newPage();
  let sockets = 0;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    sockets += 1;
    // The first is as after sleep: nothing comes through.
    if (sockets > 1) socket.connectToServer();
  });
  await openDesk(page, shop);
  sockets = 0;
  await page.goto(`${shop.url}/admin/drops/${drop}`);
  await expect(following(page)).toContainText("Live");
  await expect.poll(() => sockets, { timeout: 30_000 }).toBeGreaterThan(1);
  await (await shop.customer("alice")).reserve(drop);
  await expect(page.locator("#board figcaption").first()).toContainText("Available 8");
});
