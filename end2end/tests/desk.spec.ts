import AxeBuilder from "@axe-core/playwright";
import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { card, expect, open, openDesk, signIn, test, toast } from "./shop";

async function expectNoViolations(page: Page, state: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  expect(found, state).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, `${state}: the page scrolls sideways`).toBeLessThanOrEqual(0);
}

for (const width of [390, 1440]) {
  test(`a drop is made, published, watched, steered and archived in the browser, ${width} px`, async ({
    newVisitor,
    shop,
  }) => {
    // Three browsers and a dozen pages.
    test.slow();
    const viewport = { width, height: 900 };
    const desk = await (await newVisitor({ viewport, timezoneId: "Europe/Berlin" })).newPage();
    const [alice, bob] = [await (await newVisitor({ viewport })).newPage(), await (await newVisitor()).newPage()];
    await openDesk(desk, shop);
    await expectNoViolations(desk, "list");

    await desk.getByRole("link", { name: "New drop" }).first().click();
    await desk.getByLabel("Name", { exact: true }).fill("Night Market Low");
    await desk.getByLabel("Description").fill("Made for the night market.\n\nGum sole.");
    await desk.getByLabel("Price in dollars").fill("149.50");
    await desk.getByLabel("Limit per person").fill("1");
    await desk.getByLabel("Name of size 1").fill("US 9");
    await desk.getByLabel("Pairs of size 1").fill("1");
    await desk.getByRole("button", { name: "Add a size" }).click();
    await desk.getByLabel("Name of size 2").fill("US 10");
    await desk.getByLabel("Pairs of size 2").fill("1");
    await desk.getByRole("button", { name: "Move size 2 up" }).click();
    await expect(desk.getByLabel("Name of size 1")).toHaveValue("US 10");
    // The preview follows what is typed.
    await expect(desk.locator("#preview article").first()).toContainText("Night Market Low");
    await expect(desk.locator("#preview")).toContainText("$149.50");
    await expect(desk.getByText("Times are in the time zone Europe/Berlin.")).toBeVisible();
    await expectNoViolations(desk, "form");
    await desk.getByRole("button", { name: "Save draft" }).click();
    await expect(desk.locator("#status")).toHaveText("Draft");
    await expectNoViolations(desk, "draft");

    await open(alice);
    await signIn(alice, "alice");
    await open(bob);
    await signIn(bob, "bob");
    await expect(card(alice, "Night Market Low")).toHaveCount(0);
    await desk.getByRole("button", { name: "Publish" }).click();
    await expect(desk.locator("#status")).toHaveText("Live");
    await expect(card(alice, "Night Market Low")).toBeVisible();

    // Two buyers buy while the drop is paused, goes on and gets more pairs.
    await card(alice, "Night Market Low").getByRole("radio", { name: "US 9" }).check();
    await card(alice, "Night Market Low").getByRole("button", { name: "Reserve" }).click();
    await expect(card(alice, "Night Market Low").getByRole("button", { name: "Complete purchase" })).toBeVisible();
    await desk.getByRole("button", { name: "Pause sales" }).click();
    await expect(desk.locator("#status")).toHaveText("Paused");
    await expect(card(bob, "Night Market Low").getByText("Paused")).toBeVisible();
    await expectNoViolations(desk, "paused");
    await expectNoViolations(bob, "a paused card");
    await card(alice, "Night Market Low").getByRole("button", { name: "Complete purchase" }).click();
    await expect(card(alice, "Night Market Low").getByText("Yours. Order 000001")).toBeVisible();
    await desk.getByRole("button", { name: "Resume sales" }).click();
    await expect(card(bob, "Night Market Low").getByRole("button", { name: "Reserve" })).toBeVisible();
    await desk.locator("#pairs-size").selectOption("US 9");
    await desk.locator("#pairs").fill("10");
    await desk.getByRole("button", { name: "Add", exact: true }).click();
    await expect(card(bob, "Night Market Low").getByText("11 of 12 left")).toBeVisible();
    await card(bob, "Night Market Low").getByRole("radio", { name: "US 9" }).check();
    await card(bob, "Night Market Low").getByRole("button", { name: "Reserve" }).click();
    await card(bob, "Night Market Low").getByRole("button", { name: "Complete purchase" }).click();
    await expect(card(bob, "Night Market Low").getByText("Yours. Order 000002")).toBeVisible();

    // An order is cancelled, the purchases are exported, and the stock is proved.
    await expect(desk.locator("#board")).toContainText("2 of 12");
    await desk.getByRole("link", { name: "Purchases" }).click();
    await desk.getByLabel("Order or name").fill("bob");
    await desk.getByRole("button", { name: "Search" }).click();
    const order = desk.getByRole("row", { name: "000002" });
    await order.locator("summary").click();
    await order.getByRole("textbox").fill("Paid twice");
    await expectNoViolations(desk, "purchases");
    await order.getByRole("button", { name: "Cancel order 000002" }).click();
    await expect(order).toContainText("Cancelled");
    await expect(toast(bob, "Order 000002 was cancelled.")).toBeVisible();
    const exported = desk.waitForEvent("download");
    await desk.getByRole("link", { name: "Export purchases (CSV)" }).click();
    const rows = (await readFile(await (await exported).path(), "utf8")).trim().split("\r\n");
    expect(rows).toHaveLength(3);
    expect(rows.find((row) => row.startsWith("000002,"))).toMatch(/^000002,cancelled,bob,.*Paid twice$/);
    await desk.goto(`${shop.url}/admin/drops/1/proof`);
    await expect(desk.getByText("The stock adds up")).toBeVisible();
    await expectNoViolations(desk, "proof");
    await desk.goto(`${shop.url}/admin/log`);
    await expect(desk.getByText("Order 000002 cancelled")).toBeVisible();
    await expectNoViolations(desk, "log");
    await desk.goto(`${shop.url}/admin/drops/1`);

    // The description and the end reach open pages.
    await bob.goto(`${shop.url}/drops/1`);
    await expect(bob.locator(".description")).toContainText("Made for the night market.");
    await desk.getByRole("link", { name: "Edit" }).click();
    await desk.getByLabel("Description").fill("Now with laces.");
    await expectNoViolations(desk, "edit");
    await desk.getByRole("button", { name: "Save" }).click();
    await expect(bob.locator(".description")).toHaveText("Now with laces.");

    await desk.getByText("End now…").click();
    await desk.getByRole("button", { name: "End now" }).click();
    await expect(desk.locator("#status")).toHaveText("Ended");
    await expect(bob.locator("article")).toContainText("Ended");
    await desk.getByText("Archive…").click();
    await desk.getByRole("button", { name: "Archive" }).click();
    await expect(desk.locator("#status")).toHaveText("Archived");
    await expect(bob.getByRole("heading", { name: "Nothing here" })).toBeVisible();
    await desk.getByRole("button", { name: "Sign out" }).click();
    await expect(desk.getByLabel("Admin token")).toBeVisible();
  });
}

test("a buyer whose order is cancelled is told and can reserve again", async ({ page, shop }) => {
  const dropId = await shop.createDrop({ name: "Halo Air", totalStock: 1, limitPerUser: 1 });
  await open(page);
  await signIn(page, "alice");
  const halo = card(page, "Halo Air");
  await halo.getByRole("button", { name: "Reserve" }).click();
  await halo.getByRole("button", { name: "Complete purchase" }).click();
  await expect(halo.getByText("Yours. Order 000001")).toBeVisible();
  await shop.steer(`/api/drops/${dropId}/purchases/1/cancel`, { reason: "Paid twice" });
  await expect(toast(page, "Order 000001 was cancelled.")).toBeVisible();
  await expect(halo.getByRole("button", { name: "Reserve" })).toBeVisible();
  await page.goto(`${shop.url}/purchases/1`);
  await expect(page.getByText("Cancelled")).toBeVisible();
  await expect(page.getByText("Paid twice")).toBeVisible();
});

test("a press of a button is not lost while the page follows a sale", async ({ page, shop }) => {
  const dropId = await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  await openDesk(page, shop);
  await page.goto(`${shop.url}/admin/drops/${dropId}`);
  await page.getByRole("button", { name: "Pause sales" }).hover();
  await page.mouse.down();
  const alice = await shop.customer("alice");
  await alice.reserve(dropId);
  await expect(page.locator("#board figcaption").first()).toContainText("Available 8");
  await page.mouse.up();
  await expect(page.locator("#status")).toHaveText("Paused");
});

test("a form that is sent after its session is sent again after signing in", async ({
  consoleErrors,
  context,
  page,
  shop,
}) => {
  await shop.createDrop({ name: "Halo Air", totalStock: 9 });
  await openDesk(page, shop);
  await page.goto(`${shop.url}/admin/drops/new`);
  await page.getByLabel("Name", { exact: true }).fill("Night Market Low");
  await page.getByLabel("Price in dollars").fill("149.50");
  await page.getByLabel("Pairs of size 1").fill("5");
  await context.clearCookies({ name: "sneakdrop_admin" });
  await page.getByRole("button", { name: "Save draft" }).click();
  await expect(page.getByRole("heading", { name: "Your session has ended" })).toBeVisible();
  consoleErrors.length = 0; // the browser reports the 401
  await expectNoViolations(page, "session ended");
  const opened = context.waitForEvent("page");
  await page.getByRole("link", { name: "Sign in" }).click();
  const other = await opened;
  await other.getByLabel("Admin token").fill("end-to-end-admin-token");
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("heading", { name: "Drops" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: "Night Market Low" })).toBeVisible();
  await expect(page.locator("#status")).toHaveText("Draft");
});
