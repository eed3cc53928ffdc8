import { test as base, expect, request, type BrowserContext, type Locator, type Page } from "@playwright/test";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import pg from "pg";

const TARGET = fileURLToPath(new URL("../../target", import.meta.url));
const ADMIN_TOKEN = "end-to-end-admin-token";

/** The body of `POST /api/drops`. */
export interface NewDrop {
  name: string;
  priceCents?: number;
  totalStock?: number;
  sizes?: { label: string; stock: number }[];
  limitPerUser?: number;
  imageUrl?: string;
  startsAt?: string;
  endsAt?: string;
}

/** A server process of the release build, with its own database. */
export class Shop {
  private process?: ChildProcess;
  private port = 0;
  private settings: Record<string, string> = {};

  private constructor(
    private readonly database: string,
    private readonly ttlSeconds: number,
  ) {}

  static async open(ttlSeconds: number): Promise<Shop> {
    const shop = new Shop(`sneakdrop_e2e_${randomBytes(6).toString("hex")}`, ttlSeconds);
    await maintenance(`create database ${shop.database}`);
    await shop.start();
    return shop;
  }

  private get databaseUrl(): string {
    const database = new URL(process.env.DATABASE_URL!);
    database.pathname = `/${this.database}`;
    return database.href;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the server; after a restart it has the same port. */
  async start(): Promise<void> {
    this.process = spawn(`${TARGET}/release/sneakdrop`, {
      env: {
        ...process.env,
        LEPTOS_SITE_ROOT: `${TARGET}/site`,
        LEPTOS_HASH_FILES: "true",
        DATABASE_URL: this.databaseUrl,
        PORT: String(this.port),
        RESERVATION_TTL_SECONDS: String(this.ttlSeconds),
        ADMIN_TOKEN,
        SESSION_KEY: "end-to-end-session-key-of-32-characters",
        ...this.settings,
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const log: string[] = [];
    for await (const line of createInterface({ input: this.process.stderr! })) {
      log.push(line);
      const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) {
        this.port = Number(port);
        this.process.stderr!.resume();
        return;
      }
    }
    throw new Error(`the server did not start:\n${log.join("\n")}`);
  }

  /** Kills the server, as a crash would. */
  async kill(): Promise<void> {
    const process = this.process!;
    if (process.exitCode === null && process.signalCode === null) {
      const exited = once(process, "exit");
      process.kill("SIGKILL");
      await exited;
    }
  }

  /** Stops the server in order, and returns its exit code. */
  async stop(): Promise<number | null> {
    const exited = once(this.process!, "exit");
    this.process!.kill("SIGTERM");
    return (await exited)[0] as number | null;
  }

  /** Starts the server anew with further settings. */
  async configure(settings: Record<string, string>): Promise<void> {
    await this.kill();
    this.settings = settings;
    await this.start();
  }

  async close(): Promise<void> {
    await this.kill();
    await maintenance(`drop database ${this.database} with (force)`);
  }

  /** Runs SQL on the shop's database, as somebody does who edits or restores it. */
  async sql(statements: string): Promise<void> {
    await run(this.databaseUrl, statements);
  }

  /** Creates a drop and returns its id. */
  async createDrop(drop: NewDrop): Promise<number> {
    const stock = drop.sizes ? {} : { totalStock: drop.totalStock ?? 10 };
    const body = { priceCents: 19_900, imageUrl: "/shoes/volt-runner.dd12f4b1.svg", ...stock, ...drop };
    const { drop: created } = (await this.call("POST", "/api/drops", body, ADMIN_TOKEN)) as { drop: { id: number } };
    return created.id;
  }

  /** Calls the API as the admin. */
  async steer(path: string, body: unknown): Promise<unknown> {
    return this.call("POST", path, body, ADMIN_TOKEN);
  }

  /** Claims a username for a customer who uses the REST API. */
  async customer(username: string): Promise<Customer> {
    const { token } = (await this.call("POST", "/api/users/get-or-create", { username })) as { token: string };
    return new Customer(this, token);
  }

  async call(method: string, path: string, body?: unknown, token?: string): Promise<unknown> {
    const response = await fetch(this.url + path, {
      method,
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  }
}

/** A user who acts through the REST API, without a browser. */
export class Customer {
  constructor(
    private readonly shop: Shop,
    private readonly token: string,
  ) {}

  reserve(dropId: number, size?: string) {
    return this.shop.call("POST", `/api/drops/${dropId}/reserve`, { size }, this.token);
  }

  purchase(dropId: number) {
    return this.shop.call("POST", `/api/drops/${dropId}/purchase`, {}, this.token);
  }

  release(dropId: number) {
    return this.shop.call("DELETE", `/api/drops/${dropId}/reservation`, undefined, this.token);
  }
}

/** Runs SQL on the database that DATABASE_URL names. */
async function maintenance(sql: string): Promise<void> {
  await run(process.env.DATABASE_URL!, sql);
}

async function run(database: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

interface Fixtures {
  ttlSeconds: number;
  shop: Shop;
  /** Opens a separate browser context: another person, or another device. */
  newVisitor: (options?: Parameters<import("@playwright/test").Browser["newContext"]>[0]) => Promise<BrowserContext>;
  /** Errors and warnings of every console. A test fails if any are left at its end; one that expects them clears it. */
  consoleErrors: string[];
}

export const test = base.extend<Fixtures>({
  ttlSeconds: [60, { option: true }],

  shop: async ({ ttlSeconds }, use) => {
    const shop = await Shop.open(ttlSeconds);
    await use(shop);
    await shop.close();
  },

  consoleErrors: async ({}, use) => {
    const consoleErrors: string[] = [];
    await use(consoleErrors);
    expect(consoleErrors, "the console has no errors or warnings").toEqual([]);
  },

  baseURL: async ({ shop }, use) => use(shop.url),

  context: async ({ context, consoleErrors }, use) => {
    collectConsoleErrors(context, consoleErrors);
    await use(context);
    await leavePages(context);
  },

  newVisitor: async ({ browser, shop, consoleErrors }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async (options) => {
      const context = await browser.newContext({ baseURL: shop.url, ...options });
      contexts.push(context);
      collectConsoleErrors(context, consoleErrors);
      return context;
    });
    await Promise.all(contexts.map((context) => leavePages(context).then(() => context.close())));
  },
});

export { expect };

/** Chromium now and then never closes a context of which a page is just loaded anew, as those do that show orders. */
async function leavePages(context: BrowserContext): Promise<void> {
  // A link may be on its way to another page, and is followed first.
  const leave = (page: Page) => page.goto("about:blank");
  await Promise.all(context.pages().map((page) => leave(page).catch(() => leave(page))));
}

function collectConsoleErrors(context: BrowserContext, consoleErrors: string[]): void {
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      consoleErrors.push(`${message.type()}: ${message.text()}`);
    }
  });
  context.on("weberror", (error) => consoleErrors.push(`uncaught: ${error.error().message}`));
}

/** Opens a page and waits until it is hydrated and connected. */
export async function open(page: Page, path = "/"): Promise<void> {
  await page.goto(path);
  await waitForHydration(page);
  await expect(connection(page)).toHaveText("Connected");
}

export async function waitForHydration(page: Page): Promise<void> {
  await expect(page.locator("html")).toHaveAttribute("data-hydrated", "");
}

export function connection(page: Page): Locator {
  return page.getByRole("banner").getByRole("status");
}

export async function signIn(page: Page, username: string): Promise<void> {
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill(username);
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
  await expect(page.getByRole("banner").getByText(username, { exact: true })).toBeVisible();
}

/** Signs in as a browser that keeps no cookies. */
export async function signInWithoutCookies(page: Page, username: string): Promise<void> {
  const elsewhere = await request.newContext();
  await page.route("**/rpc/sign_in", async (route) => {
    const response = await elsewhere.fetch(route.request(), { maxRedirects: 0 });
    const { "set-cookie": _, ...headers } = response.headers();
    await route.fulfill({ response, headers });
  });
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Username").fill(username);
  await dialog.getByRole("button", { name: "Enter the drop" }).click();
}

/** Signs in at the desk, as somebody does who runs drops. */
export async function openDesk(page: Page, shop: Shop): Promise<void> {
  await page.goto(`${shop.url}/admin/sign-in`);
  await page.getByLabel("Admin token").fill("end-to-end-admin-token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Drops" })).toBeVisible();
}

export function card(page: Page, name: string): Locator {
  return page.getByRole("article", { name });
}

export function toast(page: Page, text: string | RegExp): Locator {
  return page.getByRole("region", { name: "Messages" }).getByText(text);
}
