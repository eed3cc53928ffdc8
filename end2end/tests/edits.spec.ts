import { card, connection, expect, open, signIn, test } from "./shop";

test("what an operator edits changes on open pages, and what was deleted goes", async ({ context, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await shop.createDrop({ name: "Court 76" });
  const [dashboard, page] = [await context.newPage(), await context.newPage()];
  await open(dashboard);
  await open(page, `/drops/${drop}`);

  await shop.sql(`update drops set name = 'Volt & <Runner>', price_cents = 100, image_url = '/shoes/court-76.64eb65e6.svg',
                  limit_per_user = 2 where id = ${drop}`);
  for (const shown of [dashboard, page]) {
    const edited = card(shown, "Volt & <Runner>");
    await expect(edited.getByText("$1", { exact: true })).toBeVisible();
    await expect(edited.getByText("2 per person")).toBeVisible();
    await expect(edited.locator(".art img")).toHaveAttribute("src", "/shoes/court-76.64eb65e6.svg");
    await expect(card(shown, "Volt Runner")).toHaveCount(0);
  }
  await expect(page).toHaveTitle("Volt & <Runner> · Sneakdrop");

  await shop.sql(`update drop_sizes set total_stock = 30, available_stock = 30 where drop_id = ${drop}`);
  await expect(card(page, "Volt & <Runner>").getByText("30 of 30 left")).toBeVisible();
  await shop.sql(`insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                  values (${drop}, 'US 14', 2, 3, 3)`);
  await signIn(page, "alice");
  await card(page, "Volt & <Runner>").getByRole("radio", { name: "US 14, 3 left" }).check();
  await card(page, "Volt & <Runner>").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Volt & <Runner>").locator(".pair")).toHaveText("US 14");
  await card(page, "Volt & <Runner>").getByRole("button", { name: "Give it back" }).click();
  await expect(card(page, "Volt & <Runner>").getByRole("radio", { name: "US 14, 3 left" })).toBeVisible();

  await shop.sql(`delete from reservations; delete from drops where id = ${drop}`);
  await expect(card(dashboard, "Volt & <Runner>")).toHaveCount(0);
  await expect(card(dashboard, "Court 76")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Nothing here" })).toBeVisible();
});

test("an open page follows a database that went back to an earlier state", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 1 });
  const bob = await shop.customer("bob");
  await open(page);
  await signIn(page, "alice");
  await bob.reserve(drop);
  await bob.purchase(drop);
  const volt = card(page, "Volt Runner");
  await expect(volt.getByText("Sold out", { exact: true })).toBeVisible();
  await shop.sql(`begin; set local session_replication_role = replica; delete from purchases; delete from reservations;
                  update drop_sizes set available_stock = 1, held_stock = 0;
                  update drops set version = 1, sold_out_since = null; commit`);
  await expect(volt.getByText("1 of 1 left")).toBeVisible();
  await expect(volt.getByText("bob")).toHaveCount(0);
  await expect(connection(page)).toHaveText("Connected");
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeVisible();
});
