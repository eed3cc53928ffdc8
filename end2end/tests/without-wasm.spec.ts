import { type BrowserContext } from "@playwright/test";
import { card, expect, open, signIn, signInWithoutCookies, test } from "./shop";

// Plain forms that the server answers with a page.
for (const [condition, javaScriptEnabled] of Object.entries({
  "JavaScript disabled": false,
  "the WebAssembly module blocked": true,
})) {
  test.describe(`with ${condition}`, () => {
    test.use({ javaScriptEnabled });

    test.beforeEach(async ({ context }) => {
      await context.route("**/*.wasm", (route) => route.abort());
    });

    test.afterEach(async ({ page, consoleErrors }) => {
      if (javaScriptEnabled) await expect(page.locator("#hydration-failure")).toBeVisible();
      consoleErrors.length = 0; // the browser reports that it could not load the module
    });

    test("signing in, reserving, releasing and purchasing work", async ({ page, shop }) => {
      await shop.createDrop({ name: "Volt Runner", totalStock: 3 });
      await page.goto("/");
      await signIn(page, "alice");
      const volt = card(page, "Volt Runner");
      await volt.getByRole("button", { name: "Reserve" }).click();
      await expect(volt.getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
      await expect(volt.getByText("2 of 3 left")).toBeVisible();
      await volt.getByRole("button", { name: "Give it back" }).click();
      await expect(volt.getByText("3 of 3 left")).toBeVisible();
      await volt.getByRole("button", { name: "Reserve" }).click();
      await volt.getByRole("button", { name: "Complete purchase" }).click();
      await expect(volt.getByText(/^Yours\. Order \d{6}$/)).toBeVisible();
      await volt.getByRole("link", { name: "View purchase" }).click();
      await expect(page.getByRole("heading", { name: /^Order \d{6}$/ })).toBeVisible();
      await page.getByRole("button", { name: "Sign out" }).click();
      await expect(page.getByText("Sign in to see what you bought.")).toBeVisible();
    });

    test("forms lead back to the filter of their page", async ({ page, shop }) => {
      await shop.createDrop({ name: "Volt Runner", sizes: [{ label: "US 9", stock: 2 }, { label: "US 10", stock: 1 }] });
      await shop.createDrop({ name: "Court 76", totalStock: 1 });
      const filtered = "/?size=US+9&show=live";
      await page.goto(filtered);
      await signIn(page, "alice");
      await expect(page).toHaveURL(filtered);
      const volt = card(page, "Volt Runner");
      await volt.getByRole("radio", { name: "US 9, 2 left" }).check();
      await volt.getByRole("button", { name: "Reserve" }).click();
      await expect(volt.getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
      await expect(page).toHaveURL(filtered);
      await expect(card(page, "Court 76")).toHaveCount(0);
    });

    test("a browser that keeps no cookies is told so", async ({ page }) => {
      await page.goto("/");
      await signInWithoutCookies(page, "zoe");
      await expect(page.getByText("Allow cookies for this site")).toBeVisible();
    });

    test("the next page shows why a form was refused, and a success clears it", async ({ page, shop }) => {
      const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 1 });
      await (await shop.customer("bob")).reserve(drop);
      await shop.createDrop({ name: "Court 76", sizes: [{ label: "S", stock: 1 }, { label: "M", stock: 1 }] });
      await page.goto("/");
      await signIn(page, "carol");
      await page.goto("/");
      const court = card(page, "Court 76");
      await court.getByRole("radio", { name: "S, 1 left" }).check();
      await (await shop.customer("dave")).reserve(await newestDrop(shop), "S");
      await court.getByRole("button", { name: "Reserve" }).click();
      await expect(page.getByRole("alert")).toHaveText("The last pair just went.");
      await court.getByRole("radio", { name: "M, 1 left" }).check();
      await court.getByRole("button", { name: "Reserve" }).click();
      await expect(court.getByRole("button", { name: "Complete purchase" })).toBeVisible();
      await expect(page.getByRole("alert")).toHaveCount(0);
    });
  });
}

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false, ttlSeconds: 8 });

  for (const path of ["/", "/drops/1", "/purchases"]) {
    test(`${path} says until when a pair is held, and asks for itself again when that is over`, async ({ page, shop }) => {
      await shop.createDrop({ name: "Volt Runner", totalStock: 1 });
      await page.goto("/");
      await signIn(page, "alice");
      await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
      await page.goto(path);
      const held = page.getByRole("region", { name: "Held for you" });
      const until = held.locator("noscript");
      await expect(until).toBeVisible();
      // Assertions of Playwright take it to have no text.
      expect(await until.textContent()).toMatch(/^until \d\d:\d\d:\d\d UTC$/);
      await expect(held).toBeHidden({ timeout: 15_000 });
      await expect(page).toHaveURL(path);
    });
  }

  for (const path of ["/", "/drops/1"]) {
    test(`${path} asks for itself again when a drop opens, and when it ends`, async ({ page, shop }) => {
      const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();
      await shop.createDrop({ name: "Volt Runner", startsAt: inSeconds(6), endsAt: inSeconds(12) });
      await page.goto(path);
      await expect(card(page, "Volt Runner").getByText(/^Opens in/)).toBeVisible();
      await expect(card(page, "Volt Runner").getByRole("button", { name: "Sign in to reserve" })).toBeVisible({ timeout: 15_000 });
      await expect(card(page, "Volt Runner").getByText("Ended", { exact: true }).first()).toBeVisible({ timeout: 15_000 });
    });
  }
});

// What arrives instead.
const spoiled: Record<string, (context: BrowserContext) => Promise<unknown>> = {
  "the script is none": (context) =>
    context.route("**/*.js", (route) => route.fulfill({ contentType: "text/javascript", body: "not a script" })),
  "the module is none": (context) =>
    context.route("**/*.wasm", (route) => route.fulfill({ contentType: "application/wasm", body: "not a module" })),
  "the document lacks its data": (context) => rewriteDocument(context, '"first-paint"', '"something-else"'),
  "the document has the data of another build": (context) => rewriteDocument(context, '{"address":', '{"adress":'),
};
for (const [what, spoil] of Object.entries(spoiled)) {
  test(`a page that cannot start says so: ${what}`, async ({ context, page, shop, consoleErrors }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 3 });
    await spoil(context);
    await page.goto("/");
    await expect(page.getByText("Part of this page did not load.")).toBeVisible();
    await signIn(page, "alice");
    await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, "Volt Runner").getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
    // Playwright spoils no document that a form was led to. Either it starts or it has said so in the console before.
    await expect(page.locator("html[data-hydrated], #hydration-failure:not([hidden])")).toBeAttached();
    expect(consoleErrors.join("\n")).toContain("the page could not start");
    consoleErrors.length = 0;
  });
}

test("a page that starts does not say that it cannot", async ({ page }) => {
  await open(page);
  await expect(page.getByText("Part of this page did not load.")).toBeHidden();
});

async function rewriteDocument(context: BrowserContext, from: string, to: string): Promise<void> {
  await context.route("/", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(from, to) });
  });
}

async function newestDrop(shop: import("./shop").Shop): Promise<number> {
  const { drops } = (await shop.call("GET", "/api/drops")) as { drops: { id: number }[] };
  return Math.max(...drops.map((drop) => drop.id));
}

test("a browser that knows no popovers starts once", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await page.addInitScript(() => {
    for (const type of [Document.prototype, Element.prototype]) {
      const known = type.querySelector;
      type.querySelector = function (this: ParentNode, selector: string) {
        if (selector.includes(":popover-open")) throw new DOMException("not a valid selector", "SyntaxError");
        return known.call(this, selector);
      } as typeof known;
    }
  });
  const starts: string[] = [];
  page.on("request", (request) => request.url().endsWith(".wasm") && starts.push(request.url()));
  await open(page);
  expect(starts).toHaveLength(1);
  await expect(page.locator("#username")).toHaveAttribute("autocorrect", "off");
});
