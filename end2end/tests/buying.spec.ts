import { card, expect, open, signIn, test, toast } from "./shop";

test("a reservation in one browser lowers the meter in another, and a purchase shows the buyer in both", async ({
  page,
  shop,
  newVisitor,
}) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  const other = await (await newVisitor()).newPage();
  await open(page);
  await open(other);
  await signIn(page, "alice");

  const mine = card(page, "Volt Runner");
  const theirs = card(other, "Volt Runner");
  await expect(theirs.getByText("10 of 10 left")).toBeVisible();
  await mine.getByRole("button", { name: "Reserve" }).click();

  await expect(mine.getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
  await expect(theirs.getByText("9 of 10 left")).toBeVisible();
  await expect(theirs.getByText("1 reserved right now")).toBeVisible();
  await expect(theirs.getByRole("meter")).toHaveAttribute("aria-valuenow", "9");

  await mine.getByRole("button", { name: "Complete purchase" }).click();
  await expect(mine.getByText(/^Yours\. Order \d{6}$/)).toBeVisible();
  for (const seen of [mine, theirs]) {
    await expect(seen.getByRole("list", { name: "Recent purchasers" }).getByText("alice")).toBeVisible();
  }
  await expect(theirs.getByText("1 reserved right now")).toBeHidden();

  await mine.getByRole("link", { name: "View purchase" }).click();
  await expect(page.getByRole("heading", { name: /^Order \d{6}$/ })).toBeVisible();
  await page.getByRole("main").getByRole("link", { name: "My purchases" }).click();
  await expect(page.getByRole("listitem").filter({ hasText: "Volt Runner" })).toContainText("$199");
});

test("two tabs of one visitor share a reservation, and a purchase in one shows in the other", async ({
  context,
  shop,
}) => {
  await shop.createDrop({ name: "Court 76", totalStock: 3 });
  const [first, second] = [await context.newPage(), await context.newPage()];
  await open(first);
  await signIn(first, "bob");
  await open(second);

  await card(first, "Court 76").getByRole("button", { name: "Reserve" }).click();
  const timers = [first, second].map((tab) => card(tab, "Court 76").getByRole("timer"));
  await expect(timers[1]!).toBeVisible();
  await expect
    .poll(async () => {
      const [one, two] = await Promise.all(timers.map((timer) => timer.textContent()));
      return one === two;
    })
    .toBe(true);

  await card(second, "Court 76").getByRole("button", { name: "Complete purchase" }).click();
  await expect(card(first, "Court 76").getByText(/^Yours\./)).toBeVisible();
  await expect(card(first, "Court 76").getByText("2 of 3 left")).toBeVisible();
});

test("a second device of the same session shows the reservation with the same countdown", async ({
  page,
  context,
  shop,
  newVisitor,
}) => {
  await shop.createDrop({ name: "Court 76", totalStock: 3 });
  await open(page);
  await signIn(page, "bea");
  await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Court 76").getByRole("timer")).toBeVisible();
  const phone = await (await newVisitor({ storageState: await context.storageState() })).newPage();
  await open(phone);
  const seconds = async (on: typeof page) => {
    const [minutes, rest] = (await card(on, "Court 76").getByRole("timer").innerText()).split(":").map(Number);
    return minutes! * 60 + rest!;
  };
  await expect
    .poll(async () => {
      const [here, there] = await Promise.all([seconds(page), seconds(phone)]);
      return Math.abs(here - there);
    })
    .toBeLessThanOrEqual(1);
  await card(phone, "Court 76").getByRole("button", { name: "Give it back" }).click();
  await expect(card(page, "Court 76").getByRole("button", { name: "Reserve" })).toBeVisible();
});

test("a reload keeps the reservation and its countdown", async ({ page, shop }) => {
  await shop.createDrop({ name: "Halo Air" });
  await open(page);
  await signIn(page, "carol");
  await card(page, "Halo Air").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Halo Air").getByRole("timer")).toHaveText(/0:5[0-7]/);
  await page.reload();
  // Rendered by the server, before any script.
  await expect(card(page, "Halo Air").getByRole("timer")).toHaveText(/0:[345]\d/);
  await expect(card(page, "Halo Air").getByRole("button", { name: "Complete purchase" })).toBeEnabled();
});

test("a released pair is available to everyone at once", async ({ page, shop, newVisitor }) => {
  await shop.createDrop({ name: "Slab Skate", totalStock: 1 });
  const other = await (await newVisitor()).newPage();
  await open(page);
  await open(other);
  await signIn(page, "dave");
  await signIn(other, "erin");
  await card(page, "Slab Skate").getByRole("button", { name: "Reserve" }).click();

  // The holder of the last pair can still complete the purchase; everyone else sees that the pair may come back.
  await expect(card(page, "Slab Skate").getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await expect(card(other, "Slab Skate").getByText("All reserved. 1 may come back.")).toBeVisible();
  await expect(card(other, "Slab Skate").getByRole("button", { name: "Reserve" })).toBeDisabled();

  await card(page, "Slab Skate").getByRole("button", { name: "Give it back" }).click();
  await expect(toast(page, "You gave the pair back.")).toBeVisible();
  await card(other, "Slab Skate").getByRole("button", { name: "Reserve" }).click();
  await expect(card(other, "Slab Skate").getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await card(other, "Slab Skate").getByRole("button", { name: "Complete purchase" }).click();
  await expect(card(page, "Slab Skate").getByText("Sold out")).toBeVisible();
  // The toast appears although the buyer's card has moved to another section meanwhile.
  await expect(toast(other, /^Order \d{6}\. The pair is yours\.$/)).toBeVisible();
  await expect(card(other, "Slab Skate").getByRole("link", { name: "View purchase" })).toBeVisible();
  // Nothing moves while the pointer is on a card.
  await page.mouse.move(0, 0);
  const over = page.getByRole("region", { name: "Sold out or ended" });
  await expect(over.getByRole("article", { name: "Slab Skate" })).toBeVisible();
});

test("a late response to a release does not hide the next reservation", async ({ page, context, shop }) => {
  await shop.createDrop({ name: "Court 76", totalStock: 3 });
  await open(page);
  await signIn(page, "kim");
  await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
  const other = await context.newPage();
  await open(other);
  await expect(card(other, "Court 76").getByRole("timer")).toBeVisible();
  let respond = () => {};
  const mayRespond = new Promise<void>((resolve) => (respond = resolve));
  await page.route("**/rpc/release", async (route) => {
    const response = await route.fetch();
    await mayRespond;
    await route.fulfill({ response });
  });
  await card(page, "Court 76").getByRole("button", { name: "Give it back" }).click();
  await card(other, "Court 76").getByRole("button", { name: "Reserve" }).click();
  await expect(card(other, "Court 76").getByRole("timer")).toBeVisible();
  await expect(card(page, "Court 76").getByRole("timer")).toBeVisible();
  respond();
  await expect(toast(page, "You gave the pair back.")).toBeVisible();
  await expect(card(page, "Court 76").getByRole("button", { name: "Complete purchase" })).toBeEnabled();
});

test("another user's release does not end the visitor's own reservation", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "High Rise", totalStock: 5 });
  await open(page);
  await signIn(page, "frank");
  await card(page, "High Rise").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "High Rise").getByRole("timer")).toBeVisible();
  const customer = await shop.customer("grace");
  await customer.reserve(drop);
  // Of others.
  await expect(card(page, "High Rise").getByText("1 reserved right now")).toBeVisible();
  await customer.release(drop);
  await expect(card(page, "High Rise").getByText("reserved right now")).toBeHidden();
  await expect(card(page, "High Rise").getByRole("button", { name: "Complete purchase" })).toBeVisible();
});

test("each size has its own stock, and a sold-out size stays visible but disabled", async ({ page, shop }) => {
  const drop = await shop.createDrop({
    name: "Ridge Trail",
    sizes: [
      { label: "US 8", stock: 1 },
      { label: "US 9", stock: 4 },
    ],
    limitPerUser: 1,
  });
  await open(page);
  await signIn(page, "heidi");
  const ridge = card(page, "Ridge Trail");
  await expect(ridge.getByText("1 per person")).toBeVisible();
  await expect(ridge.getByRole("radio", { name: "US 8, 1 left" })).toBeEnabled();

  await (await shop.customer("ivan")).reserve(drop, "US 8");
  await expect(ridge.getByRole("radio", { name: "US 8, none left" })).toBeDisabled();
  await ridge.getByRole("radio", { name: "US 9, 4 left" }).check();
  await ridge.getByRole("button", { name: "Reserve" }).click();
  await expect(ridge.locator(".own").getByText("US 9", { exact: true })).toBeVisible();
  await expect(ridge.getByText("3 of 5 left")).toBeVisible();
  await ridge.getByRole("button", { name: "Complete purchase" }).click();
  await expect(ridge.getByText(/^Yours\./)).toBeVisible();
  await expect(ridge.getByRole("button", { name: "Reserve another" })).toBeHidden();
});

test("without a limit, a buyer can reserve another", async ({ page, shop }) => {
  await shop.createDrop({ name: "Court 76", totalStock: 2 });
  await open(page);
  await signIn(page, "judy");
  const court = card(page, "Court 76");
  for (const action of ["Reserve", "Complete purchase", "Reserve another", "Complete purchase"]) {
    await court.getByRole("button", { name: new RegExp(`^${action}( ·|,)`) }).click();
  }
  await expect(court.getByText("0 of 2 left")).toBeVisible();
});
