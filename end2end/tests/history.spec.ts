import { card, expect, open, signIn, test } from "./shop";

for (const javaScriptEnabled of [true, false]) {
  test.describe(`with JavaScript ${javaScriptEnabled ? "enabled" : "disabled"}`, () => {
    test.use({ javaScriptEnabled });

    test("every past drop and every purchase can be found page by page", async ({ page, shop }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 50 });
      await page.goto("/");
      await signIn(page, "alice");
      await shop.sql(`
        insert into drops (name, price_cents, starts_at, sold_out_since)
        select 'Past ' || n, 100, now() - interval '1 year', now() - interval '1 month' + n * interval '1 second'
        from generate_series(1, 45) n;
        insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
        select id, 'One size', 1, 1, 0 from drops where name like 'Past%';
        insert into reservations (drop_id, size_id, user_id, price_cents, status, expires_at, settled_at)
        select s.drop_id, s.id, u.id, 100, 'completed', now() + interval '1 minute', now()
        from drop_sizes s join drops d on d.id = s.drop_id and d.name like 'Past%', users u order by s.drop_id;
        insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
        select drop_id, size_id, user_id, id, 100 from reservations order by id`);

      await page.goto("/");
      await page.getByRole("link", { name: "Past drops" }).click();
      const entries = page.getByRole("main").getByRole("listitem");
      for (const [first, last] of [["Past 45", "Past 26"], ["Past 25", "Past 6"], ["Past 5", "Past 1"]] as const) {
        await expect(entries.first()).toContainText(first);
        await expect(entries.last()).toContainText(last);
        if (last !== "Past 1") await page.getByRole("link", { name: "Older" }).click();
      }
      await expect(page.getByRole("link", { name: "Older" })).toHaveCount(0);
      await entries.last().getByRole("link", { name: "Past 1" }).click();
      await expect(card(page, "Past 1").getByText("Yours. Order 000001")).toBeVisible();
      await expect(page.getByRole("heading", { name: "Past 1", exact: true })).toBeVisible();

      await page.getByRole("link", { name: "My purchases" }).click();
      await expect(entries).toHaveCount(20);
      await expect(entries.first()).toContainText("Past 45");
      await page.getByRole("link", { name: "Older" }).click();
      await page.getByRole("link", { name: "Older" }).click();
      await expect(entries).toHaveCount(5);
      await expect(entries.last()).toContainText("Order 000001");
      expect(drop).toBe(1);
    });
  });
}

test("a purchase in another tab appears in the open list", async ({ context, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  const [list, other] = [await context.newPage(), await context.newPage()];
  await open(list, "/purchases");
  await signIn(list, "alice");
  await expect(list.getByText("Nothing yet.")).toBeVisible();
  await open(other);
  await card(other, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await card(other, "Volt Runner").getByRole("button", { name: "Complete purchase" }).click();
  // The drop is in the page from the start, as one that is live.
  const order = list.getByRole("main").getByRole("listitem").filter({ hasText: "Order 000001" });
  await expect(order).toContainText("Volt Runner");
});
