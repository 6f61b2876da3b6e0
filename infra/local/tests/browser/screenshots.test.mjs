// Takes the pictures of the README, in the folder SCRIP_SCREENSHOTS.

import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Browser, Stack, balanceIs, generate, shows } from "./support.mjs";

let stack, browser, folder;
before(async () => {
  [stack, browser] = [await Stack.inMemory(), await Browser.start()];
  folder = process.env.SCRIP_SCREENSHOTS ?? mkdtempSync(join(tmpdir(), "scrip-console-"));
  mkdirSync(folder, { recursive: true });
});
after(async () => {
  await Promise.all([stack.stop(), browser.stop()]);
  if (!process.env.SCRIP_SCREENSHOTS) rmSync(folder, { recursive: true });
});

/** Takes a picture and checks its size. */
async function picture(page, name) {
  const path = join(folder, name);
  await page.screenshot({ path, animations: "disabled" });
  assert.ok(statSync(path).size < 200_000, name);
}

/** Creates a user with three packs and one charge. */
async function user(name) {
  const order = (n, credits, days) => stack.grant(name, credits, {
    trans_type: "order_pay", order_no: `${name}-order-${n}`, expired_at: new Date(Date.now() + days * 86_400_000).toISOString(),
  });
  await stack.grant(name, 3, { trans_type: "new_user" });
  await order("jan", 5, 30);
  await order("feb", 10, 60);
  await stack.charge(name, 2, "gen-1");
}

for (const [colorScheme, file] of [["light", "console.png"], ["dark", "console-dark.png"]]) {
  test(`console, ${colorScheme}`, async () => {
    const name = colorScheme === "light" ? "u1" : "u2";
    await user(name);
    await browser.open(stack, name, async (page) => {
      await balanceIs(page, "16");
      await page.getByLabel("Show refunded charges").check();
      await generate(page, { outcome: "fails", reason: "the model timed out" });
      await shows(page.locator("#scenarios"), "Refunded 8");
      await shows(page.locator(".record.voided"), "the model timed out");
      await balanceIs(page, "16");
      await page.locator("#user").blur();
      await picture(page, file);
    }, { colorScheme, viewport: { width: 1200, height: 860 }, reducedMotion: "reduce" });
  });
}

test("my credits, on a phone", async () => {
  await user("u3");
  await browser.open(stack, "u3", async (page) => {
    await balanceIs(page, "16");
    await page.locator(".record").nth(3).waitFor();
    await picture(page, "my-credits.png");
  }, { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, reducedMotion: "reduce" });
});
