/** The components in Chromium: content, hydration, errors, keyboard and accessibility. */

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

import { type Browser, type Page, chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";

import { PageServer } from "../support/page-server.js";
import { client, newId, userWith } from "../support/users.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const scrip = client();

let server: PageServer;
let browser: Browser;
let page: Page;
/** Messages of the console that are no information, such as a failed hydration. */
let complaints: string[];

beforeAll(async () => {
  server = await PageServer.start(inject("url"));
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
afterAll(async () => {
  await browser.close();
  server.stop();
});
beforeEach(async () => {
  page = await browser.newPage();
  complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
});
afterEach(async () => {
  server.failure = undefined;
  await page.close();
});

/** A user with two packs, a charge of 8 and a refunded charge of 2. */
async function richUser(): Promise<string> {
  const user_uuid = newId("user");
  const order = (credits: number, expired_at: string) =>
    scrip.grant({ user_uuid, trans_type: "order_pay", order_no: `order-${randomUUID()}`, credits, expired_at });
  await order(5, "2099-02-01T00:00:00Z");
  await order(1_010, "2099-03-01T00:00:00Z");
  await scrip.decrease({ user_uuid, generation_uuid: newId("gen"), trans_type: "anime_generation", credits: 8 });
  const generation_uuid = newId("gen");
  await scrip.decrease({ user_uuid, generation_uuid, trans_type: "video_generation", credits: 2 });
  await scrip.refund({ user_uuid, generation_uuid, reason: "<b>no GPU</b>" });
  return user_uuid;
}

const status = () => page.getByRole("status");
const lines = (list: string) => page.getByRole("list", { name: list }).getByRole("listitem");
const showsBalance = (credits: string) => expect.poll(() => status().textContent()).toBe(`Credits ${credits}`);

async function violations(): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run: () => Promise<{ violations: { id: string; help: string }[] }> };
    };
    return (await axe.run()).violations.map(({ id, help }) => `${id}: ${help}`);
  });
}

test("balance, packs and timeline are shown, and are accessible", async () => {
  await page.goto(server.pageOf(await richUser()));
  await showsBalance("1,007");
  expect(await lines("Packs").allTextContents()).toEqual([" 1007 of 1010 left, expires Mar 1, 2099"]);
  await expect.poll(() => lines("Timeline").count()).toBe(3);
  expect(await lines("Timeline").first().textContent()).toMatch(/anime generation -8$/);
  expect(await violations()).toEqual([]);
  expect(complaints).toEqual([]);
});

test("refunded charges are struck through, with the reason as text", async () => {
  await page.goto(server.pageOf(await richUser()));
  await page.getByLabel("Show refunds").check();
  const voided = page.locator('[data-state="voided"]');
  await expect.poll(() => voided.textContent()).toContain("video generation -2 refunded: <b>no GPU</b>");
  expect(await voided.locator("del").textContent()).toBe("-2");
  expect(await violations()).toEqual([]);
});

test("markup of the server is hydrated without a difference", async () => {
  const user = await richUser();
  const answer = await page.request.get(server.pageOf(user, await scrip.balance(user)));
  expect(await answer.text()).toContain("1,007");
  server.failure = 503;
  await page.goto(server.pageOf(user));
  await expect.poll(() => page.getByRole("alert").count()).toBe(1);
  await showsBalance("1,007");
  expect(complaints.filter((text) => !text.includes("503"))).toEqual([]);
});

test("a refresh shows what changed", async () => {
  const user_uuid = await userWith(10);
  await page.goto(server.pageOf(user_uuid));
  await showsBalance("10");
  await scrip.decrease({ user_uuid, generation_uuid: newId("gen"), trans_type: "chat", credits: 4 });
  await page.getByRole("button", { name: "Refresh" }).click();
  await showsBalance("6");
  await expect.poll(() => lines("Timeline").first().textContent()).toMatch(/chat -4$/);
});

test("a page that becomes visible is refreshed", async () => {
  const user_uuid = await userWith(10);
  await page.goto(server.pageOf(user_uuid));
  await showsBalance("10");
  await scrip.decrease({ user_uuid, generation_uuid: newId("gen"), trans_type: "chat", credits: 4 });
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await showsBalance("6");
});

test("the balance is read again when a pack expires", async () => {
  const user_uuid = newId("user");
  const expired_at = new Date(Date.now() + 3_000).toISOString();
  await scrip.grant({ user_uuid, trans_type: "order_pay", order_no: newId("order"), credits: 5, expired_at });
  await page.goto(server.pageOf(user_uuid));
  await showsBalance("5");
  await expect.poll(() => status().textContent(), { timeout: 10_000 }).toBe("Credits 0");
  expect(await page.getByText("No credits left.").count()).toBe(1);
});

test("more records are read by keyboard", async () => {
  const user_uuid = await userWith(10);
  for (let index = 0; index < 7; index++) {
    await scrip.decrease({ user_uuid, generation_uuid: newId("gen"), trans_type: "chat", credits: 1 });
  }
  await page.goto(server.pageOf(user_uuid));
  const more = page.getByRole("button", { name: "Show more" });
  await more.focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => lines("Timeline").count()).toBe(8);
  expect(await more.count()).toBe(0);
});

test("a failed read is announced and can be repeated", async () => {
  const user = await userWith(10);
  server.failure = 503;
  await page.goto(server.pageOf(user));
  const alerts = page.getByRole("alert");
  await expect.poll(() => alerts.count()).toBe(2);
  expect(await violations()).toEqual([]);
  server.failure = undefined;
  await alerts.first().getByRole("button", { name: "Try again" }).click();
  await showsBalance("10");
  await expect.poll(() => lines("Timeline").count()).toBe(1);
});
