import { card, expect, open, signIn, signInWithoutCookies, test, toast } from "./shop";

test("a browser keeps its username across a reload and can sign in again after signing out", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await signIn(page, "Zoë");
  await page.reload();
  const banner = page.getByRole("banner");
  await expect(banner.getByText("Zoë")).toBeVisible();
  await banner.getByRole("button", { name: "Sign out" }).click();
  await expect(banner.getByRole("button", { name: "Sign in" })).toBeVisible();
  await expect(card(page, "Volt Runner").getByRole("button", { name: "Sign in to reserve" })).toBeVisible();
  await page.reload();
  await open(page);
  await signIn(page, "Zoë");
});

test("a username that another browser claimed is refused with advice, and another one is accepted", async ({
  page,
  newVisitor,
  consoleErrors,
}) => {
  await open(page);
  await signIn(page, "alice");
  const other = await (await newVisitor()).newPage();
  await open(other);
  await other.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = other.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill("ALICE");
  await dialog.getByLabel("Username").press("Enter");
  await expect(dialog.getByRole("alert")).toHaveText(
    "That name is taken. Choose another, or use the browser that claimed it.",
  );
  await dialog.getByLabel("Username").fill("malice");
  await dialog.getByLabel("Username").press("Enter");
  await expect(other.getByRole("banner").getByText("malice")).toBeVisible();
  expect(consoleErrors.splice(0)).toEqual([expect.stringContaining("409")]);
});

test("signing in or out applies to every tab of the browser", async ({ context, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  const [first, second] = [await context.newPage(), await context.newPage()];
  await open(first);
  await open(second, `/drops/${drop}`);
  await signIn(first, "nina");
  await expect(second.getByRole("banner").getByText("nina")).toBeVisible();
  await card(second, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await expect(card(first, "Volt Runner").getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await second.getByRole("button", { name: "Sign out" }).click();
  await expect(first.getByRole("banner").getByRole("button", { name: "Sign in" })).toBeVisible();
  await expect(card(first, "Volt Runner").getByRole("button", { name: "Sign in to reserve" })).toBeVisible();
});

test("the sign-in dialog leaves the page visible, and Escape closes it", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await card(page, "Volt Runner").getByRole("button", { name: "Sign in to reserve" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await expect(dialog.getByLabel("Username")).toBeFocused();
  await expect(card(page, "Volt Runner")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(card(page, "Volt Runner").getByRole("button", { name: "Sign in to reserve" })).toBeFocused();
});

test("signing in, reserving and purchasing work from the keyboard, and focus is never lost", async ({ page, shop }) => {
  await shop.createDrop({
    name: "Ridge Trail",
    sizes: [
      { label: "S", stock: 2 },
      { label: "M", stock: 2 },
    ],
  });
  await open(page);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the drops" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();

  const ridge = card(page, "Ridge Trail");
  await page.keyboard.press("Tab");
  await expect(ridge.getByRole("link", { name: "Ridge Trail" })).toBeFocused();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await expect(ridge.getByRole("button", { name: "Sign in to reserve" })).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.type("kim");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("banner").getByText("kim")).toBeVisible();

  await ridge.getByRole("radio", { name: /^S,/ }).focus();
  await page.keyboard.press("ArrowDown");
  await expect(ridge.getByRole("radio", { name: /^M,/ })).toBeChecked();
  await page.keyboard.press("Tab");
  await expect(ridge.getByRole("button", { name: "Reserve" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(ridge.getByRole("button", { name: "Complete purchase" })).toBeFocused();
  // Not before: pressing twice would buy.
  await expect(ridge.getByRole("button", { name: "Complete purchase" })).toBeEnabled();
  await page.keyboard.press("Enter");
  await expect(ridge.getByRole("link", { name: "View purchase" })).toBeFocused();
});

test("a browser that keeps no cookies is told so, and the name stays free", async ({ page, newVisitor }) => {
  await open(page);
  await signInWithoutCookies(page, "zoe");
  await expect(toast(page, "Allow cookies for this site")).toBeVisible();
  await expect(page.getByRole("banner").getByRole("button", { name: "Sign in" })).toBeVisible();
  const other = await (await newVisitor()).newPage();
  await open(other);
  await signIn(other, "zoe");
});

test("what other scripts store in the browser does not reconnect a tab", async ({ context }) => {
  const [first, second] = [await context.newPage(), await context.newPage()];
  let sockets = 0;
  first.on("websocket", () => sockets++);
  await open(first);
  await open(second);
  await second.evaluate(() => {
    localStorage.setItem("another.script", "1");
    localStorage.setItem("sneakdrop", "1");
    localStorage.removeItem("another.script");
    localStorage.clear();
  });
  await signIn(second, "nina");
  await expect(first.getByRole("banner").getByText("nina")).toBeVisible();
  expect(sockets).toBe(2);
});

test("the sign-in field takes exactly the names that are allowed", async ({ page }) => {
  await open(page);
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username").pressSequentially("🦊".repeat(20));
  await expect(page.getByLabel("Username")).toHaveValue("🦊".repeat(16));
  await page.getByRole("button", { name: "Enter the drop" }).click();
  await expect(page.getByRole("banner").getByText("🦊".repeat(16))).toBeVisible();
});
