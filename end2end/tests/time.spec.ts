import { card, expect, open, signIn, test, toast } from "./shop";

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

test.describe("with a reservation time of four seconds", () => {
  test.use({ ttlSeconds: 4 });

  test("an expired reservation returns its pair for everyone, and its holder is notified", async ({
    page,
    shop,
    newVisitor,
  }) => {
    await shop.createDrop({ name: "Halo Air", totalStock: 2 });
    const other = await (await newVisitor()).newPage();
    await open(page);
    await open(other);
    await signIn(page, "alice");
    const halo = card(page, "Halo Air");
    await halo.getByRole("button", { name: "Reserve" }).click();
    await expect(card(other, "Halo Air").getByText("1 of 2 left")).toBeVisible();

    await expect(toast(page, "Your 4 seconds are up. The pair went back.")).toBeVisible();
    await expect(halo.getByRole("button", { name: "Reserve" })).toBeEnabled();
    for (const seen of [page, other]) {
      await expect(card(seen, "Halo Air").getByText("2 of 2 left")).toBeVisible();
    }
  });

  test("at zero the card offers Reserve again without waiting for the server", async ({ page, shop, consoleErrors }) => {
    await shop.createDrop({ name: "Halo Air" });
    await open(page);
    await signIn(page, "bob");
    await card(page, "Halo Air").getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, "Halo Air").getByRole("timer")).toBeVisible();
    await shop.kill();
    await expect(card(page, "Halo Air").getByRole("button", { name: "Reserve" })).toBeVisible();
    await expect(card(page, "Halo Air").getByRole("timer")).toBeHidden();
    await shop.start();
    await expect(card(page, "Halo Air").getByText("10 of 10 left")).toBeVisible();
    consoleErrors.length = 0; // the browser reports each failed attempt to reconnect
  });
});

test.describe("with a reservation time of twelve seconds", () => {
  test.use({ ttlSeconds: 12 });

  test("the last ten seconds have another colour, and are announced", async ({ page, shop }) => {
    await shop.createDrop({ name: "Halo Air" });
    await open(page);
    await signIn(page, "carol");
    const halo = card(page, "Halo Air");
    await halo.getByRole("button", { name: "Reserve" }).click();
    await expect(halo.getByRole("timer")).toHaveText("0:12");
    await expect(halo.getByText("10 seconds left")).toHaveCount(0);
    const usualColour = await halo.getByRole("timer").evaluate((timer) => getComputedStyle(timer).color);
    await expect(halo.locator("[aria-live=polite]").getByText("10 seconds left")).toBeAttached();
    await expect(halo.getByRole("timer")).toHaveText("0:09");
    expect(await halo.getByRole("timer").evaluate((timer) => getComputedStyle(timer).color)).not.toBe(usualColour);
  });
});

test("a drop opens without a reload", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", startsAt: inSeconds(5) });
  await open(page);
  await signIn(page, "dave");
  const upcoming = page.getByRole("region", { name: "Upcoming" });
  await expect(upcoming.getByRole("article", { name: "Ridge Trail" }).getByRole("timer")).toHaveText(
    /^Opens in 0:0[1-5]$/,
  );
  const live = page.getByRole("region", { name: "Live now" }).getByRole("article", { name: "Ridge Trail" });
  await live.getByRole("button", { name: "Reserve" }).click();
  await expect(live.getByRole("button", { name: "Complete purchase" })).toBeVisible();
});

test("a new drop appears, and a drop ends, without a reload", async ({ page, shop }) => {
  await open(page);
  await expect(page.getByText("Nothing is live right now.")).toBeVisible();
  await shop.createDrop({ name: "Pace Retro", endsAt: inSeconds(4) });
  await expect(page.getByRole("region", { name: "Live now" }).getByRole("article", { name: "Pace Retro" })).toBeVisible();
  const over = page.getByRole("region", { name: "Sold out or ended" }).getByRole("article", { name: "Pace Retro" });
  await expect(over.getByText("Ended", { exact: true })).toBeVisible();
});

for (const [direction, hours] of Object.entries({ ahead: 5, behind: -5 })) {
  test(`the countdown is right on a device whose clock is five hours ${direction}`, async ({ page, shop }) => {
    await page.addInitScript((milliseconds) => {
      const RealDate = Date;
      const now = () => RealDate.now() + milliseconds;
      globalThis.Date = new Proxy(RealDate, {
        construct: (target, given) => (given.length ? Reflect.construct(target, given) : new target(now())),
        get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
      });
    }, hours * 3_600_000);
    await shop.createDrop({ name: "Cloud Slip" });
    await open(page);
    await signIn(page, "erin");
    await card(page, "Cloud Slip").getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, "Cloud Slip").getByRole("timer")).toHaveText(/^(1:00|0:5[5-9])$/);
    await page.reload();
    await expect(card(page, "Cloud Slip").getByRole("timer")).toHaveText(/^0:[45]\d$/);
  });
}

test.describe("where clocks are changed", () => {
  test.use({ timezoneId: "Europe/Berlin" });

  test("the hour that comes twice says which one it is", async ({ page, shop }) => {
    await shop.createDrop({ name: "First", startsAt: "2031-10-26T00:30:00Z" });
    await shop.createDrop({ name: "Second", startsAt: "2031-10-26T01:30:00Z" });
    await shop.createDrop({ name: "Later", startsAt: "2031-10-27T01:30:00Z" });
    await open(page);
    for (const [name, time] of [
      ["First", "Sun 26 Oct 2031, 02:30 GMT+2"],
      ["Second", "Sun 26 Oct 2031, 02:30 GMT+1"],
      ["Later", "Mon 27 Oct 2031, 02:30"],
    ] as const) {
      await expect(card(page, name).locator(".when time")).toHaveText(time);
    }
  });
});
