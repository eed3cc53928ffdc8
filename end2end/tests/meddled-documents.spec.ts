import type { Page } from "@playwright/test";
import { card, connection, expect, open, signIn, test, toast, waitForHydration } from "./shop";

/** What extensions, translators and password managers do to a document. */
const meddlings: Record<string, () => void> = {
  "an element after the username field": () =>
    document.querySelector("#username")!.after(document.createElement("div")),
  "an element first in the body": () => document.body.prepend(document.createElement("div")),
  "an element first in the page": () => document.querySelector("main")!.prepend(document.createElement("div")),
  "an element last in every form": () =>
    document.querySelectorAll("form").forEach((form) => form.append(document.createElement("button"))),
  "one title in a font": () => {
    const title = document.querySelector("h3 a")!;
    const font = document.createElement("font");
    font.textContent = "Volt-Läufer";
    title.replaceChildren(font);
  },
  "every text in a font": () => {
    const texts: Node[] = [];
    const walker = document.createTreeWalker(document.querySelector("main")!, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) {
      // As translators do: the page's own text node is gone.
      const font = document.createElement("font");
      font.textContent = text.textContent;
      text.parentNode!.replaceChild(font, text);
    }
  },
  "a text between two elements": () => document.querySelector("nav")!.prepend("!"),
  "a removed element": () => document.querySelector(".purchasers")!.remove(),
  "an element in another's place": () => {
    const link = document.querySelector("nav a")!;
    const span = document.createElement("span");
    span.append(...link.childNodes);
    link.replaceWith(span);
  },
  "two elements in the other order": () => {
    const stock = document.querySelector(".stock")!;
    stock.append(stock.firstElementChild!);
  },
};

/** Opens the page, whose module comes only when the returned function is called. */
async function openWithoutModule(page: Page): Promise<() => void> {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/pkg/*.js", async (route) => {
    await released;
    await route.continue();
  });
  await page.goto("/", { waitUntil: "domcontentloaded" });
  return release;
}

for (const [name, meddle] of Object.entries(meddlings)) {
  test(`a page is live although something changed the document before: ${name}`, async ({ page, shop }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const release = await openWithoutModule(page);
    await page.evaluate(meddle);
    release();
    await waitForHydration(page);
    await expect(connection(page)).toHaveText("Connected");
    const volt = page.getByRole("article").first();
    await (await shop.customer("alice")).reserve(drop);
    await expect(volt.getByText("9 of 10 left")).toBeVisible();
    await signIn(page, "bob");
    await volt.getByRole("button", { name: "Reserve" }).click();
    await expect(volt.getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
    await volt.getByRole("button", { name: "Complete purchase" }).click();
    await expect(volt.getByText(/^Yours\./)).toBeVisible();
  });
}

/** Runs when the top of the page is hydrated and the rest is not yet: the page watches then for changes of the rest. */
async function onTheWay(page: Page, run: () => void): Promise<void> {
  await page.addInitScript(`
    const observe = MutationObserver.prototype.observe;
    MutationObserver.prototype.observe = function (target, options) {
      observe.call(this, target, options);
      if (target.id === "main") {
        MutationObserver.prototype.observe = observe;
        queueMicrotask(${run});
      }
    };
  `);
}

test("a page is live although something changed the document on the way", async ({ page, shop, consoleErrors }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await onTheWay(page, () => document.querySelector("main h2")!.before(document.createElement("font")));
  await open(page);
  await (await shop.customer("alice")).reserve(drop);
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  await signIn(page, "bob");
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Volt Runner").getByRole("button", { name: "Complete purchase" })).toBeVisible();
  expect(consoleErrors.splice(0)).toEqual([expect.stringContaining("starts anew")]);
});

test("what is chosen on the way is kept", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: [{ label: "US 8", stock: 3 }, { label: "US 9", stock: 3 }] });
  await onTheWay(page, () => document.querySelector<HTMLInputElement>("[name=size][value='US 9']")!.click());
  await open(page);
  await waitForHydration(page);
  await expect(card(page, "Ridge Trail").getByRole("radio", { name: /US 9/ })).toBeChecked();
  await signIn(page, "kim");
  await card(page, "Ridge Trail").getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^US 9 is reserved/)).toBeVisible();
});

test("what was typed and chosen is kept when a changed document is rendered anew", async ({ page, shop }) => {
  await shop.createDrop({ name: "Ridge Trail", sizes: [{ label: "US 8", stock: 3 }, { label: "US 9", stock: 3 }] });
  const release = await openWithoutModule(page);
  await card(page, "Ridge Trail").getByRole("radio", { name: /US 9/ }).check();
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill("kim");
  await page.evaluate(meddlings["an element after the username field"]!);
  release();
  await waitForHydration(page);
  await expect(dialog.getByLabel("Username")).toHaveValue("kim");
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
  await expect(page.getByRole("banner").getByText("kim")).toBeVisible();
  await card(page, "Ridge Trail").getByRole("button", { name: "Reserve" }).click();
  await expect(toast(page, /^US 9 is reserved/)).toBeVisible();
});

test("a module that dies on the way is replaced by another", async ({ page, shop, consoleErrors }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await page.route(/\.js$/, (route) =>
    route.fulfill({
      contentType: "text/javascript",
      body: "export default async () => {}; export const read = () => { throw new Error('dead'); };",
    }),
  );
  await open(page);
  await (await shop.customer("alice")).reserve(drop);
  await expect(card(page, "Volt Runner").getByText("9 of 10 left")).toBeVisible();
  expect(consoleErrors.splice(0)).toEqual([expect.stringContaining("starts anew")]);
});

/** From here on the module panics when it creates an element. */
const breakModule = () => {
  document.createElement = () => {
    throw new Error("broken");
  };
};

test("a page that dies later says so and is reloaded", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await page.evaluate(breakModule);
  await shop.createDrop({ name: "Halo Air", totalStock: 10 });
  await expect(card(page, "Halo Air")).toBeVisible();
  await expect(connection(page)).toHaveText("Connected");
  consoleErrors.length = 0; // the panic
});

test("a page that dies while a pair is held is not reloaded, and the pair can be bought", async ({
  page,
  shop,
  consoleErrors,
}) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "alice");
  const volt = card(page, "Volt Runner");
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(volt.getByRole("button", { name: "Complete purchase" })).toBeEnabled();
  await page.evaluate(breakModule);
  await page.mouse.move(0, 0);
  await shop.createDrop({ name: "Halo Air", totalStock: 10 });
  await expect(connection(page)).toHaveText("Offline");
  await expect(page.getByText("Part of this page did not load.")).toBeVisible();
  await volt.getByRole("button", { name: "Complete purchase" }).click();
  await expect(volt.getByText(/^Yours\./)).toBeVisible();
  await expect(connection(page)).toHaveText("Connected");
  consoleErrors.length = 0; // the panic
});

test("a translated page goes on", async ({ page, shop }) => {
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
  await open(page);
  await signIn(page, "alice");
  const volt = page.getByRole("article").first();
  await volt.getByRole("button", { name: "Reserve" }).click();
  await expect(volt.getByRole("timer")).toBeVisible();
  await page.evaluate(meddlings["every text in a font"]!);
  const before = await volt.getByRole("timer").innerText();
  await expect(volt.getByRole("timer")).not.toHaveText(before);
  await (await shop.customer("bob")).reserve(drop);
  await expect(volt.getByText("8 of 10 left")).toBeVisible();
  await expect(volt.getByText("1 reserved right now")).toBeVisible();
  await volt.getByRole("button", { name: "Give it back" }).click();
  await expect(volt.getByText("9 of 10 left")).toBeVisible();
  await expect(volt.getByRole("button", { name: "Reserve" })).toBeVisible();
});

for (const [type, spoil] of Object.entries({
  snapshot: (event: any) => ({ ...event, drops: { 1: "of a newer server" } }),
  stockUpdated: (event: any) => ({ ...event, newStock: { available: 1 } }),
})) {
  test(`a page that cannot read a newer server's ${type} says so, and reloads once`, async ({
    page,
    shop,
    consoleErrors,
  }) => {
    const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10 });
    const buyer = await shop.customer("alice");
    await page.routeWebSocket("/ws", (socket) => {
      socket.connectToServer().onMessage((message) => {
        const event = JSON.parse(message.toString());
        socket.send(JSON.stringify(event.type === type ? spoil(event) : event));
      });
    });
    let loads = 0;
    page.on("load", () => loads++);
    await page.goto("/");
    await waitForHydration(page);
    if (type === "stockUpdated") {
      await expect(connection(page)).toHaveText("Connected");
      await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
      const username = page.getByRole("dialog", { name: "Sign in" }).getByLabel("Username");
      await username.fill("kim");
      await buyer.reserve(drop);
      await expect(connection(page)).toHaveText("Out of date");
      await expect(username).toHaveValue("kim");
      expect(loads).toBe(1);
      await page.keyboard.press("Escape");
    }
    await expect.poll(() => loads).toBe(2);
    await waitForHydration(page);
    if (type === "stockUpdated") await buyer.release(drop);
    await expect(connection(page)).toHaveText("Out of date");
    await expect(page.getByText("There is a new version of this page.")).toBeVisible();
    await signIn(page, "kim");
    expect(loads).toBe(2);
    await page.getByRole("button", { name: "Reload" }).click();
    await expect.poll(() => loads).toBe(3);
    consoleErrors.length = 0; // what could not be read
  });
}

test("a document that nothing changed is hydrated, whatever it says", async ({ page, shop, consoleErrors }) => {
  const names = [`<b>"Volt" & 'Runner'</b> >`, "AT&copy; \u00a0 </title>", "Läufer 🤷‍♀️ <!-- -->"];
  for (const name of names) {
    await shop.createDrop({ name, sizes: [{ label: `"US" <9> &amp;`, stock: 3 }, { label: "> US 10", stock: 3 }] });
  }
  const drop = await shop.createDrop({ name: "Volt Runner", totalStock: 10, limitPerUser: 2 });
  await shop.createDrop({ name: "Ridge Trail", startsAt: "2030-01-01T00:00:00Z" });
  await shop.createDrop({ name: "Pace Retro", startsAt: "2020-01-01T00:00:00Z", endsAt: "2020-01-02T00:00:00Z" });
  await page.addInitScript(() => {
    const observer = new MutationObserver(() => {
      const main = document.querySelector("main");
      main?.setAttribute("data-served", "");
      if (main) observer.disconnect();
    });
    observer.observe(document, { childList: true, subtree: true });
  });
  // What is rendered anew has not what was put on the served element.
  const expectHydrated = async (path: string) => {
    await open(page, path);
    await expect(page.getByRole("main")).toHaveAttribute("data-served", "");
  };
  for (const path of ["/", `/drops/${drop}`, "/drops/1", "/drops/past", "/purchases", "/nowhere"]) await expectHydrated(path);
  await open(page);
  await signIn(page, `<i>"Kim" & co</i>`);
  await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
  await expect(card(page, "Volt Runner").getByRole("timer")).toBeVisible();
  await expectHydrated("/");
  await card(page, "Volt Runner").getByRole("button", { name: "Complete purchase" }).click();
  await expect(card(page, "Volt Runner").getByText(/^Yours\./)).toBeVisible();
  for (const path of ["/", `/drops/${drop}`, "/purchases"]) await expectHydrated(path);
  consoleErrors.length = 0; // the 404
});
