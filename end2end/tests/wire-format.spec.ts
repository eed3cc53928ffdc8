import { type Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { card, expect, open, signIn, test, toast } from "./shop";

type Event = { type: string } & Record<string, any>;

/** Written by tests/integration/wire_format.rs from the server's own types. */
const samples = JSON.parse(readFileSync(new URL("../samples.json", import.meta.url), "utf8")) as {
  events: Event[];
  errors: { status: number; body: unknown; sentence: string }[];
};

/** Opens the page and returns a function that sends it events between those of the server. */
async function openWithEvents(page: Page): Promise<(event: Event) => void> {
  let send = (_: Event) => {};
  await page.routeWebSocket("/ws", (socket) => {
    socket.connectToServer();
    send = (event) => socket.send(JSON.stringify(event));
  });
  await open(page);
  return (event) => send(event);
}

test("the page reads every event", async ({ page }) => {
  const send = await openWithEvents(page);
  const banner = page.getByRole("banner");
  const sample = card(page, "Sample Runner");
  const seen: Record<string, () => Promise<void>> = {
    snapshot: () => expect(sample.getByText("8 of 10 left")).toBeVisible(),
    heartbeat: () => expect(sample.getByText("8 of 10 left")).toBeVisible(),
    dropCreated: () => expect(sample.getByText("kim")).toBeVisible(),
    dropUpdated: () => expect(sample.getByText("$189")).toBeVisible(),
    stockUpdated: () => expect(sample.getByText("6 of 10 left")).toBeVisible(),
    purchaseCompleted: () => expect(sample.getByText("sam", { exact: true })).toBeVisible(),
    visitor: async () => {
      await expect(banner.getByText("sam", { exact: true })).toBeVisible();
      await expect(sample.getByRole("timer")).toHaveText(/^(1:00|0:5\d)$/);
    },
    "reservation active": () => expect(sample.getByRole("button", { name: "Complete purchase" })).toBeVisible(),
    "reservation completed": () => expect(sample.getByText("Yours. Order 900010")).toBeVisible(),
    dropRemoved: () => expect(sample).toHaveCount(0),
    "visitor signed out": () => expect(banner.getByRole("button", { name: "Sign in" })).toBeVisible(),
  };
  for (const event of samples.events) {
    send(event);
    const state = event.reservation?.status ?? (event.visitor === null ? "signed out" : "");
    await seen[`${event.type} ${state}`.trim()]!();
  }
});

test("words of a newer server do not spoil the rest", async ({ page, consoleErrors }) => {
  const send = await openWithEvents(page);
  const byType = (type: string) => structuredClone(samples.events.find((event) => event.type === type)!);
  send({ type: "ofANewerServer" });
  const snapshot = byType("snapshot");
  const unreadable = { ...structuredClone(snapshot.drops[0]), id: 900_002, name: "Another Runner", price_cents: "$199" };
  const third = { ...structuredClone(snapshot.drops[0]), id: 900_003, name: "Third Runner" };
  send({ ...snapshot, drops: [unreadable, { ...snapshot.drops[0], colour: "volt" }, third] });
  send({ ...byType("stockUpdated"), reason: "restocked", sizes: [{ label: 9 }, { label: "US 9", available: 1 }] });
  const sample = card(page, "Sample Runner");
  await expect(sample.getByText("6 of 10 left")).toBeVisible();
  await expect(sample.getByRole("radio", { name: "US 9, 1 left" })).toBeVisible();
  await expect(card(page, "Another Runner")).toHaveCount(0);
  await expect(card(page, "Third Runner").getByText("8 of 10 left")).toBeVisible();
  expect(consoleErrors).toEqual([
    expect.stringMatching("unknown type.*ofANewerServer"),
    expect.stringMatching("left out: not a number"),
    expect.stringMatching("left out: not text"),
  ]);
  consoleErrors.length = 0;
});

test("the page reads what a server of the release before sends", async ({ page }) => {
  const send = await openWithEvents(page);
  const snapshot = structuredClone(samples.events.find((event) => event.type === "snapshot")!);
  const { description, paused, ...before } = snapshot.drops[0];
  send({ ...snapshot, drops: [before] });
  await expect(card(page, "Sample Runner").getByText("8 of 10 left")).toBeVisible();
  const visitor = structuredClone(samples.events.find((event) => event.visitor)!);
  delete visitor.visitor.cancelled_purchases;
  send(visitor);
  await expect(page.getByRole("banner").getByText("sam", { exact: true })).toBeVisible();
});

test.use({ timezoneId: "UTC" });

test("the page says every error in words", async ({ page, shop, consoleErrors }) => {
  await shop.createDrop({ name: "Volt Runner", totalStock: 3 });
  await open(page);
  await signIn(page, "alice");
  const ofANewerServer = {
    status: 409,
    body: { of_a_newer_server: {} },
    sentence: samples.errors.find(({ body }) => body === "internal")!.sentence,
  };
  // The last one signs the visitor out.
  for (const { status, body, sentence } of [ofANewerServer, ...samples.errors]) {
    await page.route("/rpc/reserve", (route) => route.fulfill({ status, json: body }));
    await card(page, "Volt Runner").getByRole("button", { name: "Reserve" }).click();
    // The server writes in UTC, and the page in the visitor's zone.
    const said = toast(page, sentence.replace(" UTC", ""));
    await expect(said, JSON.stringify(body)).toBeVisible();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await expect(said).toHaveCount(0);
    await page.unroute("/rpc/reserve");
  }
  // The browser itself reports each refusal.
  const own = consoleErrors.filter((message) => !message.includes("Failed to load resource"));
  expect(own).toEqual([expect.stringMatching("an answer could not be read")]);
  consoleErrors.length = 0;
});
