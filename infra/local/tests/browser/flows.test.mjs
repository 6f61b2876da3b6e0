// "Try it": the console acts as an app.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, generate, shows, threePacks } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

/** The remaining credits of each pack, in spending order. */
const remaining = (page) => page.locator(".pack .remaining").allTextContents();

test("new user gets the grant of the form", () =>
  browser.open(stack, "before", async (page) => {
    await page.getByRole("button", { name: "New user" }).click();
    const user = await page.getByLabel("User").inputValue();
    assert.match(user, /^user-[0-9a-f]{8}$/);
    assert.equal(new URL(page.url()).hash, `#${user}`);
    await page.locator("#grant").getByLabel("Type").selectOption("new user");
    await page.getByLabel("Credits", { exact: true }).fill("25");
    await page.getByLabel("Expires in").selectOption("never");
    await page.getByRole("button", { name: "Grant", exact: true }).click();
    await balanceIs(page, "25");
    await shows(page.locator(".pack"), "never expires");
    await page.getByRole("button", { name: "Grant", exact: true }).click();
    await shows(page.locator("#scenarios"), "Already granted");
    await balanceIs(page, "25");
  }));

test("successful generation stays charged and lists the packs that paid", () =>
  browser.open(stack, "succeeds", async (page) => {
    await threePacks(page);
    await generate(page, { costs: "17" });
    await shows(page.locator("#scenarios"), "The generation succeeded. The charge stays.");
    await balanceIs(page, "1");
    const reasons = page.locator("#scenarios .reasons li");
    assert.match((await reasons.nth(0).textContent()) ?? "", /^5 from order-\w+: expires first, /);
    assert.match((await reasons.nth(1).textContent()) ?? "", /^10 from order-\w+: expires next, /);
    assert.match((await reasons.nth(2).textContent()) ?? "", /^2 from …\w+: never expires, so it is spent last$/);
    const record = page.locator(".record").first();
    await record.getByText("packs used").click();
    await record.locator(".reasons li").nth(2).waitFor();
    assert.deepEqual(await record.locator(".reasons li").allTextContents(), await reasons.allTextContents());
  }));

test("failed generation refills the packs that paid", () =>
  browser.open(stack, "fails", async (page) => {
    await threePacks(page);
    await generate(page, { seconds: "4", outcome: "fails", reason: "no GPU" });
    await balanceIs(page, "10");
    assert.deepEqual(await remaining(page), ["0 of 5", "7 of 10", "3 of 3"]);
    await shows(page.locator("#scenarios"), "Refunded 8 to the packs that paid. The balance is 18.");
    await balanceIs(page, "18");
    assert.deepEqual(await remaining(page), ["5 of 5", "10 of 10", "3 of 3"]);
    assert.deepEqual(await page.locator(".pack.filled .change").allTextContents(), ["+5", "+3"]);
    const bar = page.locator(".pack .bar div").first();
    assert.equal(await bar.evaluate((bar) => getComputedStyle(bar).transitionDuration), "0.7s");
  }));

test("reduced motion shows the same without animation", () =>
  browser.open(stack, "still", async (page) => {
    await threePacks(page);
    // Long enough for the page to show the charge before the refund.
    await generate(page, { seconds: "4", outcome: "fails" });
    await balanceIs(page, "10");
    await shows(page.locator("#scenarios"), "Refunded 8");
    await balanceIs(page, "18");
    const bar = page.locator(".pack .bar div").first();
    assert.equal(await bar.evaluate((bar) => getComputedStyle(bar).transitionDuration), "0s");
    const change = page.locator(".pack.filled .change");
    assert.deepEqual(await change.allTextContents(), ["+5", "+3"]);
    assert.equal(await change.first().evaluate((change) => getComputedStyle(change).animationName), "fade");
  }, { reducedMotion: "reduce" }));

test("generation that times out is refunded with that reason", () =>
  browser.open(stack, "times-out", async (page) => {
    await threePacks(page);
    await generate(page, { seconds: "1", outcome: "times out" });
    await shows(page.locator("#scenarios"), "The generation timed out.");
    await balanceIs(page, "18");
    await page.getByLabel("Show refunded charges").check();
    await shows(page.locator(".record.voided"), "timed out after 1 second");
  }));

test("refund sent twice restores once", () =>
  browser.open(stack, "twice", async (page) => {
    await threePacks(page);
    await page.getByRole("button", { name: "Double-click refund" }).click();
    await shows(page.locator("#scenarios"), "Refunded 8 to the packs that paid.");
    await shows(page.locator("#scenarios"), "Already refunded. No credits are restored twice.");
    await balanceIs(page, "18");
  }));

test("racing charges succeed only as far as the balance allows", () =>
  browser.open(stack, "race", async (page) => {
    await threePacks(page);
    await page.getByLabel("Cost").fill("5");
    await page.getByRole("button", { name: "Race twenty charges" }).click();
    await shows(page.locator("#scenarios"), "3 succeeded, 17 rejected with InsufficientCredits. The balance is 3, never below zero.");
    await balanceIs(page, "3");
    assert.equal(await page.locator("#requests > li:not(.own)").count(), 23);
  }, {}, [/402/]));

test("requests show response and cost, and copy as curl", () =>
  browser.open(stack, "seen", async (page) => {
    await threePacks(page);
    await generate(page, { costs: "8" });
    await shows(page.locator("#scenarios"), "The generation succeeded");
    const first = page.locator("#requests > li:not(.own)").first();
    await shows(first, /^POST \/credits\/decrease 200 [\d.]+ ms · 2 round trips · 1 RRU · \d+ WRU$/);
    await first.locator("summary").click();
    const [request, response] = (await first.locator("pre").allTextContents()).map((text) => JSON.parse(text));
    assert.equal(request.credits, 8);
    assert.deepEqual(Object.keys(response.allocations[0]), ["pack", "order_no", "credits", "expired_at"]);
    await first.getByRole("button", { name: "Copy as curl" }).click();
    await first.getByRole("button", { name: "Copied" }).waitFor();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const again = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
    assert.deepEqual(again, { ...response, replayed: true });
  }));

test("table shows items, types and the cost of the last call", () =>
  browser.open(stack, "table", async (page) => {
    await threePacks(page);
    await page.getByRole("tab", { name: "Table" }).click();
    const keys = page.locator(".items summary code");
    await keys.nth(3).waitFor();
    assert.equal(await keys.first().textContent(), "wallet");
    await shows(page.locator("#table"), /Last call: POST \/credits\/grant · [\d.]+ ms · 2 round trips · 1 RRU · \d+ WRU/);
    await shows(page.locator("#table"), /4 items · a Query of [\d.]+ ms · 1 round trip · [\d.]+ RRU/);
    const wallet = page.locator(".items li").first();
    await wallet.locator("summary").click();
    const read = async () => JSON.parse(await wallet.locator("pre").textContent());
    assert.deepEqual((await read()).packs.map((pack) => pack.n), [5, 10, 3]);
    await page.getByLabel("With types").check();
    assert.deepEqual((await read()).packs.L.map((pack) => pack.M.n), [{ N: "5" }, { N: "10" }, { N: "3" }]);
    await stack.charge("table", 4, "gen-outside");
    await shows(keys, "charge#gen-outside#");
    assert.deepEqual((await read()).packs.L.map((pack) => pack.M.n), [{ N: "1" }, { N: "10" }, { N: "3" }]);
  }));
