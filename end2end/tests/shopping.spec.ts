import type { Locator, Page } from "@playwright/test";
import ICAL from "ical.js";
import { type Shop, card, expect, open, signIn, test, toast, waitForHydration } from "./shop";

const US_SIZES = ["US 7", "US 8", "US 8.5", "US 9", "US 9.5", "US 10", "US 11", "US 12"].map((label) => ({
  label,
  stock: 5,
}));
const bar = (page: Page) => page.getByRole("region", { name: "Held for you" });
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
const height = async (element: Locator) => Math.round((await element.boundingBox())!.height);

for (const [width, viewportHeight] of [
  [390, 844],
  [375, 667],
  [820, 1180],
  [1280, 720],
  [1440, 900],
] as const) {
  test(`a pair can be bought on the first screen, ${width}×${viewportHeight}`, async ({ shop, newVisitor }) => {
    await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES, limitPerUser: 1 });
    // So many that there are filters.
    for (let number = 1; number <= 8; number++) await shop.createDrop({ name: `Court ${number}` });
    const page = await (await newVisitor({ viewport: { width, height: viewportHeight } })).newPage();
    await open(page);
    await expect(page.getByRole("button", { name: "Filter" })).toBeVisible();
    const volt = card(page, "Volt Runner");
    const isWhole = async (part: Locator) => {
      const { y, height } = (await part.boundingBox())!;
      expect(y).toBeGreaterThanOrEqual(0);
      expect(y + height).toBeLessThanOrEqual(viewportHeight);
    };
    const parts = () => [volt.locator("img"), volt.getByRole("heading"), volt.getByText("$199"), volt.getByText("40 of 40 left")];
    await isWhole(volt.getByRole("button", { name: "Sign in to reserve" }));
    for (const part of parts()) await isWhole(part);
    await signIn(page, "alice");
    await isWhole(volt.getByRole("button", { name: "Reserve" }));
    for (const part of parts()) await isWhole(part);
  });
}

test("a held pair is in sight on every page, the one that ends first first", async ({ page, shop, consoleErrors }) => {
  const volt = await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  await shop.createDrop({ name: "Court 76", priceCents: 0 });
  await open(page);
  await expect(bar(page)).toBeHidden();
  await signIn(page, "alice");
  await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
  await expect(page).toHaveTitle(/^(1:00|0:5\d) · Sneakdrop$/);
  await card(page, "Volt Runner").getByRole("radio", { name: /US 9,/ }).check();
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  const held = bar(page).locator("[data-drop]");
  await expect(held).toHaveText([/0:\d\d.*Court 76.*Free.*Complete purchase · Free/, /0:\d\d.*Volt Runner.*US 9 · \$199.*Complete/]);
  for (const path of [`/drops/${volt}`, "/drops/past", "/purchases", "/nowhere"]) {
    await open(page, path);
    await expect(held).toHaveCount(2);
    await expect(page).toHaveTitle(/^0:\d\d · /);
    await expect(bar(page).getByRole("link", { name: "Court 76" })).toBeInViewport({ ratio: 1 });
    await expect(held.nth(1)).toBeInViewport();
    await bar(page).getByRole("link", { name: "Volt Runner" }).focus();
    await expect(bar(page).getByRole("link", { name: "Volt Runner" })).toBeInViewport({ ratio: 1 });
  }
  await open(page, "/purchases");
  await bar(page).getByRole("button", { name: "Complete purchase · $199, Volt Runner" }).click();
  await expect(page.getByRole("main").getByRole("listitem").filter({ hasText: "Volt Runner" })).toBeVisible();
  await expect(held).toHaveCount(1);
  consoleErrors.length = 0; // the browser reports the 404
});

test("the card of a held pair comes first, and the bar hides nothing on a phone", async ({ shop, newVisitor }) => {
  for (let number = 1; number <= 5; number++) await shop.createDrop({ name: `Court ${number}` });
  const page = await (await newVisitor({ viewport: { width: 390, height: 844 }, hasTouch: true })).newPage();
  await open(page);
  await signIn(page, "alice");
  await card(page, "Court 4").getByRole("button", { name: "Reserve" }).tap();
  await expect(bar(page)).toBeVisible();
  await open(page);
  await expect(page.getByRole("article").first()).toContainText("Court 4");
  const { y, height } = (await bar(page).boundingBox())!;
  expect(Math.round(y + height)).toBe(844);
  // Whatever is reached by keyboard stands above the bar.
  await page.getByRole("link", { name: "Past drops" }).focus();
  for (let tabs = 0; tabs < 12; tabs++) {
    const covered = await page.evaluate(() => {
      const focused = document.activeElement!;
      const { left, top, width, height } = focused.getBoundingClientRect();
      const at = document.elementFromPoint(left + width / 2, top + height / 2);
      return !focused.closest(".bar") && at?.closest(".bar") ? focused.outerHTML : undefined;
    });
    expect(covered).toBeUndefined();
    await page.keyboard.press("Shift+Tab");
  }
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  const footer = (await page.getByRole("contentinfo").boundingBox())!;
  expect(footer.y + footer.height).toBeLessThanOrEqual((await bar(page).boundingBox())!.y + 1);
});

test("a pair that is given back can be kept for five seconds", async ({ page, shop }) => {
  await shop.createDrop({ name: "Court 76", totalStock: 3 });
  await page.clock.install();
  await open(page);
  await signIn(page, "alice");
  const court = card(page, "Court 76");
  const complete = court.locator(".own").getByRole("button").last();
  await court.getByRole("button", { name: "Reserve" }).click();
  await page.clock.runFor(1_000);
  const before = await height(court);
  await court.getByRole("button", { name: "Give it back" }).click();
  await expect(complete).toHaveText("Giving it back…");
  await expect(complete).toBeDisabled();
  expect(await height(court)).toBe(before);
  await page.clock.runFor(1_000);
  await court.getByRole("button", { name: "Keep it" }).click();
  await page.clock.runFor(6_000);
  await expect(complete).toHaveText("Complete purchase · $199");
  await expect(complete).toBeEnabled();
  await expect(court.getByText("2 of 3 left")).toBeVisible();
  await court.getByRole("button", { name: "Give it back" }).click();
  await page.clock.runFor(4_000);
  await expect(court.getByText("2 of 3 left")).toBeVisible();
  await page.clock.runFor(1_500);
  await expect(court.getByText("3 of 3 left")).toBeVisible();
});

for (const leave of ["closes", "signs out"]) {
  test(`a pair that is given back goes back although the visitor ${leave}`, async ({ page, context, shop }) => {
    await shop.createDrop({ name: "Court 76", totalStock: 3 });
    const other = await context.newPage();
    await open(page);
    await signIn(page, "alice");
    await open(other, "/drops/1");
    await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
    await expect(card(other, "Court 76").getByText("2 of 3 left")).toBeVisible();
    await card(page, "Court 76").getByRole("button", { name: "Give it back" }).click();
    await expect(card(page, "Court 76").getByRole("button", { name: "Keep it" })).toBeVisible();
    if (leave === "closes") await page.close({ runBeforeUnload: true });
    else await page.getByRole("button", { name: "Sign out" }).click();
    await expect(card(other, "Court 76").getByText("3 of 3 left")).toBeVisible({ timeout: 3_000 });
  });
}

test.describe("for four seconds", () => {
  test.use({ ttlSeconds: 4 });

  test("giving a pair back does not outlast its hold", async ({ page, shop }) => {
    await shop.createDrop({ name: "Court 76", totalStock: 3 });
    const releases: string[] = [];
    page.on("request", (request) => void (request.url().endsWith("/rpc/release") && releases.push(request.url())));
    await open(page);
    await signIn(page, "alice");
    const court = card(page, "Court 76");
    await court.getByRole("button", { name: "Reserve" }).click();
    await court.getByRole("button", { name: "Give it back" }).click();
    await expect(toast(page, "Your 4 seconds are up. The pair went back.")).toBeVisible();
    await expect(court.getByText("3 of 3 left")).toBeVisible();
    await court.getByRole("button", { name: "Reserve" }).click();
    await expect(court.getByRole("button", { name: "Complete purchase" })).toBeEnabled();
    // Until the next hold ends as well, which is longer than a change of mind may take.
    await expect(court.getByText("2 of 3 left")).toBeVisible();
    await expect(court.getByText("3 of 3 left")).toBeVisible();
    expect(releases).toEqual([]);
  });
});

for (const [limitPerUser, sizes] of [
  [1, US_SIZES],
  [undefined, undefined],
  [1, undefined],
] as const) {
  test(`nothing moves from open to held to bought: limit ${limitPerUser}, ${sizes?.length ?? 1} sizes`, async ({ shop, newVisitor }) => {
    await shop.createDrop({ name: "Volt Runner", limitPerUser, sizes: sizes && [...sizes] });
    await shop.createDrop({ name: "Court 76" });
    const page = await (await newVisitor({ viewport: { width: 390, height: 844 }, hasTouch: true })).newPage();
    await page.addInitScript(() => {
      (window as any).shifts = [];
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries().filter((entry: any) => !entry.hadRecentInput) as any[]) {
          (window as any).shifts.push([entry.value, ...entry.sources.map((source: any) => source.node?.outerHTML?.slice(0, 80))]);
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    await open(page);
    await signIn(page, "alice");
    const volt = card(page, "Volt Runner");
    const open_ = await height(volt);
    if (sizes) await volt.getByRole("radio", { name: /US 9,/ }).tap();
    await volt.getByRole("button", { name: "Reserve" }).tap();
    await expect(volt.getByRole("timer")).toBeVisible();
    expect(await height(volt)).toBe(open_);
    await volt.getByRole("button", { name: "Complete purchase" }).tap();
    await expect(volt.getByText(/^Yours\./)).toBeVisible();
    expect(await height(volt)).toBe(open_);
    expect(await page.evaluate(() => (window as any).shifts)).toEqual([]);
  });
}

test("fifty sizes fold around the visitor's own, and stretch no other card", async ({ page, shop }) => {
  const sizes = Array.from({ length: 50 }, (_, index) => ({ label: `EU ${20 + index / 2}`, stock: 2 }));
  const fifty = await shop.createDrop({ name: "Volt Runner", sizes, limitPerUser: 2 });
  await shop.createDrop({ name: "Court 76" });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  const before = await height(card(page, "Court 76"));
  await expect(volt.getByRole("radio")).toHaveCount(8);
  await volt.getByText("All 50 sizes").click();
  await expect(volt.getByRole("radio")).toHaveCount(50);
  expect(await height(card(page, "Court 76"))).toBe(before);
  await volt.getByRole("radio", { name: "EU 43.5," }).check();
  await volt.getByRole("button", { name: "Reserve" }).click();
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await expect(volt.getByText(/^Yours\./)).toBeVisible();
  await open(page, `/drops/${fifty}`);
  const shown = volt.getByRole("radio");
  await expect(shown).toHaveCount(8);
  await expect(shown.first()).toHaveAccessibleName("EU 41, 2 left");
});

test("times are in the visitor's zone, without a flash", async ({ shop, newVisitor }) => {
  await shop.createDrop({ name: "Ridge Trail", startsAt: "2031-01-05T23:30:00Z" });
  await shop.createDrop({ name: "Volt Runner", startsAt: "2020-01-01T00:00:00Z", endsAt: inHours(5) });
  const page = await (await newVisitor({ timezoneId: "Asia/Kolkata" })).newPage();
  const seen = new Set<string>();
  await page.exposeFunction("see", (text: string) => seen.add(text));
  await page.addInitScript(() => {
    const look = () => {
      const time = document.querySelector("#drop-1")?.closest("article")!.querySelector("time");
      if (time && document.readyState !== "loading") (window as any).see(time.textContent);
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await open(page);
  const opens = card(page, "Ridge Trail").locator("time");
  await expect(opens).toHaveText("Mon 6 Jan 2031, 05:00");
  await expect(opens).toHaveAttribute("datetime", "2031-01-05T23:30:00Z");
  await expect(card(page, "Volt Runner").getByText(/^Ends in [45]:\d\d:\d\d$/)).toBeVisible();
  expect([...seen]).toEqual(["Mon 6 Jan 2031, 05:00"]);

  const plain = await (await newVisitor({ timezoneId: "Asia/Kolkata", javaScriptEnabled: false })).newPage();
  await plain.goto("/");
  await expect(card(plain, "Ridge Trail").locator("time")).toHaveText("Sun 5 Jan 2031, 23:30 UTC");
});

test("a refusal names the time in the visitor's zone", async ({ shop, newVisitor, consoleErrors }) => {
  await shop.createDrop({ name: "Ridge Trail", startsAt: "2020-01-01T00:00:00Z" });
  const page = await (await newVisitor({ timezoneId: "Asia/Kolkata" })).newPage();
  await open(page);
  await signIn(page, "alice");
  await page.route("**/rpc/reserve", async (route) => {
    await shop.sql("update drops set starts_at = '2031-01-05T23:30:00Z'");
    await route.continue();
  });
  await card(page, "Ridge Trail").getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, "This drop opens at Mon 6 Jan 2031, 05:00.")).toBeVisible();
  consoleErrors.length = 0; // the browser reports the refusal
});

test("the opening of a drop can be put into a calendar", async ({ page, shop }) => {
  const name = "Ridge, Trail; the \\ long\u{1F45F} one of many words that a line of seventy-five bytes cannot hold";
  const drop = await shop.createDrop({ name, priceCents: 12_345, startsAt: "2031-01-05T23:30:00Z", endsAt: "2031-01-06T01:00:00Z" });
  await open(page);
  const href = await card(page, name).getByRole("link", { name: "Remind me" }).getAttribute("href");
  const response = await page.request.get(href!);
  expect(response.headers()["content-type"]).toBe("text/calendar; charset=utf-8");
  const body = await response.text();
  for (const line of body.split("\r\n")) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
  const calendar = new ICAL.Component(ICAL.parse(body));
  const event = new ICAL.Event(calendar.getFirstSubcomponent("vevent")!);
  expect(event.summary).toBe(name);
  expect(event.startDate.toJSDate().toISOString()).toBe("2031-01-05T23:30:00.000Z");
  expect(event.endDate.toJSDate().toISOString()).toBe("2031-01-05T23:45:00.000Z");
  expect(event.description).toBe(`$123.45. ${shop.url}/drops/${drop}`);
  expect((await page.request.get("/drops/999.ics")).status()).toBe(404);
});

test("a drop's address can be shared, or else copied", async ({ page, context, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.addInitScript(() => delete (Navigator.prototype as any).share);
  await open(page, `/drops/${drop}`);
  await page.getByRole("button", { name: "Share" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Link copied" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Share" })).toHaveText("Share");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`${shop.url}/drops/${drop}`);
  await expect(page.getByText("Link copied")).toHaveCount(0);
  // On plain http there is no such interface, and a browser may refuse any.
  for (const [copies, said] of [[true, "Link copied"], [false, `${shop.url}/drops/${drop}`]] as const) {
    await page.evaluate((copies) => {
      Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true });
      document.execCommand = () => copies;
    }, copies);
    await page.getByRole("button", { name: "Share" }).click();
    await expect(page.locator(".share").getByRole("status")).toHaveText(said);
    await expect(page.getByRole("button", { name: "Share" })).toBeFocused();
  }
  await page.evaluate(() => {
    (Navigator.prototype as any).share = async (data: unknown) => void ((window as any).shared = data);
  });
  await page.getByRole("button", { name: "Share" }).click();
  expect(await page.evaluate(() => (window as any).shared)).toEqual({ url: `${shop.url}/drops/${drop}` });
});

for (const { where, canCopy, said } of [
  { where: "there is no clipboard", canCopy: true, said: () => "Link copied" },
  { where: "nothing may copy", canCopy: false, said: (url: string) => url },
]) {
  test(`sharing where ${where} says what there is, and the button stays what it is`, async ({ page, shop }) => {
    const drop = await shop.createDrop({ name: "Volt Runner" });
    await page.addInitScript((canCopy) => {
      (Navigator.prototype as any).share = async () => {
        throw new DOMException("not allowed", "NotAllowedError");
      };
      delete (Navigator.prototype as any).clipboard;
      if (!canCopy) document.execCommand = () => false;
    }, canCopy);
    await open(page, `/drops/${drop}`);
    await page.getByRole("button", { name: "Share" }).click();
    const url = `${shop.url}/drops/${drop}`;
    await expect(page.getByRole("status").filter({ hasText: said(url) })).toBeVisible();
    expect(await page.evaluate(() => getSelection()!.toString())).toContain(canCopy ? "" : url);
    await expect(page.getByRole("button", { name: "Share" })).toHaveText("Share");
  });
}

test("whoever closes the device's dialog is shown no other", async ({ page, context, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.addInitScript(() => {
    (Navigator.prototype as any).share = async () => {
      (window as any).isClosed = true;
      throw new DOMException("closed", "AbortError");
    };
  });
  await open(page, `/drops/${drop}`);
  await page.getByRole("button", { name: "Share" }).click();
  await page.waitForFunction(() => (window as any).isClosed);
  await expect(page.getByText("Link copied")).toHaveCount(0);
});

for (const javaScriptEnabled of [true, false]) {
  test.describe(`with JavaScript ${javaScriptEnabled ? "enabled" : "disabled"}`, () => {
    test.use({ javaScriptEnabled });

    test("many drops can be filtered by size and by what is live, and the size is remembered", async ({ page, shop }) => {
      const sizes = (labels: string[]) => labels.map((label) => ({ label, stock: 2 }));
      for (let number = 1; number <= 6; number++) await shop.createDrop({ name: `Court ${number}` });
      await expect(page.getByLabel("Show")).toHaveCount(0);
      await shop.createDrop({ name: "Volt Runner", sizes: sizes(["US 9", "US 10"]) });
      await shop.createDrop({ name: "High Rise", sizes: sizes(["US 8", "US 9.5"]) });
      await shop.createDrop({ name: "Ridge Trail", sizes: sizes(["US 9", "US 11"]), startsAt: inHours(30) });
      await page.goto("/");
      await expect(page.getByLabel("Size", { exact: true }).getByRole("option")).toHaveText(["Any size", "US 8", "US 9", "US 9.5", "US 10", "US 11"]);
      await page.getByLabel("Size", { exact: true }).selectOption("US 9");
      await page.getByRole("button", { name: "Filter" }).click();
      await expect(page).toHaveURL(/[?&]size=US\+9/);
      await expect(page.getByRole("article").getByRole("heading")).toHaveText(["Volt Runner", "Ridge Trail"]);
      await page.getByLabel("Show").selectOption("Upcoming");
      await page.getByRole("button", { name: "Filter" }).click();
      await expect(page.getByRole("article").getByRole("heading")).toHaveText(["Ridge Trail"]);
      await page.getByRole("link", { name: "Sneakdrop" }).click();
      await expect(page.getByRole("article")).toHaveCount(9);
      await expect(card(page, "Volt Runner").getByRole("radio", { name: /US 9,/ })).toBeChecked();
      await expect(card(page, "High Rise").getByRole("radio", { checked: true })).toHaveCount(0);
    });
  });
}

test("the size of a reservation is preselected where it is left", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  const rise = await shop.createDrop({ name: "High Rise", sizes: [{ label: "US 8", stock: 1 }, { label: "US 9", stock: 1 }] });
  await shop.createDrop({ name: "Halo Air", sizes: US_SIZES });
  await (await shop.customer("bob")).reserve(rise, "US 9");
  await open(page);
  await signIn(page, "alice");
  await card(page, "Volt Runner").getByRole("radio", { name: /US 9,/ }).check();
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  for (const visit of [async () => {}, () => open(page)]) {
    await visit();
    await expect(card(page, "Halo Air").getByRole("radio", { name: /US 9,/ })).toBeChecked();
    await expect(card(page, "High Rise").getByRole("radio", { checked: true })).toHaveCount(0);
    await expect(card(page, "High Rise").getByText("just went")).toHaveCount(0);
  }
});

test("an order has a page of its own, which prints as a receipt", async ({ shop, newVisitor, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES, imageUrl: undefined });
  const page = await (await newVisitor({ viewport: { width: 390, height: 844 }, colorScheme: "dark", timezoneId: "Asia/Kolkata" })).newPage();
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  await volt.getByRole("radio", { name: /US 9,/ }).check();
  await volt.getByRole("button", { name: "Reserve" }).click();
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await volt.getByRole("link", { name: "View purchase" }).click();
  await expect(page).toHaveURL("/purchases/1");
  await expect(page.getByRole("heading", { name: "Order 000001" })).toBeVisible();
  const values = page.getByRole("main").getByRole("definition");
  await expect(values).toHaveText(["Volt Runner", "US 9", "alice", /^\w{3} \d+ \w{3} \d{4}, \d\d:\d\d$/, "Completed", "$199"]);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  await expect(page.getByRole("banner")).toBeHidden();
  await expect(page.getByRole("link", { name: "My purchases" })).toHaveCount(0);
  await expect(page.getByRole("main").getByText("Sneakdrop", { exact: true })).toBeVisible();
  const [paper, ink] = await page.evaluate(() => {
    const { backgroundColor, color } = getComputedStyle(document.body);
    return [backgroundColor, color];
  });
  expect([paper, ink]).toEqual(["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
  await page.emulateMedia({ media: "screen" });

  await open(page, "/purchases");
  const entry = page.getByRole("listitem").filter({ hasText: "Volt Runner" });
  expect((await entry.locator("> div").last().boundingBox())!.width).toBeGreaterThan(200);
  await entry.getByRole("link").click();
  await expect(page).toHaveURL("/purchases/1");

  const stranger = await (await newVisitor()).newPage();
  await open(stranger, "/purchases/1");
  await expect(stranger.getByText("Sign in to see what you bought.")).toBeVisible();
  await signIn(stranger, "bob");
  await expect(stranger.getByRole("heading", { name: "Nothing here" })).toBeVisible();
  consoleErrors.length = 0; // the browser reports the 404
});

test("empty and unknown pages show what is live", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await shop.createDrop({ name: "Ridge Trail", startsAt: inHours(1) });
  await open(page, "/nowhere");
  const live = page.getByRole("main").getByRole("listitem");
  await expect(live).toHaveText([/Volt Runner.*\$199.*10 of 10 left/]);
  await signIn(page, "alice");
  await open(page, "/purchases");
  await expect(page.getByText("Nothing yet.")).toBeVisible();
  await live.getByRole("link", { name: "Volt Runner" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeVisible();
  consoleErrors.length = 0; // the browser reports the 404
});

test("without a picture, and with a broken one, a card shows a box with initials", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await shop.createDrop({ name: "Court Seventy-Six", imageUrl: "/shoes/none.svg" });
  await shop.createDrop({ name: "High Rise" });
  await shop.sql("update drops set image_url = null where name = 'High Rise'");
  await open(page);
  await expect(card(page, "Volt Runner").locator("img")).toBeVisible();
  await expect(card(page, "Court Seventy-Six").locator("img")).toBeHidden();
  await expect(card(page, "Court Seventy-Six").getByText("CS")).toBeVisible();
  await expect(card(page, "High Rise").locator("img")).toHaveCount(0);
  await expect(card(page, "High Rise").getByText("HR")).toBeVisible();
  const pictures = await page.locator("article img").evaluateAll((images) =>
    images.map((image) => [image.getAttribute("fetchpriority"), image.getAttribute("loading"), getComputedStyle(image).objectFit]),
  );
  expect(pictures).toEqual([
    ["high", "eager", "contain"],
    ["auto", "lazy", "contain"],
  ]);
  consoleErrors.length = 0; // the browser reports the picture that is not there
});

test("what a card says is true at a glance", async ({ page, shop }) => {
  const one = await shop.createDrop({ name: "Volt Runner", totalStock: 100 });
  await shop.createDrop({ name: "Ridge Trail", sizes: US_SIZES, startsAt: inHours(80.5) });
  const ended = await shop.createDrop({ name: "Pace Retro", startsAt: "2020-01-01T00:00:00Z", totalStock: 10 });
  const sold = await shop.createDrop({ name: "Slab Skate", totalStock: 1 });
  const bob = await shop.customer("bob");
  for (const drop of [ended, sold]) {
    await bob.reserve(drop);
    await bob.purchase(drop);
  }
  await shop.sql(`update drops set ends_at = '2020-01-02T00:00:00Z' where id = ${ended}`);
  await open(page);
  await signIn(page, "alice");
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve, Volt Runner" }).click();
  await expect(card(page, "Volt Runner").getByText("99 of 100 left")).toBeVisible();
  await expect(card(page, "Volt Runner").getByText("reserved right now")).toBeHidden();
  await bob.reserve(one);
  await expect(card(page, "Volt Runner").getByText("1 reserved right now")).toBeVisible();
  const heldShare = await card(page, "Volt Runner").locator(".meter").evaluate((meter) => {
    const width = (part: string) => meter.querySelector(part)!.getBoundingClientRect().width;
    return width("rect.held") - width("rect.left");
  });
  expect(heldShare).toBeGreaterThan(4);
  await expect(card(page, "Ridge Trail").getByText("40 pairs in 8 sizes")).toBeVisible();
  await expect(card(page, "Ridge Trail").getByRole("timer")).toHaveText("Opens in 3 d 8 h");
  await expect(card(page, "Ridge Trail").getByText("US 9", { exact: true }).locator("..")).toContainText("5 left");
  await expect(card(page, "Pace Retro").getByText("1 of 10 sold")).toBeVisible();
  await expect(card(page, "Pace Retro").getByText("Ended", { exact: true })).toBeVisible();
  await expect(card(page, "Slab Skate").getByText(/sold out/i)).toHaveCount(1);
});

test("long words get smaller before they break, and names may run from right to left", async ({ shop, newVisitor }) => {
  await shop.createDrop({ name: "SUPERSNEAKER Hyperventilated" });
  await shop.createDrop({ name: "حذاء رياضي", sizes: [{ label: "ABCDEFGHIJKLMNOPQRST", stock: 1 }, { label: "US 9", stock: 1 }] });
  const page = await (await newVisitor({ viewport: { width: 390, height: 844 } })).newPage();
  await open(page);
  const brokenWords = await page.getByRole("heading", { name: "SUPERSNEAKER" }).evaluate((heading) => {
    const text = heading.querySelector("span")!.firstChild!;
    const range = document.createRange();
    return text.textContent!.split(" ").filter((word) => {
      const at = text.textContent!.indexOf(word);
      range.setStart(text, at);
      range.setEnd(text, at + word.length);
      return range.getClientRects().length > 1;
    });
  });
  expect(brokenWords).toEqual([]);
  expect(await page.getByRole("heading", { name: "حذاء" }).evaluate((heading) => getComputedStyle(heading).direction)).toBe("rtl");
  const label = page.locator(".size", { hasText: "ABCDEFGH" });
  expect(await label.evaluate((size) => size.scrollWidth - size.clientWidth)).toBeLessThanOrEqual(0);
});

test("text of twice the size is not cut, and leaves the header two lines", async ({ shop, newVisitor }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  const page = await (await newVisitor({ viewport: { width: 390, height: 844 } })).newPage();
  await open(page);
  await signIn(page, "a-username-of-thirty-two-letters");
  await page.evaluate(() => document.documentElement.style.setProperty("font-size", "200%"));
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0);
  const cut = await page.locator("article :is(button, h3, p, label)").evaluateAll((elements) =>
    elements.filter((element) => element.scrollWidth > element.clientWidth + 1).map((element) => element.outerHTML.slice(0, 100)),
  );
  expect(cut).toEqual([]);
  expect(await height(page.getByRole("banner"))).toBeLessThanOrEqual(130);
});

test("eight Tabs lead from a new visitor to a bought pair", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  await open(page);
  let tabs = 0;
  const tabTo = async (element: Locator) => {
    while (!(await element.evaluate((element) => element === document.activeElement))) {
      await page.keyboard.press("Tab");
      expect(++tabs).toBeLessThanOrEqual(8);
    }
  };
  await tabTo(page.getByRole("banner").getByRole("button", { name: "Sign in" }));
  await page.keyboard.press("Enter");
  await page.keyboard.type("alice");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeFocused();
  const volt = card(page, "Volt Runner");
  await tabTo(volt.getByRole("radio").first());
  await page.keyboard.press("ArrowRight");
  await tabTo(volt.getByRole("button", { name: "Reserve" }));
  await page.keyboard.press("Enter");
  const complete = volt.getByRole("button", { name: "Complete purchase" });
  await expect(complete).toBeEnabled();
  await tabTo(complete);
  await page.keyboard.press("Enter");
  await expect(volt.getByText(/^Yours\./)).toBeVisible();
});

test("giving back is over when the pair is gone otherwise, and concerns no later pair", async ({ page, context, shop }) => {
  await shop.createDrop({ name: "Court 76", totalStock: 5 });
  await open(page);
  await signIn(page, "alice");
  const court = card(page, "Court 76");
  await court.getByRole("button", { name: "Reserve" }).click();
  await expect(court.getByRole("timer")).toBeVisible();
  await open(page);
  const other = await context.newPage();
  await open(other);
  await expect(card(other, "Court 76").getByRole("button", { name: "Complete purchase" })).toBeEnabled();
  await court.getByRole("button", { name: "Give it back" }).click();
  await card(other, "Court 76").getByRole("button", { name: "Complete purchase" }).click();
  await expect(court.getByText(/^Yours\./)).toBeVisible();
  await court.getByRole("button", { name: "Reserve another" }).click();
  await expect(court.getByRole("button", { name: "Complete purchase" })).toBeEnabled();
  await page.getByRole("link", { name: "My purchases" }).click();
  await expect(bar(page).getByRole("button", { name: "Complete purchase" })).toBeVisible();
  await expect(card(other, "Court 76").getByText("3 of 5 left")).toBeVisible();
});

/** Holds a pair of Court 76 and then one of Volt Runner. */
async function holdTwoPairs(page: Page, shop: Shop): Promise<void> {
  for (const name of ["Court 76", "Volt Runner"]) await shop.createDrop({ name });
  await open(page);
  await signIn(page, "alice");
  for (const name of ["Court 76", "Volt Runner"]) {
    await card(page, name).getByRole("button", { name: "Reserve" }).click();
    await expect(card(page, name).getByRole("timer")).toBeVisible();
  }
}

test("giving one pair back goes on while another is bought", async ({ page, shop }) => {
  await holdTwoPairs(page, shop);
  await card(page, "Volt Runner").getByRole("button", { name: "Give it back" }).click();
  await card(page, "Court 76").getByRole("button", { name: "Complete purchase" }).click();
  await expect(card(page, "Court 76").getByText(/^Yours\./)).toBeVisible();
  await expect(card(page, "Volt Runner").getByText("10 of 10 left")).toBeVisible();
});

test("a second click in the bar does not buy the pair that comes into its place", async ({ page, shop }) => {
  await holdTwoPairs(page, shop);
  const first = bar(page).getByRole("button").first();
  await expect(first).toHaveAccessibleName("Complete purchase · $199, Court 76");
  await expect(first).toBeEnabled();
  // As soon as the other pair is there, before anyone could have meant it.
  const pressed = bar(page).evaluate(
    (bar) =>
      new Promise<void>((resolve) => {
        const observer = new MutationObserver(() => {
          const button = bar.querySelector("button");
          if (!button?.ariaLabel?.endsWith("Volt Runner")) return;
          observer.disconnect();
          button.click();
          resolve();
        });
        observer.observe(bar, { subtree: true, childList: true, attributes: true });
      }),
  );
  await first.click();
  await pressed;
  await expect(card(page, "Court 76").getByText(/^Yours\./)).toBeVisible();
  await expect(first).toBeEnabled();
  await expect(card(page, "Volt Runner").getByRole("timer")).toBeVisible();
});

test("focus is not lost when a pair is bought from the bar of another page", async ({ page, shop }) => {
  await shop.createDrop({ name: "Court 76", totalStock: 3 });
  await shop.createDrop({ name: "Volt Runner", totalStock: 3 });
  await open(page);
  await signIn(page, "alice");
  await card(page, "Court 76").getByRole("button", { name: "Reserve" }).click();
  await card(page, "Volt Runner").getByRole("link", { name: "Volt Runner" }).click();
  const heading = page.getByRole("heading", { level: 1, name: "Volt Runner" });
  await expect(heading).toBeFocused();
  const purchase = bar(page).getByRole("button");
  await expect(purchase).toBeEnabled();
  await purchase.focus();
  await page.keyboard.press("Enter");
  await expect(bar(page)).toBeHidden();
  await expect(heading).toBeFocused();
});

test("the drops stand alone after another page, and times stay in the visitor's zone on the way back", async ({
  shop,
  newVisitor,
}) => {
  const drop = await shop.createDrop({ name: "Court 76", totalStock: 1 });
  const bob = await shop.customer("bob");
  await bob.reserve(drop);
  await bob.purchase(drop);
  const page = await (await newVisitor({ timezoneId: "Asia/Kolkata" })).newPage();
  await open(page, "/drops/past");
  const said = await page.locator("main time").textContent();
  expect(said).not.toContain("UTC");
  await page.getByRole("main").getByRole("link", { name: "Court 76" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Court 76" })).toBeVisible();
  await page.goBack();
  await expect(page.locator("main time")).toHaveText(said!);
  await page.getByRole("link", { name: "Drops", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Limited pairs, live stock, one at a time.");
});

test("a remembered size is no choice, and follows the next one", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  await shop.createDrop({ name: "Halo Air", sizes: US_SIZES });
  const halo = card(page, "Halo Air");
  await open(page, "/?size=US+9");
  await expect(halo.getByRole("radio", { name: /US 9,/ })).toBeChecked();
  await open(page, "/?size=US+10");
  await expect(halo.getByRole("radio", { name: /US 10,/ })).toBeChecked();
  await open(page);
  await expect(halo.getByRole("radio", { name: /US 10,/ })).toBeChecked();
});

test("filters that leave nothing say so, and not that nothing is live", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner" });
  await open(page, "/?show=upcoming");
  await expect(page.getByText("No drop matches.")).toBeVisible();
  await expect(page.getByText("Nothing is live right now.")).toBeHidden();
  await expect(page.getByRole("heading", { name: "Live now" })).toBeHidden();
  await page.getByRole("link", { name: "Show everything" }).click();
  await expect(card(page, "Volt Runner")).toBeVisible();
});

test("folded sizes are in sight when one of them is chosen or one has to be", async ({ page, shop }) => {
  const sizes = Array.from({ length: 12 }, (_, index) => ({ label: `EU ${30 + index}`, stock: 1 }));
  const drop = await shop.createDrop({ name: "Volt Runner", sizes });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  await volt.getByText("All 12 sizes").click();
  await volt.getByRole("radio", { name: "EU 41," }).check();
  await page.reload();
  await expect(volt.getByRole("radio", { name: "EU 41," })).toBeChecked();
  for (let size = 30; size < 38; size++) await (await shop.customer(`bob${size}`)).reserve(drop, `EU ${size}`);
  await (await shop.customer("carol")).reserve(drop, "EU 41");
  await expect(volt.getByText("EU 41 just went. Choose another.")).toBeVisible();
  // Of those that were shown none is left.
  await expect(volt.getByRole("radio", { name: "EU 40," })).toBeVisible();
  await page.reload();
  for (const left of [38, 39, 40]) await expect(volt.getByRole("radio", { name: `EU ${left},` })).toBeVisible();
  await expect(volt.locator("label.size:visible")).toHaveCount(8);
});

test("a size whose pairs may come back is not said to be gone", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", sizes: [{ label: "US 9", stock: 1 }, { label: "US 10", stock: 1 }] });
  await open(page);
  const bob = await shop.customer("bob");
  await bob.reserve(drop, "US 9");
  const volt = card(page, "Volt Runner");
  const size = volt.locator("label.size").filter({ hasText: "US 9" });
  await expect(size).toContainText("none now");
  await expect(size).not.toHaveCSS("text-decoration-line", "line-through");
  await bob.purchase(drop);
  await expect(size).toContainText("gone");
  await expect(size).toHaveCSS("text-decoration-line", "line-through");
});

test("who chooses the size that was asked for is not asked again", async ({ page, shop }) => {
  await shop.createDrop({ name: "Volt Runner", sizes: US_SIZES });
  await open(page);
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Sign in to reserve" }).click();
  await page.getByLabel("Username").fill("alice");
  await page.getByRole("button", { name: "Enter the drop" }).click();
  await expect(toast(page, "Choose a size, then reserve.")).toBeVisible();
  await volt.getByRole("radio", { name: /US 9,/ }).check();
  await expect(toast(page, "Choose a size, then reserve.")).toBeHidden();
});

test("the page of what has ended expects no first purchase", async ({ page, shop }) => {
  const past = { startsAt: inHours(-3), endsAt: inHours(-1) };
  const drop = await shop.createDrop({ name: "Volt Runner", ...past });
  await open(page, `/drops/${drop}`);
  await expect(page.locator(".purchaser-list")).toContainText("No pair was sold.");
});

test("the picture on a drop's own page is no link, and on a card it leads there", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await expect(page.locator("a:not([href])")).toHaveCount(0);
  await card(page, "Volt Runner").locator(".art").click();
  await expect(page).toHaveURL(`/drops/${drop}`);
  await expect(page.getByRole("heading", { level: 1, name: "Volt Runner" })).toBeVisible();
  await expect(page.locator("a:not([href])")).toHaveCount(0);
});

test("names of one long word make no page wider than a small phone", async ({ page, shop }) => {
  const name = "W".repeat(32);
  const drop = await shop.createDrop({ name: "W".repeat(60) });
  const buyer = await shop.customer(name);
  await buyer.reserve(drop);
  await buyer.purchase(drop);
  await page.setViewportSize({ width: 320, height: 640 });
  for (const path of ["/", `/drops/${drop}`]) {
    await open(page, path);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(320);
  }
  const own = "W".repeat(31) + "i";
  await signIn(page, own);
  for (const path of ["/", `/drops/${drop}`, "/purchases"]) {
    await open(page, path);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(320);
  }
});

test("the name of a size stands on one line, whole and half sizes alike", async ({ page, shop }) => {
  const sizes = Array.from({ length: 24 }, (_, index) => ({ label: `EU ${36 + index / 2}`, stock: 1 }));
  const drop = await shop.createDrop({ name: "Volt Runner", sizes });
  for (const width of [320, 360, 375, 390, 820, 1280, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    for (const path of ["/", `/drops/${drop}`]) {
      await open(page, path);
      const labels = page.locator(".size span:visible");
      const lines = await labels.evaluateAll((labels) => labels.map((label) => label.getClientRects().length && label.clientHeight / parseFloat(getComputedStyle(label).lineHeight)));
      expect(lines.length).toBeGreaterThanOrEqual(8);
      expect(Math.max(...lines), `${path} at ${width} px`).toBeLessThan(1.5);
    }
  }
});

test("text of twice the size is cut off nowhere on a card", async ({ page, shop }) => {
  await shop.createDrop({ name: "Extraordinary Volt Runner" });
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Extraordinary Volt Runner");
  await volt.getByRole("button", { name: "Reserve" }).click();
  await volt.getByRole("button", { name: /Complete purchase/ }).click();
  await expect(volt.getByText(/Yours\. Order/)).toBeVisible();
  await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
  for (const part of [volt.locator("h3"), volt.locator(".yours"), volt.getByRole("link", { name: "View purchase" })]) {
    const fits = await part.evaluate((element) => {
      const card = element.closest(".card")!.getBoundingClientRect();
      const { left, right } = element.getBoundingClientRect();
      return element.scrollWidth <= element.clientWidth + 1 && left >= card.left && right <= card.right;
    });
    expect(fits, await part.innerText()).toBe(true);
  }
});

test("sizes are what they say after a reload while the last pair of one is held", async ({ page, shop }) => {
  const sizes = Array.from({ length: 12 }, (_, index) => ({ label: `EU ${30 + index}`, stock: index === 11 ? 1 : 2 }));
  await shop.createDrop({ name: "Volt Runner", sizes });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  await volt.getByText("All 12 sizes").click();
  await volt.getByRole("radio", { name: "EU 41," }).check();
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(volt.getByRole("timer")).toBeVisible();
  await page.reload();
  await waitForHydration(page);
  await volt.getByRole("button", { name: "Give it back" }).click();
  await expect(toast(page, /back/)).toBeVisible({ timeout: 10_000 });
  const shown = await volt.locator("label.size").evaluateAll((labels) =>
    labels.map((label) => {
      const input = label.querySelector("input")!;
      return [label.querySelector("span")!.textContent, input.value, input.ariaLabel?.split(",")[0]];
    }),
  );
  expect(shown).toHaveLength(12);
  for (const [label, value, spoken] of shown) expect([value, spoken]).toEqual([label, label]);
  const stocks = await volt.locator("label.size").allInnerTexts();
  for (const stock of stocks) expect(stock).toMatch(/EU 41\s+1 left|EU (3\d|40)\s+2 left/);
});

for (const [width, height] of [[320, 256], [390, 844], [820, 1180], [844, 390], [1280, 720]] as const) {
  test(`three held pairs take at most 40 % of ${width}×${height} and cover nothing that has the focus`, async ({ shop, newVisitor }) => {
    const names = ["Court 1", "Volt Runner with a name that goes on and on for as long as names may be", "Court 3"];
    for (const name of names) await shop.createDrop({ name, sizes: US_SIZES.slice(0, 1) });
    for (let number = 4; number <= 6; number++) await shop.createDrop({ name: `Court ${number}` });
    const page = await (await newVisitor({ viewport: { width, height } })).newPage();
    await open(page);
    await signIn(page, "alice");
    for (const name of names) {
      await card(page, name).getByRole("button", { name: "Reserve" }).click();
      await expect(bar(page).getByRole("link", { name })).toHaveCount(1);
    }
    expect((await bar(page).boundingBox())!.height).toBeLessThanOrEqual(0.4 * height);
    const covered = () =>
      page.evaluate(() => {
        const focused = document.activeElement!;
        if (focused === document.body) return undefined;
        const { left, right, top, bottom } = focused.getBoundingClientRect();
        const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        return !focused.closest(".bar") && at?.closest(".bar") ? focused.outerHTML : undefined;
      });
    for (const key of ["Tab", "Shift+Tab"]) {
      for (let tabs = 0; tabs < 40; tabs++) {
        await page.keyboard.press(key);
        expect(await covered()).toBeUndefined();
      }
    }
    // Every held pair can be bought from the bar.
    for (const name of names) {
      const buy = bar(page).getByRole("button", { name: `Complete purchase · $199, ${name}` });
      await buy.focus();
      await expect(buy).toBeInViewport({ ratio: 1 });
    }
  });
}

test("a held pair has its drop's present name after an edit", async ({ page, shop }) => {
  const volt = await shop.createDrop({ name: "Volt Runner" });
  await open(page);
  await signIn(page, "alice");
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  const bought = bar(page).getByRole("button", { name: "Complete purchase · $199, Volt Runner" });
  await bought.focus();
  await shop.sql(`update drops set name = 'Volt Runner II' where id = ${volt}`);
  await expect(bar(page).getByRole("link")).toHaveText("Volt Runner II");
  await expect(bar(page).getByRole("button", { name: "Complete purchase · $199, Volt Runner II" })).toBeFocused();
  const renamed = card(page, "Volt Runner II");
  await expect(renamed.getByRole("button", { name: "Give it back, Volt Runner II" })).toBeVisible();
  await expect(renamed.getByRole("button", { name: "Complete purchase · $199, Volt Runner II" })).toBeVisible();
});
