import { card, connection, expect, open, signIn, test, toast } from "./shop";

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

test("what was archived while a page was offline leaves it, and what is over long ago stays on its page", async ({
  context,
  shop,
  consoleErrors,
}) => {
  const [archived, past] = [await shop.createDrop({ name: "Volt Runner" }), await shop.createDrop({ name: "Court 76" })];
  const end = (id: number, ago: string) =>
    shop.sql(`update drops set starts_at = now() - interval '9 years', ends_at = now() - interval '${ago}' where id = ${id}`);
  await end(archived, "1 hour");
  await end(past, "8 years");
  await shop.sql(`with new as (
                    insert into drops (name, price_cents, starts_at, sold_out_since)
                    select 'Past ' || n, 100, now() - interval '2 years', now() - interval '1 year'
                    from generate_series(1, 12) n returning id
                  )
                  insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                  select id, 'One size', 1, 0, 0 from new`);
  const [dashboard, page, pastPage] = [await context.newPage(), await context.newPage(), await context.newPage()];
  await open(dashboard);
  await expect(card(dashboard, "Volt Runner")).toBeVisible();
  await open(page, `/drops/${archived}`);
  await open(pastPage, `/drops/${past}`);

  await shop.kill();
  for (const shown of [dashboard, page, pastPage]) await expect(connection(shown)).not.toHaveText("Connected");
  await shop.sql(`update drops set status = 'archived' where id = ${archived}`);
  await shop.start();
  for (const shown of [dashboard, page, pastPage]) await expect(connection(shown)).toHaveText("Connected");
  await expect(card(dashboard, "Volt Runner")).toHaveCount(0);
  await expect(page.getByRole("heading", { name: "Nothing here" })).toBeVisible();
  await expect(card(pastPage, "Court 76")).toBeVisible();
  // The server was away, and the drop's page was told that the drop is.
  consoleErrors.length = 0;
});

test("a limit that is set later offers no more pairs to who has as many", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  for (const _ of ["one", "another"]) {
    await volt.getByRole("button", { name: "Reserve" }).click();
    await volt.getByRole("button", { name: "Complete purchase" }).click();
    await expect(volt.getByRole("button", { name: "Reserve another" })).toBeVisible();
  }
  await shop.sql(`update drops set limit_per_user = 2 where id = ${drop}`);
  await expect(volt.getByText("2 per person")).toBeAttached();
  await expect(volt.getByRole("button", { name: "Reserve another" })).toHaveCount(0);
  await shop.sql(`update drops set limit_per_user = 3 where id = ${drop}`);
  await expect(volt.getByRole("button", { name: "Reserve another" })).toBeVisible();
});

test("who signs in to reserve what was paused meanwhile sees that it is paused", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Sign in to reserve" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill("alice");
  await shop.steer(`/api/drops/${drop}/pause`, {});
  await expect(volt.getByText("Paused", { exact: true }).first()).toBeAttached();
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
  await expect(page.getByRole("banner").getByText("alice", { exact: true })).toBeVisible();
  await expect(volt.getByText("Paused", { exact: true }).first()).toBeVisible();
  await expect(toast(page, /paused/i)).toHaveCount(0);
});
