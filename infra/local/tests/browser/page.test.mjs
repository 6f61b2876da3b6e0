// The page as a whole: errors, tokens, keyboard, accessibility, odd data.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, generate, passesAxe, shows, threePacks } from "./support.mjs";

let stack, browser;
before(async () => ([stack, browser] = [await Stack.inMemory(), await Browser.start()]));
after(() => Promise.all([stack.stop(), browser.stop()]));

test("API errors are shown", () =>
  browser.open(stack, "poor", async (page) => {
    await threePacks(page);
    await generate(page, { costs: "300" });
    await shows(page.getByRole("alert"), "402 InsufficientCredits: The balance is 18, but the charge needs 300.");
    await balanceIs(page, "18");
  }, {}, [/402/]));

test("stopped stack is reported, and a restarted one gets the refund", async () => {
  const folder = mkdtempSync(join(tmpdir(), "scrip-console-"));
  const flags = ["--data-dir", folder, "--dynamodb-port", "0"];
  const first = await Stack.start("--port", "0", ...flags);
  await first.grant("u", 5);
  await browser.open(first, "u", async (page) => {
    await balanceIs(page, "5");
    await generate(page, { costs: "2", seconds: "5", outcome: "fails" });
    await balanceIs(page, "3");
    await first.stop();
    await shows(page.locator("#live"), "the local stack does not respond; reconnecting");
    await page.getByRole("button", { name: "Grant", exact: true }).click();
    await shows(page.getByRole("alert"), "The local stack does not respond. Check that it is running.");
    await shows(page.getByRole("alert"), "Retrying the refund.");
    const again = await Stack.start("--port", new URL(first.url).port, ...flags);
    await again.grant("u", 6);
    await shows(page.locator("#scenarios"), "Refunded 2 to the packs that paid. The balance is");
    await balanceIs(page, "11");
    await again.stop();
  }, {}, [/ERR_/]);
  rmSync(folder, { recursive: true });
});

/** A token signed with HS256. */
function token(claims, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: 4_102_444_800, ...claims })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

test("token form gives access where callers need a token", async () => {
  const secret = "the secret of this test";
  const guarded = await Stack.inMemory("--jwt-secret", secret);
  await browser.open(guarded, "u", async (page) => {
    await shows(page.locator("#live"), "access denied");
    await shows(page.getByRole("alert"), "The local stack requires a token.");
    const useToken = async (claims) => {
      if (!(await page.locator("#token").isVisible())) await page.getByText("Token", { exact: true }).click();
      await page.locator("#token").fill(token(claims, secret));
      await page.getByRole("button", { name: "Use token" }).click();
    };
    await useToken({ sub: "other" });
    await shows(page.getByRole("alert"), /./);
    await useToken({ scope: "credits:read credits:write" });
    await shows(page.locator("#live"), /^live$/);
    await page.keyboard.press("Escape");
    await page.getByText("Token", { exact: true }).click();
    await threePacks(page);
    const request = page.locator("#requests > li:not(.own)").first();
    await request.locator("summary").click();
    await request.getByRole("button", { name: "Copy as curl" }).click();
    await request.getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /-H "Authorization: Bearer \$TOKEN"/);
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage)), '{"theme":"auto"}');
  }, {}, [/401|403/]);
  await guarded.stop();
});

test("keyboard reaches every control", () =>
  browser.open(stack, "keys", async (page) => {
    const press = (key) => page.keyboard.press(key);
    const tabTo = async (locator) => {
      for (let steps = 0; steps < 60; steps++) {
        if (await locator.evaluate((element) => element === document.activeElement)) {
          assert.notEqual(await locator.evaluate((element) => getComputedStyle(element).outlineStyle), "none");
          return;
        }
        await press("Tab");
      }
      assert.fail("the element is not reached");
    };
    await tabTo(page.getByRole("button", { name: "Three packs" }));
    await press("Enter");
    await balanceIs(page, "18");
    await tabTo(page.getByLabel("Seconds"));
    await page.keyboard.type("0");
    await tabTo(page.getByRole("button", { name: "Run", exact: true }));
    await press("Space");
    await shows(page.locator("#scenarios"), "Refunded 8");
    await tabTo(page.getByRole("tab", { name: "Requests" }));
    await press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.id), "table-tab");
    await shows(page.locator(".items summary"), "wallet");
    await tabTo(page.locator(".items summary").first());
    await press("Enter");
    await page.locator(".items pre").waitFor();
    await tabTo(page.getByLabel("Show refunded charges"));
    await press("Space");
    await shows(page.locator(".record.voided"), "the model failed");
    await tabTo(page.locator(".record summary").first());
    await press("Enter");
    await page.locator(".record .reasons li").nth(1).waitFor();
    await tabTo(page.getByLabel("Colours"));
    await press("End");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  }));

for (const [name, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["light and narrow", { colorScheme: "light", viewport: { width: 360, height: 740 } }],
]) {
  test(`axe finds no serious problem: ${name}`, () =>
    browser.open(stack, `axe-${name.replaceAll(" ", "-")}`, async (page) => {
      await passesAxe(page);
      await threePacks(page);
      await page.getByLabel("Show refunded charges").check();
      await generate(page, { outcome: "fails" });
      await shows(page.locator(".record.voided"), "the model failed");
      await generate(page, { costs: "300" });
      await shows(page.getByRole("alert"), "InsufficientCredits");
      await page.locator("#requests > li:not(.own) summary").first().click();
      await page.locator(".record summary").first().click();
      await page.locator(".record .reasons li").first().waitFor();
      await passesAxe(page);
      await page.getByRole("tab", { name: "Table" }).click();
      await page.locator(".items summary").first().click();
      await page.getByText("Token", { exact: true }).click();
      await passesAxe(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} px too wide`);
    }, options, [/402/]));
}

test("texts of users are never markup", () =>
  browser.open(stack, "markup", async (page) => {
    const reason = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    await threePacks(page);
    await page.getByLabel("Show refunded charges").check();
    await generate(page, { outcome: "fails", reason });
    await shows(page.locator(".record.voided .void"), reason);
    assert.equal(await page.locator("#my-credits :is(img, script), #scenarios :is(img, script)").count(), 0);
  }));

test("odd names, large numbers and many packs are shown", async () => {
  const user = `a:b.c_d-e.${"x".repeat(60)}`;
  const end = (n) => new Date(Date.UTC(2090, 0, 1 + n)).toISOString();
  for (let n = 0; n < 500; n++) await stack.grant(user, n ? 1 : 1_000_000_000_000, { expired_at: end(n) });
  for (const viewport of [{ width: 360, height: 740 }, { width: 1280, height: 900 }]) {
    await browser.open(stack, user, async (page) => {
      await balanceIs(page, "1,000,000,000,499");
      assert.equal(await page.locator(".pack").count(), 8);
      await page.getByRole("button", { name: "Show all 500 packs" }).click();
      assert.equal(await page.locator(".pack").count(), 500);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} px too wide`);
    }, { viewport });
  }
});

test("user is selected by name, by address and from suggestions", () =>
  browser.open(stack, "first", async (page) => {
    await stack.grant("chosen", 3);
    await page.getByLabel("User").fill("no such/name");
    await page.getByLabel("User").press("Enter");
    assert.equal(new URL(page.url()).hash, "#first");
    await page.getByLabel("User").fill("chosen");
    await page.getByLabel("User").press("Enter");
    await balanceIs(page, "3");
    assert.equal(new URL(page.url()).hash, "#chosen");
    await page.locator("#users option[value=chosen]").waitFor({ state: "attached" });
    await page.evaluate(() => (location.hash = "first"));
    await balanceIs(page, "0");
  }));
