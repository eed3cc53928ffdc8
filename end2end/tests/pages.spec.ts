import { card, expect, open, signIn, test } from "./shop";

test("a drop's page has a title, a description and a picture for link previews", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  const response = await page.goto(`/drops/${drop}`);
  expect(response?.status()).toBe(200);
  await expect(page).toHaveTitle("Volt Runner · Sneakdrop");
  const meta = (name: string) => page.locator(`meta[property="${name}"], meta[name="${name}"]`);
  await expect(meta("description")).toHaveAttribute("content", /^Volt Runner, \$199\./);
  await expect(meta("og:title")).toHaveAttribute("content", "Volt Runner");
  await expect(meta("og:url")).toHaveAttribute("content", `${shop.url}/drops/${drop}`);
  const image = await meta("og:image").getAttribute("content");
  const picture = await page.request.get(image!);
  expect(picture.headers()["content-type"]).toBe("image/png");
});

test("a drop's page lists more purchasers than its card, and adds new ones live", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  const buy = async (name: string) => {
    const customer = await shop.customer(name);
    await customer.reserve(drop);
    await customer.purchase(drop);
  };
  for (const name of ["ann", "ben", "cat", "dan"]) await buy(name);
  await open(page, `/drops/${drop}`);
  const list = page.getByRole("region", { name: "Recent purchasers" });
  await expect(list.getByRole("listitem")).toHaveText([/^dan/, /^cat/, /^ben/, /^ann/]);
  await buy("eve");
  await expect(list.getByRole("listitem")).toHaveText([/^eve · just now/, /^dan/, /^cat/, /^ben/, /^ann/]);
});

test("an unknown address is a 404 page with a link back to the drops", async ({ page, consoleErrors }) => {
  for (const path of ["/nowhere", "/drops/999", "/drops/none"]) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await expect(page.getByRole("heading", { name: "Nothing here" })).toBeVisible();
  }
  await page.getByRole("link", { name: "To the drops", exact: true }).click();
  await expect(page).toHaveURL("/");
  consoleErrors.length = 0; // the browser reports each 404
});

test("inline styles and scripts without a nonce are forbidden, and assets are immutable", async ({
  page,
  shop,
}) => {
  await shop.createDrop({ name: "Volt Runner" });
  const assets: Promise<void>[] = [];
  page.on("response", (response) => {
    if (new URL(response.url()).pathname.startsWith("/pkg/")) {
      assets.push(
        response.allHeaders().then((headers) => {
          expect(headers["cache-control"], response.url()).toContain("immutable");
          expect(headers["content-encoding"], response.url()).toMatch(/^(br|gzip)$/);
        }),
      );
    }
  });
  const response = await page.goto("/");
  const policy = response!.headers()["content-security-policy"];
  expect(policy).toMatch(/script-src 'self' 'nonce-[^']+' 'wasm-unsafe-eval'/);
  expect(policy).not.toContain("unsafe-inline");
  await open(page);
  await Promise.all(assets);
  expect(assets.length).toBeGreaterThanOrEqual(3);
});

for (const [device, viewport] of Object.entries({
  phone: { width: 360, height: 740 },
  tablet: { width: 820, height: 1180 },
  desktop: { width: 1920, height: 1080 },
})) {
  test(`on a ${device} nothing overflows, and a pair can be bought by touch`, async ({ shop, newVisitor }) => {
    const labels = ["US 7", "US 8", "US 8.5", "US 9", "US 9.5", "US 10", "US 11", "US 12"];
    await shop.createDrop({ name: "Volt Runner", sizes: labels.map((label) => ({ label, stock: 3 })), limitPerUser: 1 });
    await shop.createDrop({ name: "A name as long as names of limited editions tend to become", priceCents: 1_234_567 });
    const page = await (await newVisitor({ viewport, hasTouch: true })).newPage();
    await open(page);
    await signIn(page, "a-username-of-thirty-two-letters");
    const volt = card(page, "Volt Runner");
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(await overflow()).toBeLessThanOrEqual(0);
    const before = await volt.boundingBox();
    await volt.getByRole("radio", { name: "US 9.5, 3 left" }).tap();
    await volt.getByRole("button", { name: "Reserve" }).tap();
    await expect(volt.getByRole("timer")).toBeVisible();
    expect(await overflow()).toBeLessThanOrEqual(0);
    await volt.getByRole("button", { name: "Complete purchase" }).tap();
    await expect(volt.getByText(/^Yours\./)).toBeVisible();
    expect((await volt.boundingBox())?.width).toBe(before?.width);
  });
}

test("names are shown as they are written", async ({ page, shop }) => {
  for (const name of ['x</title><meta http-equiv=refresh content="0;url=/purchases">', "AT&copy", "</script><b>", "&lt;"]) {
    const drop = await shop.createDrop({ name });
    await open(page, `/drops/${drop}`);
    await expect(page).toHaveTitle(`${name} · Sneakdrop`);
    await expect(page.getByRole("heading", { name, exact: true })).toBeVisible();
    expect(await page.locator('meta[property="og:title"]').getAttribute("content")).toBe(name);
    expect(new URL(page.url()).pathname).toBe(`/drops/${drop}`);
  }
});
