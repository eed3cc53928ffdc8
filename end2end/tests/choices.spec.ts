import type { Page } from "@playwright/test";
import { card, expect, open, signIn, test, toast } from "./shop";

const SIZES = [
  { label: "US 8", stock: 1 },
  { label: "US 9", stock: 1 },
];
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

/** The drop of the card that has the focus. */
const focusedCard = (page: Page) =>
  page.evaluate(() => document.activeElement!.closest("article")?.querySelector("h1, h3")?.textContent);

test("after signing in from a card, the pair that was asked for is reserved", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: SIZES });
  await open(page);
  const ridge = card(page, "Ridge Trail");
  await ridge.getByRole("radio", { name: /US 9/ }).check();
  await ridge.getByRole("button", { name: "Sign in to reserve" }).click();
  await page.getByLabel("Username").fill("alice");
  await page.keyboard.press("Enter");
  await expect(toast(page, /^US 9 is reserved/)).toBeVisible();
  await expect(ridge.getByRole("timer")).toBeVisible();
  await expect.poll(() => focusedCard(page)).toBe("Ridge Trail");
});

test("after signing in without a chosen size, one is asked for; after closing the dialog, nothing is reserved", async ({
  page,
  shop,
}) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: SIZES });
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await card(page, "Volt Runner").getByRole("button", { name: "Sign in to reserve" }).click();
  await page.keyboard.press("Escape");
  await card(page, "Ridge Trail").getByRole("button", { name: "Sign in to reserve" }).click();
  await page.getByLabel("Username").fill("alice");
  await page.keyboard.press("Enter");
  await expect(toast(page, "Choose a size, then reserve.")).toBeVisible();
  await expect(card(page, "Ridge Trail").getByRole("radio", { name: /US 8/ })).toBeFocused();
  await expect(card(page, "Volt Runner").getByText("10 of 10 left")).toBeVisible();
});

test("a chosen size stays chosen while the last pairs go and come back, and over a reload", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Ridge Trail", sizes: SIZES });
  await open(page);
  await signIn(page, "alice");
  const ridge = card(page, "Ridge Trail");
  const chosen = ridge.getByRole("radio", { name: /US 9/ });
  await chosen.check();
  const [bob, carol] = [await shop.customer("bob"), await shop.customer("carol")];
  await bob.reserve(drop, "US 8");
  await carol.reserve(drop, "US 9");
  await expect(ridge.getByText("All reserved. 2 may come back.")).toBeVisible();
  await carol.release(drop);
  await expect(chosen).toBeChecked();
  await bob.release(drop);
  await page.reload();
  await expect(chosen).toBeChecked();
  await ridge.getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^US 9 is reserved/)).toBeVisible();
});

test("a size can be chosen before the drop opens, and stays chosen", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: SIZES, startsAt: inSeconds(4) });
  await open(page);
  await signIn(page, "alice");
  const ridge = card(page, "Ridge Trail");
  await ridge.getByRole("radio", { name: /US 9/ }).check();
  await ridge.getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^US 9 is reserved/)).toBeVisible();
});

test("a chosen size that others took is chosen no more, which is said", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Ridge Trail", sizes: SIZES });
  await open(page);
  await signIn(page, "alice");
  const ridge = card(page, "Ridge Trail");
  await ridge.getByRole("radio", { name: /US 9/ }).check();
  await (await shop.customer("bob")).reserve(drop, "US 9");
  await expect(ridge.getByText("US 9 just went. Choose another.")).toBeVisible();
  await expect(ridge.getByRole("radio", { name: /US 9/ })).not.toBeChecked();
  await ridge.getByRole("radio", { name: /US 8/ }).check();
  await expect(ridge.getByText("US 9 just went.")).toHaveCount(0);
  await ridge.getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^US 8 is reserved/)).toBeVisible();
});

test("focus goes to the heading of a new page, also on the way back", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await card(page, "Volt Runner").getByRole("link", { name: "Volt Runner" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeFocused();
  await page.getByRole("link", { name: "Drops", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Limited pairs" })).toBeFocused();
  await page.goBack();
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeFocused();
});

test("signing in and out leaves the focus where it can go on", async ({ page }) => {
  await open(page);
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("alice");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeFocused();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeEnabled();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("banner").getByRole("button", { name: "Sign in" })).toBeFocused();
});

for (const focus of ["button", "radio"] as const) {
  test(`focus on a ${focus} stays in the card while a drop opens, goes, comes back and sells out`, async ({
    page,
    shop,
  }) => {
    const drop = await shop.createDrop({ name: "Ridge Trail", sizes: SIZES, startsAt: inSeconds(5) });
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const [bob, carol] = [await shop.customer("bob"), await shop.customer("carol")];
    await open(page);
    await signIn(page, "alice");
    const ridge = card(page, "Ridge Trail");
    await ridge.getByRole("radio", { name: /US 9/ }).check();
    await ridge.getByRole("radio", { name: /US 9/ }).focus();
    await expect(ridge.getByRole("button", { name: "Reserve" })).toBeEnabled();
    await expect(page.getByText(/Ridge Trail. is open\./)).toBeAttached();
    expect(await focusedCard(page)).toBe("Ridge Trail");
    if (focus === "button") await ridge.getByRole("button", { name: "Reserve" }).focus();
    await bob.reserve(drop, "US 8");
    await carol.reserve(drop, "US 9");
    await expect(ridge.getByText("All reserved. 2 may come back.")).toBeVisible();
    await expect.poll(() => focusedCard(page)).toBe("Ridge Trail");
    await carol.release(drop);
    await expect(ridge.getByText("1 of 2 left")).toBeVisible();
    await expect.poll(() => focusedCard(page)).toBe("Ridge Trail");
    await carol.reserve(drop, "US 9");
    await carol.purchase(drop);
    await bob.purchase(drop);
    await expect(ridge.getByText("Sold out", { exact: true })).toBeVisible();
    await expect.poll(() => focusedCard(page)).toBe("Ridge Trail");
  });
}

for (const happens of ["sells out", "is created", "opens"] as const) {
  test(`nothing moves under the pointer when another drop ${happens}`, async ({ page, shop }) => {
    const first = await shop.createDrop({ name: "Court 76", totalStock: 1, startsAt: "2026-01-01T00:00:00Z" });
    await shop.createDrop({ name: "Ridge Trail", sizes: SIZES, startsAt: "2026-01-02T00:00:00Z" });
    await shop.createDrop({ name: "Volt Runner", totalStock: 10, startsAt: "2026-01-03T00:00:00Z" });
    await shop.createDrop({ name: "Halo Air", totalStock: 10, startsAt: "2026-01-04T00:00:00Z" });
    if (happens === "opens") await shop.createDrop({ name: "Slab Skate", startsAt: inSeconds(4) });
    const bob = await shop.customer("bob");
    await open(page);
    await signIn(page, "alice");
    const halo = card(page, "Halo Air");
    const reserve = halo.getByRole("button", { name: "Reserve" });
    await reserve.hover();
    const before = await reserve.boundingBox();
    const changed = card(page, happens === "sells out" ? "Court 76" : "Slab Skate");
    if (happens === "sells out") {
      await bob.reserve(first);
      await bob.purchase(first);
      await expect(changed.getByText("Sold out", { exact: true })).toBeVisible();
    } else if (happens === "is created") {
      await shop.createDrop({ name: "Slab Skate", startsAt: "2025-01-01T00:00:00Z" });
      const other = await page.context().newPage();
      await open(other);
      await expect(card(other, "Slab Skate")).toBeVisible();
    } else {
      await expect(changed.getByRole("button", { name: "Reserve" })).toBeVisible();
    }
    expect(await reserve.boundingBox()).toEqual(before);
    await page.mouse.down();
    await page.mouse.up();
    await expect(halo.getByRole("timer")).toBeVisible();
    await page.mouse.move(0, 0);
    await expect(changed).toBeVisible();
    const section = happens === "sells out" ? "Sold out or ended" : "Live now";
    await expect(page.getByRole("region", { name: section }).locator(changed)).toBeVisible();
  });
}

for (const viewport of [{ width: 375, height: 667 }, { width: 360, height: 640 }]) {
  test(`on a screen of ${viewport.width} by ${viewport.height}, toasts cover no action`, async ({ newVisitor, shop }) => {
    await shop.createDrop({ name: "Ridge Trail", sizes: [{ label: "US 8", stock: 5 }, { label: "US 9", stock: 5 }] });
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const page = await (await newVisitor({ viewport, hasTouch: true })).newPage();
    await open(page);
    await signIn(page, "alice");
    const covered = () =>
      page.evaluate(() => {
        const toasts = [...document.querySelectorAll(".toast")].map((toast) => toast.getBoundingClientRect());
        return [...document.querySelectorAll(".action :is(button, a)")].filter((action) => {
          const { left, right, top, bottom } = action.getBoundingClientRect();
          return toasts.some((toast) =>
            toast.left < right && left < toast.right && toast.top < bottom && top < toast.bottom);
        }).length;
      });
    for (const name of ["Volt Runner", "Ridge Trail"]) {
      const shown = card(page, name);
      if (name === "Ridge Trail") await shown.getByRole("radio", { name: /US 9/ }).tap();
      await shown.getByRole("button", { name: "Reserve" }).tap();
      await expect(toast(page, /eserved for/).last()).toBeVisible();
      await expect(shown.getByRole("button", { name: "Give it back" })).toBeEnabled();
      // Wherever on the screen the actions are.
      for (const distance of [0, 8, 40, 120, 300]) {
        await shown.getByRole("button", { name: "Give it back" }).evaluate((button, distance) => {
          scrollBy({ top: button.getBoundingClientRect().bottom - innerHeight + distance, behavior: "instant" });
        }, distance);
        await expect.poll(covered).toBe(0);
      }
      await shown.getByRole("button", { name: "Complete purchase" }).tap();
      await expect(toast(page, /The pair is yours/).last()).toBeVisible();
      await expect.poll(covered).toBe(0);
    }
  });
}

test("the visitor's own messages stay, and what others buy is no message", async ({ page, shop, consoleErrors }) => {
  const others = await Promise.all(
    ["A", "B", "C", "D", "E"].map((name) => shop.createDrop({ name: `Court ${name}`, totalStock: 1 })),
  );
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "alice");
  await page.route("**/rpc/reserve", (route) => route.abort(), { times: 1 });
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  const error = toast(page, /^The shop could not be reached/);
  await expect(error).toBeVisible();
  const bob = await shop.customer("bob");
  for (const drop of others) {
    await bob.reserve(drop);
    await bob.purchase(drop);
  }
  for (const name of ["A", "E"]) {
    await expect(card(page, `Court ${name}`).getByText("Sold out", { exact: true })).toBeVisible();
  }
  await expect(error).toBeVisible();
  await expect(toast(page, /sold out/)).toHaveCount(0);
  consoleErrors.length = 0; // the browser reports the aborted request
});

test("a message stays while it is pointed at or has the focus", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: SIZES });
  await page.clock.install();
  await open(page);
  await card(page, "Ridge Trail").getByRole("button", { name: "Sign in to reserve" }).click();
  await page.getByLabel("Username").fill("alice");
  await page.keyboard.press("Enter");
  const message = toast(page, "Choose a size, then reserve.");
  await message.hover();
  await page.clock.runFor(8_000);
  await expect(message).toBeVisible();
  await page.getByRole("button", { name: "Dismiss" }).focus();
  await page.mouse.move(0, 0);
  await page.getByRole("button", { name: "Dismiss" }).focus();
  await page.clock.runFor(8_000);
  await expect(message).toBeVisible();
  await page.locator("body").click({ position: { x: 1, y: 1 } });
  await page.clock.runFor(8_000);
  await expect(message).toHaveCount(0);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`choice and stock can be seen in forced colours, ${colorScheme}`, async ({ newVisitor, shop }) => {
    const drop = await shop.createDrop({ name: "Ridge Trail", sizes: [...SIZES, { label: "US 10", stock: 2 }] });
    await (await shop.customer("bob")).reserve(drop, "US 8");
    const page = await (await newVisitor({ forcedColors: "active", colorScheme, reducedMotion: "reduce" })).newPage();
    await open(page);
    const ridge = card(page, "Ridge Trail");
    await ridge.getByRole("radio", { name: /US 9/ }).check();
    const look = (label: string) =>
      ridge.locator(".size", { hasText: label }).evaluate((size) => getComputedStyle(size).backgroundColor);
    expect(await look("US 9")).not.toBe(await look("US 10"));
    const [meter, left, held, paper] = await ridge.locator(".stock").evaluate((stock) => {
      const of = (selector: string) => getComputedStyle(stock.querySelector(selector)!);
      const svg = of("svg");
      return [
        [svg.backgroundColor, svg.outlineStyle, svg.outlineColor],
        of("rect.left").fill,
        of("rect.held").fill,
        getComputedStyle(document.body).backgroundColor,
      ];
    });
    expect(meter![1]).toBe("solid");
    expect(new Set([meter![2], meter![0]]).size, "the edge of the empty part can be seen").toBe(2);
    expect(new Set([left, held, paper]).size, "the parts differ").toBe(3);
  });
}
