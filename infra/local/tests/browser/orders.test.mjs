// The card of a paid order, and its form.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, passesAxe, shows } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

const order = { trans_type: "order_pay", order_no: "in_1/a" };
const card = (page) => page.locator(".order");
const numbers = async (page, expected) => {
  for (const [name, value] of Object.entries(expected)) {
    await card(page).locator(`[data-number=${name}] dd`).getByText(String(value), { exact: true }).waitFor();
  }
};

/** Fills the form of the order, and sends it. */
async function revoke(page, source, credits, shortfall) {
  await page.getByLabel("Source of in_1/a", { exact: true }).fill(source);
  await page.getByLabel("Credits of in_1/a", { exact: true }).fill(String(credits));
  await page.getByLabel("Spent credits of in_1/a").selectOption(shortfall);
  await card(page).getByRole("button", { name: "Revoke" }).click();
}

test("order shows what each source revokes, and stays open while it changes", async () => {
  await stack.grant("buyer", 100, order);
  await stack.charge("buyer", 80, "g");
  await browser.open(stack, "buyer", async (page) => {
    await card(page).getByText("order", { exact: true }).click();
    await numbers(page, { granted: 100, remaining: 20, spent: 80, revoked: 0, shortfall: 0, debt: 0 });
    await passesAxe(page);
    await revoke(page, "refund", 30, "keep");
    await balanceIs(page, "0");
    await numbers(page, { remaining: 0, spent: 80, revoked: 30, shortfall: 10, debt: 0 });
    await shows(card(page).locator("[role=status]"), "revoked: 20 taken. The balance is 0.");
    await revoke(page, "dispute:dp_1", 40, "debt");
    await numbers(page, { revoked: 70, shortfall: 10, debt: 40 });
    await shows(page.locator("p.debt"), "Debt: 40. The next credits repay it first.");
    await shows(page.locator(".record", { hasText: "in_1/a" }).locator(".void"), "revoked 70");
    await stack.grant("buyer", 50);
    await balanceIs(page, "10");
    await numbers(page, { debt: 0 });
    const sources = card(page).locator(".reasons li");
    await shows(sources, /^40 by dispute:dp_1 as of .*: revoked in the console$/);
    await shows(sources, "Other packs paid 40 of it.");
    assert.equal(await sources.count(), 3);
    await passesAxe(page);
    await revoke(page, "dispute:dp_1", 0, "keep");
    await balanceIs(page, "40");
    await shows(card(page).locator("[role=status]"), "restored: 30 returned, 0 expired. The balance is 40.");
    await revoke(page, "a b", 1, "keep");
    await shows(card(page).locator("[role=status]"), "`source` must be 1 to 255");
  }, {}, [/status of 400/]);
});

test("refunded and disputed order plays its events", () =>
  browser.open(stack, "disputed", async (page) => {
    await page.getByRole("button", { name: "Refunded and disputed order" }).click();
    const log = page.getByRole("log", { name: "Log of the scenarios" });
    await shows(log, "The other half is disputed: 100 revoked, 20 taken, 0 returned, shortfall 30. The balance is 0.");
    await shows(log, "The dispute is won: 50 revoked, 0 taken, 20 returned, shortfall 0. The balance is 20.");
    await balanceIs(page, "20");
  }));
