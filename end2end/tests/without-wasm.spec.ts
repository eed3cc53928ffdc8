import { card, expect, signIn, test } from "./shop";

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

    test.afterEach(({ consoleErrors }) => {
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
      await expect(page.getByRole("listitem").filter({ hasText: "Volt Runner" })).toBeVisible();
      await page.getByRole("button", { name: "Sign out" }).click();
      await expect(page.getByText("Sign in to see what you bought.")).toBeVisible();
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
      await expect(page.getByRole("alert")).toHaveText("The last pair just went. Another may come back.");
      await court.getByRole("radio", { name: "M, 1 left" }).check();
      await court.getByRole("button", { name: "Reserve" }).click();
      await expect(court.getByRole("button", { name: "Complete purchase" })).toBeVisible();
      await expect(page.getByRole("alert")).toHaveCount(0);
    });
  });
}

async function newestDrop(shop: import("./shop").Shop): Promise<number> {
  const { drops } = (await shop.call("GET", "/api/drops")) as { drops: { id: number }[] };
  return Math.max(...drops.map((drop) => drop.id));
}
