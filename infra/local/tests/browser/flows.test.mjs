// "Try it": the console plays an app.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, generate, says, threePacks } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

/** How full each pack is shown to be, in spending order. */
const left = (page) => page.locator(".pack .left").allTextContents();

test("a new user is made, and granted what the form says", () =>
  browser.look(stack, "before", async (page) => {
    await page.getByRole("button", { name: "New user" }).click();
    const user = await page.getByLabel("User").inputValue();
    assert.match(user, /^user-[0-9a-f]{8}$/);
    assert.equal(new URL(page.url()).hash, `#${user}`);
    await page.getByLabel("For", { exact: true }).selectOption("a new user");
    await page.getByLabel("Credits", { exact: true }).fill("25");
    await page.getByLabel("Runs out in").selectOption("never");
    await page.getByRole("button", { name: "Grant", exact: true }).click();
    await balanceIs(page, "25");
    await says(page.locator(".pack"), "never runs out");
    await page.getByRole("button", { name: "Grant", exact: true }).click();
    await says(page.locator("#stories"), "Granted before, so not again");
    await balanceIs(page, "25");
  }));

test("a generation that succeeds stays charged, and says which packs paid and why", () =>
  browser.look(stack, "succeeds", async (page) => {
    await threePacks(page);
    await generate(page, { costs: "17" });
    await says(page.locator("#stories"), "It succeeded. The charge stays.");
    await balanceIs(page, "1");
    const story = page.locator("#stories .reasons li");
    assert.match((await story.nth(0).textContent()) ?? "", /^5 from order-\w+: runs out first, /);
    assert.match((await story.nth(1).textContent()) ?? "", /^10 from order-\w+: runs out next, /);
    assert.match((await story.nth(2).textContent()) ?? "", /^2 from …\w+: never runs out, so it is spent last$/);
    const record = page.locator(".record").first();
    await record.getByText("which packs").click();
    await record.locator(".reasons li").nth(2).waitFor();
    assert.deepEqual(await record.locator(".reasons li").allTextContents(), await story.allTextContents());
  }));

test("a generation that fails is refunded, and the packs fill where they were taken from", () =>
  browser.look(stack, "fails", async (page) => {
    await threePacks(page);
    await generate(page, { seconds: "4", outcome: "fails", reason: "no GPU" });
    await balanceIs(page, "10");
    assert.deepEqual(await left(page), ["0 of 5", "7 of 10", "3 of 3"]);
    await says(page.locator("#stories"), "Refunded 8, each pack what was taken from it. The balance is 18.");
    await balanceIs(page, "18");
    assert.deepEqual(await left(page), ["5 of 5", "10 of 10", "3 of 3"]);
    assert.deepEqual(await page.locator(".pack.filled .moved").allTextContents(), ["+5", "+3"]);
    const bar = page.locator(".pack .bar div").first();
    assert.equal(await bar.evaluate((bar) => getComputedStyle(bar).transitionDuration), "0.7s");
  }));

test("who wants less motion sees the same without it", () =>
  browser.look(stack, "still", async (page) => {
    await threePacks(page);
    // Long enough that the page sees the charge: one that is refunded at once may never have been in view.
    await generate(page, { seconds: "4", outcome: "fails" });
    await balanceIs(page, "10");
    await says(page.locator("#stories"), "Refunded 8");
    await balanceIs(page, "18");
    const bar = page.locator(".pack .bar div").first();
    assert.equal(await bar.evaluate((bar) => getComputedStyle(bar).transitionDuration), "0s");
    const moved = page.locator(".pack.filled .moved");
    assert.deepEqual(await moved.allTextContents(), ["+5", "+3"]);
    assert.equal(await moved.first().evaluate((moved) => getComputedStyle(moved).animationName), "fade");
  }, { reducedMotion: "reduce" }));

test("a generation that times out is refunded with that reason", () =>
  browser.look(stack, "times-out", async (page) => {
    await threePacks(page);
    await generate(page, { seconds: "1", outcome: "times out" });
    await says(page.locator("#stories"), "There is no answer: the app waits no longer.");
    await balanceIs(page, "18");
    await page.getByLabel("Show refunded charges").check();
    await says(page.locator(".record.voided"), "no answer within 1 second");
  }));

test("a refund that is clicked twice gives back once", () =>
  browser.look(stack, "twice", async (page) => {
    await threePacks(page);
    await page.getByRole("button", { name: "Double-click refund" }).click();
    await says(page.locator("#stories"), "Refunded 8, each pack what was taken from it.");
    await says(page.locator("#stories"), "Refunded before: nothing is given back twice.");
    await balanceIs(page, "18");
  }));

test("of twenty racing charges as many go through as there are credits for", () =>
  browser.look(stack, "race", async (page) => {
    await threePacks(page);
    await page.getByLabel("Costs").fill("5");
    await page.getByRole("button", { name: "Race twenty charges" }).click();
    await says(page.locator("#stories"), "3 went through, 17 refused for want of credits. The balance is 3: never less than nothing.");
    await balanceIs(page, "3");
    assert.equal(await page.locator("#requests > li:not(.own)").count(), 23);
  }, {}, [/402/]));

test("each request is seen with its answer and its cost, and is the same as curl", () =>
  browser.look(stack, "seen", async (page) => {
    await threePacks(page);
    await generate(page, { costs: "8" });
    await says(page.locator("#stories"), "It succeeded");
    const first = page.locator("#requests > li:not(.own)").first();
    await says(first, /^POST \/credits\/decrease 200 [\d.]+ ms · 2 round trips · 1 RRU · \d+ WRU$/);
    await first.locator("summary").click();
    const [request, answer] = (await first.locator("pre").allTextContents()).map((text) => JSON.parse(text));
    assert.equal(request.credits, 8);
    assert.deepEqual(Object.keys(answer.allocations[0]), ["pack", "order_no", "credits", "expired_at"]);
    await first.getByRole("button", { name: "Copy as curl" }).click();
    await first.getByRole("button", { name: "Copied" }).waitFor();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    const again = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
    assert.deepEqual(again, { ...answer, replayed: true });
  }));

test("the table shows the items, with types too, and what the last call cost", () =>
  browser.look(stack, "table", async (page) => {
    await threePacks(page);
    await page.getByRole("tab", { name: "Table" }).click();
    const keys = page.locator(".items summary code");
    await keys.nth(3).waitFor();
    assert.equal(await keys.first().textContent(), "wallet");
    await says(page.locator("#table"), /Last call: POST \/credits\/grant · [\d.]+ ms · 2 round trips · 1 RRU · \d+ WRU/);
    await says(page.locator("#table"), /4 items · a Query of [\d.]+ ms · 1 round trip · [\d.]+ RRU/);
    const wallet = page.locator(".items li").first();
    await wallet.locator("summary").click();
    const read = async () => JSON.parse(await wallet.locator("pre").textContent());
    assert.deepEqual((await read()).packs.map((pack) => pack.n), [5, 10, 3]);
    await page.getByLabel("With types").check();
    assert.deepEqual((await read()).packs.L.map((pack) => pack.M.n), [{ N: "5" }, { N: "10" }, { N: "3" }]);
    await stack.charge("table", 4, "gen-outside");
    await says(keys, "charge#gen-outside#");
    assert.deepEqual((await read()).packs.L.map((pack) => pack.M.n), [{ N: "1" }, { N: "10" }, { N: "3" }]);
  }));
