// Many people at once: what a visitor looks at stays readable and calm, and nothing moves under a waiting thumb or pointer.

import type { Locator, Page } from "@playwright/test";
import { type Shop, card, expect, open, signIn, test } from "./shop";

const SIZES = ["US 8", "US 9", "US 10"].map((label) => ({ label, stock: 20 }));
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();

/** Reserves and releases as others do, as fast as the server answers, until `watched` ends. */
async function rush<Seen>(shop: Shop, drops: number[], watched: Promise<Seen>, size?: string): Promise<Seen> {
  let isOver = false;
  const others = drops.map(async (drop) => {
    const other = await shop.customer(`other${drop}`);
    while (!isOver) {
      await other.reserve(drop, size);
      await other.release(drop);
    }
  });
  const [seen] = await Promise.all([watched.finally(() => (isOver = true)), ...others]);
  return seen;
}

/** What can be seen of a card's number in each frame of three seconds, and when animations begin meanwhile. */
function watch(page: Page): Promise<{ texts: string[]; looks: string[]; begun: number[] }> {
  return page.evaluate(async () => {
    const [texts, looks] = [new Set<string>(), new Set<string>()];
    const begun: number[] = [];
    const start = performance.now();
    const onBegin = () => begun.push(performance.now());
    document.addEventListener("animationstart", onBegin);
    while (performance.now() - start < 3_000) {
      await new Promise(requestAnimationFrame);
      for (const number of document.querySelectorAll(".counts .left, .size small")) {
        if (number.matches(".left")) texts.add(number.textContent!);
        const { color, translate } = getComputedStyle(number);
        let opacity = 1;
        for (let around: Element | null = number; around; around = around.parentElement) {
          opacity *= Number(getComputedStyle(around).opacity);
        }
        looks.add(`${number.className} ${color} ${translate} ${opacity}`);
      }
    }
    document.removeEventListener("animationstart", onBegin);
    return { texts: [...texts], looks: [...looks], begun };
  });
}

for (const [what, names, stock] of [
  ["of one drop", ["Volt Runner"], 500],
  ["of three drops", ["Volt Runner", "Court 76", "Halo Air"], 40],
] as const) {
  test(`numbers stay readable and at most two pulses a second are seen in a rush ${what}`, async ({ page, shop }) => {
    const drops: number[] = [];
    for (const name of names) drops.push(await shop.createDrop({ name, sizes: [{ label: "US 9", stock }, { label: "US 10", stock: 1 }] }));
    await open(page);
    const { texts, looks, begun } = await rush(shop, drops, watch(page), "US 9");
    expect(texts.length).toBeGreaterThan(1);
    // One look of the stock, and one of what is left of a size.
    expect(looks).toHaveLength(2);
    for (const look of looks) expect(look).toMatch(/ none 1$/);
    expect(begun.length).toBeGreaterThan(0);
    for (const from of begun) {
      expect(begun.filter((at) => from <= at && at < from + 1_000).length).toBeLessThanOrEqual(2);
    }
  });
}

test("a size that goes and comes back all the time is readable, chosen or not", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", sizes: [{ label: "US 9", stock: 1 }, { label: "US 10", stock: 1 }] });
  await (await shop.customer("carol")).reserve(drop, "US 10");
  await open(page);
  await card(page, "Volt Runner").getByRole("radio", { name: /US 9,/ }).check();
  const lowest = page.evaluate(async () => {
    const luminance = (color: string) => {
      const weights = [0.2126, 0.7152, 0.0722];
      const linear = (part: number) => (part <= 0.04 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      const parts = color.match(/[\d.]+/g)!.map((part) => linear(Number(part) / 255));
      return weights.reduce((sum, weight, at) => sum + weight * parts[at]!, 0);
    };
    const seen = new Set<string>();
    let lowest = Infinity;
    const start = performance.now();
    while (performance.now() - start < 3_000) {
      await new Promise(requestAnimationFrame);
      const label = document.querySelector(".size")!;
      const background = getComputedStyle(label).backgroundColor;
      const paper = getComputedStyle(label.closest(".card")!).backgroundColor;
      // Over the card where it is transparent.
      const alpha = Number(/rgba\(.*, ([\d.]+)\)/.exec(background)?.[1] ?? 1);
      const behind = alpha * luminance(background) + (1 - alpha) * luminance(paper);
      for (const text of label.querySelectorAll("span, small")) {
        const ink = luminance(getComputedStyle(text).color);
        lowest = Math.min(lowest, (Math.max(ink, behind) + 0.05) / (Math.min(ink, behind) + 0.05));
      }
      seen.add(label.textContent!);
    }
    return { lowest, seen: seen.size };
  });
  const { lowest: contrast, seen } = await rush(shop, [drop], lowest, "US 9");
  expect(seen).toBe(2);
  expect(contrast).toBeGreaterThanOrEqual(4.5);
});

/** Where all that can be seen and pressed is on the screen. */
async function places(page: Page, name: string): Promise<Record<string, unknown>> {
  const boxes: Record<string, unknown> = {};
  const shown = card(page, name);
  const parts: [string, Locator][] = [
    ["the header", page.getByRole("banner")],
    ["what is in it", page.getByRole("banner").getByRole("button").last()],
    ["the navigation", page.getByRole("navigation")],
    ["the card", shown],
    ["the name", shown.getByRole("heading")],
    ["the meter", shown.getByRole("meter")],
    ["the choice", shown.locator(".sizes")],
    ["the last size", shown.locator(".size").last()],
    ["the action", shown.locator(".action")],
    ["the last on the page", page.getByRole("contentinfo")],
  ];
  for (const [part, locator] of parts) if (await locator.count()) boxes[part] = await locator.boundingBox();
  return boxes;
}

for (const [width, height] of [[390, 844], [320, 640], [1280, 900]] as const) {
  for (const where of ["its page", "the list"]) {
    test(`nothing moves when a drop opens, on ${where} at ${width}×${height}`, async ({ shop, newVisitor }) => {
      const options = { viewport: { width, height }, hasTouch: width < 600 };
      const startsAt = inSeconds(20);
      const drops = {
        "Volt Runner": { sizes: SIZES, limitPerUser: 1 },
        "Court 76": { endsAt: inSeconds(7_000) },
        "Halo Air": { sizes: SIZES, endsAt: inSeconds(500_000) },
      };
      const pages = new Map<string, Page>();
      const visitor = await newVisitor(options);
      for (const [name, drop] of Object.entries(drops)) {
        const id = await shop.createDrop({ name, startsAt, ...drop });
        const page = where === "the list" ? pages.get("Volt Runner") ?? (await visitor.newPage()) : await visitor.newPage();
        pages.set(name, page);
        if (where !== "the list") await open(page, `/drops/${id}`);
      }
      const page = pages.get("Volt Runner")!;
      if (where === "the list") {
        await open(page);
        if (width > 600) await card(page, "Court 76").locator(".action").hover();
        else await card(page, "Volt Runner").locator(".action").scrollIntoViewIfNeeded();
      }
      const before: Record<string, unknown> = {};
      for (const [name, page] of pages) {
        await expect(card(page, name).getByRole("timer")).toBeVisible();
        before[name] = await places(page, name);
      }
      for (const [name, page] of pages) {
        await expect(card(page, name).getByRole("button", { name: "Sign in to reserve" })).toBeVisible({ timeout: 30_000 });
        expect(await places(page, name), name).toEqual(before[name]);
      }
    });
  }
}

test("a card that opened in sight goes to its section once it is out of sight", async ({ shop, newVisitor }) => {
  for (let number = 1; number <= 3; number++) await shop.createDrop({ name: `Court ${number}`, sizes: SIZES });
  await shop.createDrop({ name: "Volt Runner", sizes: SIZES, startsAt: inSeconds(8) });
  const page = await (await newVisitor({ viewport: { width: 390, height: 844 }, hasTouch: true })).newPage();
  await open(page);
  const volt = card(page, "Volt Runner");
  await volt.locator(".action").scrollIntoViewIfNeeded();
  const before = await places(page, "Volt Runner");
  await expect(volt.getByRole("button", { name: "Sign in to reserve" })).toBeVisible({ timeout: 15_000 });
  expect(await places(page, "Volt Runner")).toEqual(before);
  await page.evaluate(() => scrollTo(0, 0));
  await expect(page.getByRole("region", { name: "Live now" }).locator(volt)).toBeVisible();
});

for (const [width, height] of [[390, 844], [820, 1180], [1100, 800], [1280, 720], [1440, 900]] as const) {
  for (const where of ["its page", "the list"]) {
    test(`nothing moves after Reserve, and the pointer is on nothing that gives the pair back, on ${where} at ${width}×${height}`, async ({ shop, newVisitor }) => {
      const first = await shop.createDrop({ name: "Volt Runner", sizes: SIZES });
      await shop.createDrop({ name: "Court 76" });
      const page = await (await newVisitor({ viewport: { width, height }, hasTouch: width < 600 })).newPage();
      await open(page, where === "the list" ? "/" : `/drops/${first}`);
      await signIn(page, "a-username-of-thirty-two-letters");
      for (const name of where === "the list" ? ["Volt Runner", "Court 76"] : ["Volt Runner"]) {
        const shown = card(page, name);
        if (name === "Volt Runner") await shown.getByRole("radio", { name: /US 9,/ }).check();
        const reserve = shown.getByRole("button", { name: "Reserve" });
        await reserve.scrollIntoViewIfNeeded();
        const { x, y, ...size } = (await reserve.boundingBox())!;
        const at = { x: x + size.width / 2, y: y + size.height / 2 };
        const before = await places(page, name);
        await page.mouse.click(at.x, at.y);
        await expect(page.getByRole("region", { name: "Held for you" }).getByRole("link", { name })).toBeAttached();
        await expect(shown.getByRole("button", { name: "Give it back" })).toBeEnabled();
        expect(await places(page, name)).toEqual(before);
        const hit = await page.evaluate(({ x, y }) => document.elementFromPoint(x, y)!.closest("button, a")?.textContent, at);
        expect(hit ?? "").not.toContain("Give it back");
        // The header's own links are not covered either.
        for (const part of await page.getByRole("banner").locator("nav a, .visitor button").all()) {
          const isFree = await part.evaluate((part) => {
            const { left, right, top, bottom } = part.getBoundingClientRect();
            return document.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.closest("a, button") === part;
          });
          expect(await part.isVisible() && ((await part.boundingBox())!.y < 0 || isFree), await part.innerText()).toBe(true);
        }
        await page.mouse.move(at.x, at.y);
        await shown.getByRole("button", { name: "Complete purchase" }).click();
        await expect(shown.getByText(/^Yours\./)).toBeVisible();
        const after = await places(page, name);
        for (const part of ["the card", "the last size", "the action"]) expect(after[part], part).toEqual(before[part]);
      }
    });
  }
}

test("what others do is announced once in ten seconds, and what concerns the visitor at once", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 1 });
  await open(page);
  await signIn(page, "alice");
  await page.evaluate(() => {
    const said: { text: string; at: number }[] = ((window as any).said = []);
    for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert], output")) {
      const add = () => said.push({ text: region.textContent!, at: performance.now() });
      new MutationObserver(add).observe(region, { childList: true, characterData: true, subtree: true });
    }
  });
  const said = () => page.evaluate(() => (window as any).said as { text: string; at: number }[]);
  const changes = page.evaluate(async () => {
    let [changes, last] = [0, ""];
    while (changes < 20) {
      await new Promise(requestAnimationFrame);
      const now = document.querySelector(".counts .left")!.textContent!;
      if (now !== last) [changes, last] = [changes + 1, now];
    }
  });
  await rush(shop, [drop], changes);
  expect((await said()).length).toBeLessThanOrEqual(1);
  const bob = await shop.customer("bob");
  for (const [change, state] of [
    [() => bob.reserve(drop), "is fully reserved."],
    [() => bob.release(drop), "is open."],
  ] as const) {
    await change();
    // The last announcement is of the last state.
    await expect.poll(async () => (await said()).at(-1)?.text, { timeout: 25_000 }).toContain(state);
  }
  const times = (await said()).map(({ at }) => at);
  for (const [index, at] of times.slice(1).entries()) expect(at - times[index]!).toBeGreaterThanOrEqual(10_000);
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await expect.poll(async () => (await said()).at(-1)?.text).toMatch(/eserved for/);
});
