// Runs the stack as a process, and opens pages of its console.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

/** The npm packages that `.ci/run` installs. */
const tools = createRequire(join(process.env.SCRIP_BROWSER_TOOLS, "package.json"));
const { chromium } = tools("playwright-core");
const axe = tools("axe-core").source;

/** Time limit of every step, in milliseconds. */
const TIMEOUT = 30_000;

/** A running stack. */
export class Stack {
  static async start(...flags) {
    const child = spawn(process.env.SCRIP_LOCAL, flags, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    const output = [];
    for await (const line of lines) {
      output.push(line);
      if (output.length === 2) break;
    }
    child.stdout.resume();
    const stack = new Stack();
    stack.child = child;
    stack.url = /^listening on (\S+)$/.exec(output[0])[1];
    stack.engine = /^DynamoDB at ([^\s,]+)/.exec(output[1])[1];
    return stack;
  }

  static inMemory(...flags) {
    return Stack.start("--memory", "--port", "0", "--dynamodb-port", "0", ...flags);
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM");
      await once(this.child, "exit");
    }
  }

  /** Sends a request that must succeed, without the page. */
  async post(path, body) {
    const response = await fetch(this.url + path, { method: "POST", body: JSON.stringify(body) });
    const answer = await response.json();
    assert.ok(response.ok, JSON.stringify(answer));
    return answer;
  }

  grant(user, credits, more = {}) {
    const body = { user_uuid: user, trans_type: "system_add", credits, idempotency_key: randomUUID(), ...more };
    return this.post("/credits/grant", body);
  }

  charge(user, credits, generation, more = {}) {
    const body = { user_uuid: user, trans_type: "anime_generation", credits, generation_uuid: generation, ...more };
    return this.post("/credits/decrease", body);
  }

  settle(user, generation, credits, more = {}) {
    return this.post("/credits/settle", { user_uuid: user, generation_uuid: generation, credits, ...more });
  }

  refund(user, generation, reason) {
    return this.post("/credits/refund", { user_uuid: user, generation_uuid: generation, reason });
  }
}

/** A browser that reports console errors, and requests to other hosts. */
export class Browser {
  static async start() {
    const browser = new Browser();
    // Chromium's sandbox does not run as root.
    browser.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    });
    return browser;
  }

  stop() {
    return this.browser.close();
  }

  /** Opens a user, runs `act`, and checks that the page had no error but the expected ones. */
  async open(stack, user, act, options = {}, expected = []) {
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 900 },
      locale: "en-GB",
      timezoneId: "UTC",
      permissions: ["clipboard-read", "clipboard-write"],
      ...options,
    });
    context.setDefaultTimeout(TIMEOUT);
    const errors = [];
    context.on("request", (request) => {
      if (!request.url().startsWith(stack.url)) errors.push(`a request to ${request.url()}`);
    });
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) errors.push(message.text());
    });
    context.on("weberror", (error) => errors.push(String(error.error().stack)));
    const page = await context.newPage();
    try {
      await page.goto(`${stack.url}/#${user}`);
      await page.locator("#live[data-state=live], #live[data-state=denied]").waitFor();
      await act(page, context);
      const unexpected = errors.filter((text) => !expected.some((pattern) => pattern.test(text)));
      assert.deepEqual(unexpected, []);
    } finally {
      await context.close();
    }
  }
}

/** Waits until a part of the page contains a text. */
export async function shows(locator, text) {
  await locator.filter({ hasText: text }).first().waitFor();
}

/** Fails if axe finds a serious problem in the page as it is now. */
export async function passesAxe(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.map(({ id, impact, nodes }) =>
    ({ id, impact, nodes: nodes.map((node) => node.html) })));
  assert.deepEqual(found.filter(({ impact }) => impact === "serious" || impact === "critical"), []);
}

export function balanceIs(page, balance) {
  return page.locator(".balance").getByText(balance, { exact: true }).waitFor();
}

/** Grants the three packs of 5, 10 and 3. */
export async function threePacks(page) {
  await page.getByRole("button", { name: "Three packs" }).click();
  await balanceIs(page, "18");
}

export async function generate(page, { costs = "8", seconds = "0", outcome = "succeeds", reason }) {
  await page.getByLabel("Cost").fill(costs);
  await page.getByLabel("Seconds").fill(seconds);
  await page.getByLabel("Outcome").selectOption(outcome);
  if (reason) await page.getByLabel("Reason of the refund").fill(reason);
  await page.getByRole("button", { name: "Run", exact: true }).click();
}
