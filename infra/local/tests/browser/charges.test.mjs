// Charges that change: estimates, holds, outputs and debt.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, passesAxe, shows, threePacks } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory("--test-clock"), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

const record = (page, generation) => page.locator(".record", { hasText: generation });

test("settled charge shows its cost and its estimate", async () => {
  await stack.grant("settled", 2_000);
  await stack.charge("settled", 1_500, "stream", { hold_seconds: 600 });
  await browser.open(stack, "settled", async (page) => {
    await shows(record(page, "stream").locator(".held"), /^held until \d\d:\d\d:\d\d$/);
    await passesAxe(page);
    await stack.settle("settled", "stream", 37);
    await balanceIs(page, "1,963");
    await shows(record(page, "stream").locator(".settled"), /^estimated 1,500, settled \d\d:\d\d:\d\d$/);
    assert.equal(await record(page, "stream").locator(".amount").textContent(), "−37");
    assert.equal(await record(page, "stream").locator(".held").count(), 0);
    await stack.charge("settled", 5, "free");
    await stack.settle("settled", "free", 0);
    await shows(record(page, "free").locator(".amount"), /^0$/);
    await passesAxe(page);
  });
});

test("hold that times out is shown as refunded", async () => {
  await stack.grant("dies", 9);
  await stack.charge("dies", 4, "lost", { hold_seconds: 60 });
  await browser.open(stack, "dies", async (page) => {
    await page.getByLabel("Show refunded charges").check();
    await balanceIs(page, "5");
    await stack.post("/test/clock", { advance_seconds: 61 });
    await balanceIs(page, "9");
    await shows(record(page, "lost").locator(".void"), "hold timed out");
  });
});

test("outputs are refunded one by one until the charge is void", async () => {
  await stack.grant("images", 100);
  await stack.charge("images", 42, "four", { outputs: 4 });
  await browser.open(stack, "images", async (page) => {
    await record(page, "four").getByText("4 outputs").click();
    const refund = (output) => page.getByRole("button", { name: `Refund this one: output ${output}` });
    await passesAxe(page);
    await refund(3).click();
    await balanceIs(page, "68");
    await shows(record(page, "four").locator(".outputs li").nth(2), "refunded");
    assert.equal(await record(page, "four").locator(".amount").textContent(), "−32");
    for (const [output, balance] of [[1, "78"], [4, "89"]]) {
      await refund(output).click();
      await balanceIs(page, balance);
      await refund(output).waitFor({ state: "detached" });
    }
    await passesAxe(page);
    await refund(2).click();
    await balanceIs(page, "100");
    await record(page, "four").waitFor({ state: "detached" });
  });
});

test("debt is shown until credits repay it", async () => {
  await stack.grant("debtor", 10);
  await stack.charge("debtor", 10, "long");
  await stack.settle("debtor", "long", 25, { overage: "debt" });
  await browser.open(stack, "debtor", async (page) => {
    const debt = page.locator(".debt");
    await balanceIs(page, "0");
    await shows(debt, "Debt: 15. The next credits repay it first.");
    await passesAxe(page);
    await stack.grant("debtor", 20, { expired_at: new Date(Date.now() + 86_400_000).toISOString() });
    await balanceIs(page, "5");
    await debt.waitFor({ state: "hidden" });
    await record(page, "long").getByText("packs used").click();
    const packs = record(page, "long").locator(".reasons li");
    await packs.nth(1).waitFor();
    assert.match(await packs.nth(1).textContent(), /^15 from …\w+: taken later, by a settlement or a repayment$/);
  });
});

test("console settles an estimate and refunds one image", () =>
  browser.open(stack, "tries", async (page) => {
    await threePacks(page);
    await page.getByLabel("Cost").fill("9");
    await page.getByRole("button", { name: "Estimate and settle" }).click();
    await shows(page.locator("#scenarios"), "Settled to 4: 5 returned. The balance is 14.");
    await page.getByRole("button", { name: "Four images, one fails" }).click();
    await shows(page.locator("#scenarios"), "Image 3 failed. Refunded 2. The balance is 7.");
    await balanceIs(page, "7");
  }));
