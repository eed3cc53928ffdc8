import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { card, expect, open, signIn, test } from "./shop";

async function expectNoViolations(page: Page, state: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  expect(found, state).toEqual([]);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds no violations on any page in any state, ${colorScheme}`, async ({ newVisitor, shop }) => {
    const sizes = [
      { label: "S", stock: 1 },
      { label: "M", stock: 3 },
    ];
    const limited = await shop.createDrop({ name: "Volt Runner", sizes, limitPerUser: 1 });
    const last = await shop.createDrop({ name: "Halo Air", totalStock: 1 });
    const sold = await shop.createDrop({ name: "Slab Skate", totalStock: 1 });
    await shop.createDrop({ name: "Court 76" });
    await shop.createDrop({ name: "Ridge Trail", startsAt: new Date(Date.now() + 3_600_000).toISOString() });
    await shop.createDrop({ name: "Pace Retro", startsAt: "2020-01-01T00:00:00Z", endsAt: "2020-01-02T00:00:00Z" });
    const bob = await shop.customer("bob");
    await bob.reserve(limited, "S");
    await bob.reserve(last);
    await bob.reserve(sold);
    await bob.purchase(sold);

    // Without transitions, so that axe measures the final colours.
    const context = await newVisitor({ colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    await open(page);
    await expectNoViolations(page, "dashboard, signed out");
    await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("dialog", { name: "Sign in" })).toBeVisible();
    await expectNoViolations(page, "sign-in");
    await page.keyboard.press("Escape");

    await signIn(page, "alice");
    await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, "Court 76").getByRole("timer")).toBeVisible();
    await expectNoViolations(page, "dashboard with a reservation");
    await card(page, "Court 76").getByRole("button", { name: "Complete purchase" }).click();
    await expect(card(page, "Court 76").getByText(/^Yours\./)).toBeVisible();
    await expectNoViolations(page, "dashboard with a purchase");

    for (const path of [`/drops/${limited}`, `/drops/${sold}`, "/purchases"]) {
      await open(page, path);
      await expectNoViolations(page, path);
    }
  });

  test.describe(() => {
    test.use({ ttlSeconds: 9 });

    test(`axe finds no violations in the last ten seconds or on the 404 page, ${colorScheme}`, async ({
      newVisitor,
      shop,
      consoleErrors,
    }) => {
      await shop.createDrop({ name: "Court 76" });
      const page = await (await newVisitor({ colorScheme, reducedMotion: "reduce" })).newPage();
      await open(page);
      await signIn(page, "alice");
      await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
      await expect(card(page, "Court 76").getByText(/^[89] seconds left$/)).toBeAttached();
      await expectNoViolations(page, "the last ten seconds");
      await page.goto("/nowhere");
      await expect(page.getByRole("heading", { name: "Nothing here" })).toBeVisible();
      await expectNoViolations(page, "404");
      consoleErrors.length = 0; // the browser reports the 404
    });
  });
}
