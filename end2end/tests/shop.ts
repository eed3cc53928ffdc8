import { test as base, expect, type BrowserContext, type Locator, type Page } from "@playwright/test";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import pg from "pg";

const BINARY = fileURLToPath(new URL("../../target/release/sneakdrop", import.meta.url));
const ADMIN_TOKEN = "end-to-end-admin-token";

/** A drop as the admin API takes it; `opensInSeconds` counts from the server's now. */
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

/** A server of the release build on a database of its own. */
export class Shop {
  private process?: ChildProcess;
  private port = 0;

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

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the server, on the same port as before if there was one. */
  async start(): Promise<void> {
    const database = new URL(process.env.DATABASE_URL!);
    database.pathname = `/${this.database}`;
    this.process = spawn(BINARY, {
      env: {
        ...process.env,
        DATABASE_URL: database.href,
        PORT: String(this.port),
        RESERVATION_TTL_SECONDS: String(this.ttlSeconds),
        ADMIN_TOKEN,
        SESSION_KEY: "end-to-end-session-key-of-32-characters",
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said: string[] = [];
    for await (const line of createInterface({ input: this.process.stderr! })) {
      said.push(line);
      const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) {
        this.port = Number(port);
        this.process.stderr!.resume();
        return;
      }
    }
    throw new Error(`the server did not start:\n${said.join("\n")}`);
  }

  /** Stops the server as a crash would. */
  async kill(): Promise<void> {
    const process = this.process!;
    if (process.exitCode === null && process.signalCode === null) {
      const exited = once(process, "exit");
      process.kill("SIGKILL");
      await exited;
    }
  }

  async close(): Promise<void> {
    await this.kill();
    await maintenance(`drop database ${this.database} with (force)`);
  }

  /** Creates a drop and returns its id. */
  async createDrop(drop: NewDrop): Promise<number> {
    const stock = drop.sizes ? {} : { totalStock: drop.totalStock ?? 10 };
    const body = { priceCents: 19_900, imageUrl: "/shoes/volt-runner.svg", ...stock, ...drop };
    const answer = (await this.call("POST", "/api/drops", body, ADMIN_TOKEN)) as { drop: { id: number } };
    return answer.drop.id;
  }

  /** Someone else, who uses the API. */
  async customer(username: string): Promise<Customer> {
    const answer = (await this.call("POST", "/api/users/get-or-create", { username })) as { token: string };
    return new Customer(this, answer.token);
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

/** A person without a browser. */
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

  giveBack(dropId: number) {
    return this.shop.call("DELETE", `/api/drops/${dropId}/reservation`, undefined, this.token);
  }
}

async function maintenance(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

interface Fixtures {
  /** How long reservations last in this test's shop. */
  ttlSeconds: number;
  shop: Shop;
  /** Opens a browser of its own: another person, or another device. */
  newVisitor: (options?: Parameters<import("@playwright/test").Browser["newContext"]>[0]) => Promise<BrowserContext>;
  /** What browsers complained about; a test that expects complaints empties it. */
  complaints: string[];
}

export const test = base.extend<Fixtures>({
  ttlSeconds: [60, { option: true }],

  shop: async ({ ttlSeconds }, use) => {
    const shop = await Shop.open(ttlSeconds);
    await use(shop);
    await shop.close();
  },

  complaints: async ({}, use) => {
    const complaints: string[] = [];
    await use(complaints);
    expect(complaints, "the console stays free of errors").toEqual([]);
  },

  baseURL: async ({ shop }, use) => use(shop.url),

  context: async ({ context, complaints }, use) => {
    listen(context, complaints);
    await use(context);
  },

  newVisitor: async ({ browser, shop, complaints }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async (options) => {
      const context = await browser.newContext({ baseURL: shop.url, ...options });
      contexts.push(context);
      listen(context, complaints);
      return context;
    });
    await Promise.all(contexts.map((context) => context.close()));
  },
});

export { expect };

function listen(context: BrowserContext, complaints: string[]): void {
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      complaints.push(`${message.type()}: ${message.text()}`);
    }
  });
  context.on("weberror", (error) => complaints.push(`uncaught: ${error.error().message}`));
}

/** Opens a page and waits until it answers in place. */
export async function open(page: Page, path = "/"): Promise<void> {
  await page.goto(path);
  await hydrated(page);
  await expect(connection(page)).toHaveText("Live");
}

export async function hydrated(page: Page): Promise<void> {
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

export function card(page: Page, name: string): Locator {
  return page.getByRole("article", { name });
}

export function toast(page: Page, text: string | RegExp): Locator {
  return page.getByRole("region", { name: "Messages" }).getByText(text);
}
