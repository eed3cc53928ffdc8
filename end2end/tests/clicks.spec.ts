import type { Locator, Page } from "@playwright/test";
import { card, connection, expect, open, signIn, test, toast } from "./shop";

/** Presses what is in the middle of an element twice, with this time between. */
async function tapTwice(page: Page, target: Locator, milliseconds: number): Promise<void> {
  await target.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await target.boundingBox())!;
  await page.mouse.click(x + width / 2, y + height / 2, { clickCount: 2, delay: milliseconds });
}

async function expectNothingBought(page: Page, name: string): Promise<void> {
  // Only what can be pressed could have been.
  await expect(card(page, name).getByRole("button", { name: "Complete purchase" })).toBeEnabled();
  await expect(card(page, name).getByText(/^Yours\./)).toHaveCount(0);
}

for (const milliseconds of [0, 120, 200, 300]) {
  test(`nobody buys by a second tap after ${milliseconds} ms`, async ({ page, shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    // Its left half, where the purchase appears.
    await tapTwice(page, volt.getByRole("button", { name: "Reserve" }), milliseconds);
    await expectNothingBought(page, "Volt Runner");
    await volt.getByRole("button", { name: "Complete purchase" }).click();
    await expect(volt.getByText(/^Yours\./)).toBeVisible();
  });
}

test("nobody buys by pressing Enter twice, or gives back and reserves again", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Reserve" }).focus();
  await page.keyboard.press("Enter");
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expectNothingBought(page, "Volt Runner");
  await tapTwice(page, volt.getByRole("button", { name: "Give it back" }), 150);
  await expect(toast(page, "You gave the pair back.")).toBeVisible();
  await expect(volt.getByRole("button", { name: "Reserve" })).toBeEnabled();
  await expect(volt.getByText("10 of 10 left")).toBeVisible();
});

test("nobody signs out by a second press on what signs in", async ({ page }) => {
  await open(page);
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username").fill("alice");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeEnabled();
});

/** Lets requests reach the server, whose answers never come. */
async function loseAnswers(page: Page, functions: string): Promise<void> {
  await page.route(`**/rpc/${functions}`, (route) => void route.fetch().catch(() => {}));
}

/** Lets the next request go nowhere. */
async function loseRequest(page: Page, functions: string): Promise<void> {
  await page.route(`**/rpc/${functions}`, () => {}, { times: 1 });
}

test("what the socket brings settles calls whose answers never come", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "alice");
  await loseAnswers(page, "*");
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^Reserved for/)).toBeVisible();
  await volt.getByRole("button", { name: "Give it back" }).click();
  await expect(toast(page, "You gave the pair back.")).toBeVisible();
  await volt.getByRole("button", { name: "Reserve" }).click();
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await expect(toast(page, /The pair is yours/)).toBeVisible();
  await volt.getByRole("button", { name: "Reserve another" }).click();
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await expect(volt.getByText("8 of 10 left")).toBeVisible();
});

for (const [action, name] of Object.entries({ purchase: "Complete purchase", release: "Give it back" })) {
  test(`a ${action} that gets lost does not stop the next pair`, async ({ page, context, shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    await volt.getByRole("button", { name: "Reserve" }).click();
    await loseRequest(page, action);
    await volt.getByRole("button", { name }).click();
    await expect(volt.locator(".own").getByRole("button").last()).toBeDisabled();
    const other = await context.newPage();
    await open(other);
    await card(other, "Volt Runner").getByRole("button", { name: "Give it back" }).click();
    await volt.getByRole("button", { name: "Reserve" }).click();
    await volt.getByRole("button", { name }).click();
    await expect(volt.getByText(action === "purchase" ? /^Yours\./ : "10 of 10 left")).toBeVisible();
  });
}

test("a request without an answer ends, and the page says that trying again is safe", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await page.clock.install();
  await open(page);
  const unanswered = "No answer came. It may have worked; trying again is safe, as nothing happens twice.";
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill("alice");
  await loseRequest(page, "*");
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
  await expect(dialog.getByRole("button", { name: "Enter the drop" })).toBeDisabled();
  await page.clock.fastForward(11_000);
  await expect(dialog.getByRole("alert")).toHaveText(unanswered);
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
  await expect(page.getByRole("banner").getByText("alice")).toBeVisible();
  const volt = card(page, "Volt Runner");
  for (const name of ["Reserve", "Give it back", "Complete purchase"]) {
    await loseRequest(page, "*");
    await volt.getByRole("button", { name }).click();
    // Until then it can be kept.
    if (name === "Give it back") await page.clock.fastForward(5_100);
    await page.clock.fastForward(11_000);
    await expect(toast(page, unanswered)).toBeVisible();
    await page.getByRole("button", { name: "Dismiss" }).click();
    if (name === "Reserve") {
      await volt.getByRole("button", { name }).click();
      await expect(volt.getByRole("timer")).toBeVisible();
    }
  }
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await expect(volt.getByText(/^Yours\./)).toBeVisible();
});

for (const [action, name] of Object.entries({ purchase: "Complete purchase", release: "Give it back" })) {
  test(`a late copy of a ${action} is for no other pair`, async ({ page, shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    await volt.getByRole("button", { name: "Reserve" }).click();
    const sent = page.waitForRequest(`**/rpc/${action}`);
    await volt.getByRole("button", { name }).click();
    const copy = await sent;
    await volt.getByRole("button", { name: action === "purchase" ? "Reserve another" : "Reserve" }).click();
    await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeVisible();
    const answer = await page.request.post(copy.url(), {
      headers: { "content-type": "application/x-www-form-urlencoded", origin: shop.url },
      data: copy.postData()!,
    });
    expect(answer.status()).toBe(200);
    const left = volt.getByText(action === "purchase" ? "8 of 10 left" : "9 of 10 left");
    await expect(left).toBeVisible();
    await volt.getByRole("button", { name: "Complete purchase" }).click();
    await expect(left).toBeVisible();
  });
}

for (const [action, name] of Object.entries({ reserve: "Reserve", purchase: "Complete purchase" })) {
  test(`an answer to a ${action} that comes after signing out shows nothing`, async ({ page, shop }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    if (action === "purchase") await volt.getByRole("button", { name: "Reserve" }).click();
    let answer = () => {};
    const mayAnswer = new Promise<void>((resolve) => (answer = resolve));
    await page.routeWebSocket("/ws", () => {});
    const answered = page.waitForResponse(`**/rpc/${action}`);
    await page.route(`**/rpc/${action}`, async (route) => {
      const response = await route.fetch();
      await mayAnswer;
      await route.fulfill({ response });
    });
    await volt.getByRole("button", { name }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(volt.getByRole("button", { name: "Sign in to reserve" })).toBeVisible();
    answer();
    await (await answered).finished();
    // What an answer changes is on the page two frames later.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await expect(volt.getByRole("timer")).toHaveCount(0);
    await expect(volt.getByText(/^Yours\./)).toHaveCount(0);
    await expect(page.getByRole("region", { name: "Messages" }).getByText(/yours|Reserved/)).toHaveCount(0);
    await signIn(page, "bob");
    await expect(volt.getByRole("button", { name: "Reserve" })).toBeEnabled();
  });
}

for (const [name, act] of Object.entries({
  reserve: (page: Page) => card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click(),
  "sign out": (page: Page) => page.getByRole("button", { name: "Sign out" }).click(),
})) {
  test(`a tab does not ${name} as somebody who signed in elsewhere, and learns who it is`, async ({
    page,
    context,
    shop,
    consoleErrors,
  }) => {
    await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    await open(page);
    await signIn(page, "alice");
    // As a tab without WebAssembly does, which tells the others nothing.
    const signedIn = await context.request.post("/rpc/sign_in", {
      form: { username: "bob" },
      headers: { origin: shop.url },
    });
    expect(signedIn.ok()).toBe(true);
    await act(page);
    await expect(toast(page, /^Somebody else signed in with this browser\./)).toBeVisible();
    await expect(page.getByRole("banner").getByText("bob")).toBeVisible();
    await expect(connection(page)).toHaveText("Connected");
    await expect(card(page, "Volt Runner").getByText("10 of 10 left")).toBeVisible();
    consoleErrors.length = 0; // the browser reports the refusal
  });
}
