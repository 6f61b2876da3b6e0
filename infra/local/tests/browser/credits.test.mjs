// "My credits": the view of a user, and its updates.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, shows } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

const refundedSwitch = (page) => page.getByLabel("Show refunded charges");

test("refunded charges are hidden, and struck through when shown", async () => {
  await stack.grant("switch", 20);
  await stack.charge("switch", 3, "kept");
  await stack.charge("switch", 4, "gone");
  await stack.refund("switch", "gone", "the model timed out");
  await browser.open(stack, "switch", async (page) => {
    await balanceIs(page, "17");
    await shows(page.locator(".record"), "kept");
    assert.equal(await page.locator(".record").count(), 2);
    await refundedSwitch(page).check();
    const voided = page.locator(".record.voided");
    await shows(voided, /refunded \d\d:\d\d:\d\d: the model timed out/);
    assert.equal(await page.locator(".record").count(), 3);
    const line = await voided.locator(".amount").evaluate((amount) => getComputedStyle(amount).textDecorationLine);
    assert.equal(line, "line-through");
    await refundedSwitch(page).uncheck();
    await voided.waitFor({ state: "detached" });
  });
});

test("changes from outside appear in every window", async () => {
  const second = await Stack.start("--port", "0", "--dynamodb-endpoint", stack.engine);
  await browser.open(stack, "outside", async (page, context) => {
    const other = await context.newPage();
    await other.goto(page.url());
    await balanceIs(page, "0");
    await stack.grant("outside", 20);
    await balanceIs(page, "20");
    await stack.charge("outside", 8, "g");
    await Promise.all([balanceIs(page, "12"), balanceIs(other, "12")]);
    await shows(page.locator(".record"), "g");
    await stack.refund("outside", "g", "it failed");
    await Promise.all([balanceIs(page, "20"), balanceIs(other, "20")]);
    await page.locator(".record", { hasText: "anime" }).waitFor({ state: "detached" });
    // Written to the table by another process.
    await second.grant("outside", 5);
    await Promise.all([balanceIs(page, "25"), balanceIs(other, "25")]);
  });
  await second.stop();
});

test("hidden windows close their stream and catch up when visible", () =>
  browser.open(stack, "hidden", async (page) => {
    const setHidden = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await balanceIs(page, "0");
    const streamClosed = page.waitForEvent("requestfailed", (request) => request.url().includes("/console/changes/"));
    await setHidden(true);
    await streamClosed;
    await stack.grant("hidden", 5);
    await setHidden(false);
    await balanceIs(page, "5");
    await stack.grant("hidden", 6);
    await balanceIs(page, "11");
  }));

test("expired packs leave the balance without a write", async () => {
  await stack.grant("expiring", 7, { expired_at: new Date(Date.now() + 12_000).toISOString() });
  await stack.grant("expiring", 2);
  await browser.open(stack, "expiring", async (page) => {
    await balanceIs(page, "9");
    await shows(page.locator(".caption"), /7 expire in \d+ seconds?/);
    await balanceIs(page, "2");
    assert.equal(await page.locator(".pack").count(), 1);
  });
});

test("chart describes past, present and future balance", async () => {
  const day = 24 * 3_600_000;
  await stack.grant("chart", 5, { expired_at: new Date(Date.now() + 30 * day).toISOString() });
  await stack.grant("chart", 10, { expired_at: new Date(Date.now() + 60 * day).toISOString() });
  await stack.charge("chart", 8, "g");
  await browser.open(stack, "chart", async (page) => {
    await balanceIs(page, "7");
    // The first drawing may lack the records.
    const chart = page.locator('.chart svg[aria-label^="Balance over time: 0 on"]');
    await chart.waitFor();
    assert.match(await chart.getAttribute("aria-label"), /^Balance over time: 0 on .*, 7 now; if nothing is spent, 0 from .*\.$/);
    assert.equal(await page.locator(".chart .line").count(), 2);
  });
});

/** Copies a user's newest charge `count` times into the table. The API would take minutes. */
async function writeCharges(user, count) {
  const { items } = await (await fetch(`${stack.url}/console/table/${user}`)).json();
  const charges = items.filter((item) => item.credits?.N < 0).sort((one, other) => (one.trans_no.S < other.trans_no.S ? 1 : -1));
  const newest = charges[0];
  // UUIDs of version 7, one millisecond later, with a number in the random part.
  const moment = (parseInt(newest.trans_no.S.replace("-", "").slice(0, 12), 16) + 1).toString(16).padStart(12, "0");
  const copy = (n) => {
    const trans_no = `${moment.slice(0, 8)}-${moment.slice(8)}-7000-8000-${n.toString(16).padStart(12, "0")}`;
    const texts = { sk: `charge#copy-${n}#`, generation_uuid: `copy-${n}`, trans_no, user_trans: `${user}#${trans_no}` };
    return { ...newest, ...Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, { S: text }])) };
  };
  const all = Array.from({ length: count }, (_, n) => ({ PutRequest: { Item: copy(n) } }));
  for (let at = 0; at < count; at += 25) {
    const written = await fetch(stack.engine, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.BatchWriteItem",
        "x-amz-date": "20260101T000000Z",
        authorization: "AWS4-HMAC-SHA256 Credential=local/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
      },
      body: JSON.stringify({ RequestItems: { credits: all.slice(at, at + 25) } }),
    });
    assert.deepEqual((await written.json()).UnprocessedItems, {});
  }
}

test("timeline scrolls through ten thousand records and stays correct", async () => {
  await stack.grant("long", 1_000);
  for (let n = 0; n < 9; n++) await stack.charge("long", 10, `g${n}`);
  await writeCharges("long", 9_990);
  await browser.open(stack, "long", async (page) => {
    const box = page.getByRole("region", { name: "Timeline" });
    await page.locator(".record").first().waitFor();
    await box.evaluate(async (box) => {
      while (!box.textContent.includes("No more records.")) {
        box.scrollTop = box.scrollHeight;
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    });
    const listed = await page.locator(".record").evaluateAll((rows) => rows.map((row) => row.dataset.transNo));
    assert.equal(listed.length, 10_000);
    assert.deepEqual(listed, [...new Set(listed)].sort().reverse());
    const record = (generation) => page.locator(".record .more").getByText(new RegExp(`· ${generation}$`));
    // A visible record far down is updated.
    await record("g5").scrollIntoViewIfNeeded();
    await stack.refund("long", "g5", "late");
    await balanceIs(page, "920");
    await record("g5").waitFor({ state: "detached" });
    // A new record appears at the top.
    await stack.charge("long", 20, "newest");
    await balanceIs(page, "900");
    await box.evaluate((box) => (box.scrollTop = 0));
    await shows(page.locator(".record").first(), "newest");
    // A record that changed while hidden is updated when it becomes visible.
    await stack.refund("long", "g3", "later");
    await balanceIs(page, "910");
    await box.evaluate((box) => (box.scrollTop = box.scrollHeight));
    await record("g3").waitFor({ state: "detached" });
    assert.equal(await page.locator(".record").count(), 9_999);
  });
});
