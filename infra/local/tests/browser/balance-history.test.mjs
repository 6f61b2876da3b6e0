// What "my credits" computes from its reads. Pure functions, so this needs no browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../console/credits.js", import.meta.url));
const { reasons, futureSteps, pastSteps } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const time = (seconds) => new Date(seconds * 1_000).toISOString();
const grant = (at, credits, until) => ({ created_at: time(at), credits, expired_at: until && time(until), is_voided: false });
const charge = (at, credits, is_voided = false) => ({ created_at: time(at), credits: -credits, is_voided });
/** Steps as pairs of time in seconds and balance. */
const pairs = (steps) => steps.map(({ at, balance }) => [at / 1_000, balance]);

test("past balance follows grants, charges and expiries", () => {
  for (const [records, balance, expected] of [
    [[], 7, []],
    [[grant(1, 5)], 5, [[1, 0], [1, 5]]],
    // Packs for January and February, and a charge over both: nothing is left to expire.
    [[grant(1, 5, 100), grant(2, 10, 200), charge(50, 8)], 7, [[1, 0], [1, 5], [2, 15], [50, 7]]],
    [[grant(1, 5, 100), grant(2, 10, 200)], 10, [[1, 0], [1, 5], [2, 15], [100, 10]]],
    [[grant(1, 5, 100), grant(2, 10, 120)], 0, [[1, 0], [1, 5], [2, 15], [100, 10], [120, 0]]],
    [[grant(1, 5), charge(2, 3), charge(3, 2, true)], 2, [[1, 0], [1, 5], [2, 2]]],
    // Older packs paid: the line ends at the current balance.
    [[charge(5, 3), charge(6, 1)], 7, [[5, 11], [5, 8], [6, 7]]],
  ]) {
    assert.deepEqual(pairs(pastSteps(records.toReversed(), balance, 150_000)), expected);
  }
});

test("past balance of random histories agrees with a ledger of packs", () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round++) {
    /** Expiry and remaining credits of each pack. */
    const packs = [];
    const records = [];
    const balanceAt = (now) => packs.reduce((sum, pack) => sum + (pack.until > now ? pack.remaining : 0), 0);
    for (let at = 1; at < 60; at++) {
      const usable = packs.filter((pack) => pack.until > at).sort((one, other) => one.until - other.until);
      if (random(3) === 0) {
        const until = random(4) === 0 ? Infinity : at + 1 + random(30);
        const credits = 1 + random(9);
        packs.push({ until, remaining: credits });
        records.push({ ...grant(at, credits, until === Infinity ? undefined : until), after: balanceAt(at) });
      } else if (balanceAt(at) > 0) {
        const credits = 1 + random(balanceAt(at));
        let due = credits;
        for (const pack of usable) {
          const taken = Math.min(pack.remaining, due);
          pack.remaining -= taken;
          due -= taken;
        }
        records.push({ ...charge(at, credits), after: balanceAt(at) });
      }
    }
    const steps = pastSteps(records.toReversed(), balanceAt(60), 60_000);
    for (const { created_at, after } of records) {
      assert.equal(steps.findLast(({ at }) => at === Date.parse(created_at)).balance, after, `round ${round}`);
    }
    assert.equal(steps.at(-1)?.balance ?? 0, balanceAt(60));
  }
});

test("future balance has one step for each expiry", () => {
  const pack = (remaining, until) => ({ remaining, expired_at: until && time(until) });
  for (const [packs, expected] of [
    [[], []],
    [[pack(3)], []],
    [[pack(5, 10), pack(2, 20), pack(3)], [[10, 5], [20, 3]]],
    [[pack(5, 10), pack(2, 10)], [[10, 0]]],
  ]) {
    const balance = packs.reduce((sum, pack) => sum + pack.remaining, 0);
    assert.deepEqual(pairs(futureSteps({ balance, packs })), expected);
  }
});

test("reasons name the position in the spending order", () => {
  const allocation = (until) => ({ credits: 1, expired_at: until && time(until) });
  const first = "expires first, 1970-01-01T00:00:09.000Z";
  for (const [allocations, expected] of [
    [[allocation(9)], [first]],
    [[allocation(9), allocation(9)], [first, "same expiry, granted later"]],
    [[allocation(9), allocation(20), allocation()], [first, "expires next, 1970-01-01T00:00:20.000Z", "never expires, so it is spent last"]],
    [[allocation(), allocation()], ["no pack with an expiry had credits", "same expiry, granted later"]],
  ]) {
    assert.deepEqual(reasons(allocations, (day) => day), expected);
  }
});
