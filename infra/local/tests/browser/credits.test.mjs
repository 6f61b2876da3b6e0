// "My credits": what a user sees, whoever changes it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, says } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

const switched = (page) => page.getByLabel("Show refunded charges");

test("refunded charges are left out, and struck through where they are asked for", async () => {
  await stack.grant("switch", 20);
  await stack.charge("switch", 3, "kept");
  await stack.charge("switch", 4, "gone");
  await stack.refund("switch", "gone", "the model timed out");
  await browser.look(stack, "switch", async (page) => {
    await balanceIs(page, "17");
    await says(page.locator(".record"), "kept");
    assert.equal(await page.locator(".record").count(), 2);
    await switched(page).check();
    const voided = page.locator(".record.voided");
    await says(voided, /given back \d\d:\d\d:\d\d: the model timed out/);
    assert.equal(await page.locator(".record").count(), 3);
    const line = await voided.locator(".amount").evaluate((amount) => getComputedStyle(amount).textDecorationLine);
    assert.equal(line, "line-through");
    await switched(page).uncheck();
    await voided.waitFor({ state: "detached" });
  });
});

test("what is done outside is seen by itself, in every window", async () => {
  const second = await Stack.start("--port", "0", "--dynamodb-endpoint", stack.engine);
  await browser.look(stack, "outside", async (page, context) => {
    const other = await context.newPage();
    await other.goto(page.url());
    await balanceIs(page, "0");
    await stack.grant("outside", 20);
    await balanceIs(page, "20");
    await stack.charge("outside", 8, "g");
    await Promise.all([balanceIs(page, "12"), balanceIs(other, "12")]);
    await says(page.locator(".record"), "g");
    await stack.refund("outside", "g", "it failed");
    await Promise.all([balanceIs(page, "20"), balanceIs(other, "20")]);
    await page.locator(".record", { hasText: "anime" }).waitFor({ state: "detached" });
    // Past this stack's API, straight to the table.
    await second.grant("outside", 5);
    await Promise.all([balanceIs(page, "25"), balanceIs(other, "25")]);
  });
  await second.stop();
});

test("a window that is out of view holds no stream, and catches up in view", () =>
  browser.look(stack, "hidden", async (page) => {
    const turn = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await balanceIs(page, "0");
    const ended = page.waitForEvent("requestfailed", (request) => request.url().includes("/console/changes/"));
    await turn(true);
    await ended;
    await stack.grant("hidden", 5);
    await turn(false);
    await balanceIs(page, "5");
    await stack.grant("hidden", 6);
    await balanceIs(page, "11");
  }));

test("a pack that runs out leaves the balance, though nobody writes", async () => {
  await stack.grant("runs-out", 7, { expired_at: new Date(Date.now() + 12_000).toISOString() });
  await stack.grant("runs-out", 2);
  await browser.look(stack, "runs-out", async (page) => {
    await balanceIs(page, "9");
    await says(page.locator(".caption"), /7 run out in \d+ seconds?/);
    await balanceIs(page, "2");
    assert.equal(await page.locator(".pack").count(), 1);
  });
});

test("the chart says what was, what is and what runs out", async () => {
  const day = 24 * 3_600_000;
  await stack.grant("chart", 5, { expired_at: new Date(Date.now() + 30 * day).toISOString() });
  await stack.grant("chart", 10, { expired_at: new Date(Date.now() + 60 * day).toISOString() });
  await stack.charge("chart", 8, "g");
  await browser.look(stack, "chart", async (page) => {
    await balanceIs(page, "7");
    // It is drawn a moment after what it shows has come: first without the records.
    const chart = page.locator('.chart svg[aria-label^="Balance over time: 0 on"]');
    await chart.waitFor();
    assert.match(await chart.getAttribute("aria-label"), /^Balance over time: 0 on .*, 7 now; if nothing is spent, 0 from .*\.$/);
    assert.equal(await page.locator(".chart .line").count(), 2);
  });
});

/** Writes as many charges behind a user's newest one, as copies of it: the API would take minutes. */
async function writeCharges(user, count) {
  const { items } = await (await fetch(`${stack.url}/console/table/${user}`)).json();
  const charges = items.filter((item) => item.credits?.N < 0).sort((one, other) => (one.trans_no.S < other.trans_no.S ? 1 : -1));
  const newest = charges[0];
  // A version 7 of a millisecond later, and a number in its random part.
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

test("ten thousand records are scrolled to the first, and kept true", async () => {
  await stack.grant("long", 1_000);
  for (let n = 0; n < 9; n++) await stack.charge("long", 10, `g${n}`);
  await writeCharges("long", 9_990);
  await browser.look(stack, "long", async (page) => {
    const box = page.getByRole("region", { name: "Timeline" });
    await page.locator(".record").first().waitFor();
    await box.evaluate(async (box) => {
      while (!box.textContent.includes("That is all.")) {
        box.scrollTop = box.scrollHeight;
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    });
    const seen = await page.locator(".record").evaluateAll((rows) => rows.map((row) => row.dataset.transNo));
    assert.equal(seen.length, 10_000);
    assert.deepEqual(seen, [...new Set(seen)].sort().reverse());
    const record = (generation) => page.locator(".record .more").getByText(new RegExp(`· ${generation}$`));
    // What is far down changes as well,
    await record("g5").scrollIntoViewIfNeeded();
    await stack.refund("long", "g5", "late");
    await balanceIs(page, "920");
    await record("g5").waitFor({ state: "detached" });
    // what comes is seen at the top,
    await stack.charge("long", 20, "newest");
    await balanceIs(page, "900");
    await box.evaluate((box) => (box.scrollTop = 0));
    await says(page.locator(".record").first(), "newest");
    // and what changed out of view is as it is when it comes into view.
    await stack.refund("long", "g3", "later");
    await balanceIs(page, "910");
    await box.evaluate((box) => (box.scrollTop = box.scrollHeight));
    await record("g3").waitFor({ state: "detached" });
    assert.equal(await page.locator(".record").count(), 9_999);
  });
});
