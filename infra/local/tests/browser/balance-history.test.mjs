// What "my credits" reckons from what it has read: pure, so no browser is asked.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../console/credits.js", import.meta.url));
const { reasons, stepsAhead, stepsBehind } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const time = (seconds) => new Date(seconds * 1_000).toISOString();
const grant = (at, credits, until) => ({ created_at: time(at), credits, expired_at: until && time(until), is_voided: false });
const charge = (at, credits, is_voided = false) => ({ created_at: time(at), credits: -credits, is_voided });
/** Steps as pairs of second and balance. */
const pairs = (steps) => steps.map(({ at, balance }) => [at / 1_000, balance]);

test("the balance over time follows grants, charges and what runs out", () => {
  for (const [records, balance, expected] of [
    [[], 7, []],
    [[grant(1, 5)], 5, [[1, 0], [1, 5]]],
    // Packs for January and February, and a charge over both: nothing is left to run out.
    [[grant(1, 5, 100), grant(2, 10, 200), charge(50, 8)], 7, [[1, 0], [1, 5], [2, 15], [50, 7]]],
    [[grant(1, 5, 100), grant(2, 10, 200)], 10, [[1, 0], [1, 5], [2, 15], [100, 10]]],
    [[grant(1, 5, 100), grant(2, 10, 120)], 0, [[1, 0], [1, 5], [2, 15], [100, 10], [120, 0]]],
    [[grant(1, 5), charge(2, 3), charge(3, 2, true)], 2, [[1, 0], [1, 5], [2, 2]]],
    // Older packs paid: the line ends at the balance of now.
    [[charge(5, 3), charge(6, 1)], 7, [[5, 11], [5, 8], [6, 7]]],
  ]) {
    assert.deepEqual(pairs(stepsBehind(records.toReversed(), balance, 150_000)), expected);
  }
});

test("drawn histories are reckoned as a ledger of packs has them", () => {
  let seed = 7;
  const drawn = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round++) {
    /** Each pack: until when, and what is left. */
    const packs = [];
    const records = [];
    const left = (now) => packs.reduce((sum, pack) => sum + (pack.until > now ? pack.left : 0), 0);
    for (let at = 1; at < 60; at++) {
      const usable = packs.filter((pack) => pack.until > at).sort((one, other) => one.until - other.until);
      if (drawn(3) === 0) {
        const until = drawn(4) === 0 ? Infinity : at + 1 + drawn(30);
        const credits = 1 + drawn(9);
        packs.push({ until, left: credits });
        records.push({ ...grant(at, credits, until === Infinity ? undefined : until), after: left(at) });
      } else if (left(at) > 0) {
        const credits = 1 + drawn(left(at));
        let due = credits;
        for (const pack of usable) {
          const taken = Math.min(pack.left, due);
          pack.left -= taken;
          due -= taken;
        }
        records.push({ ...charge(at, credits), after: left(at) });
      }
    }
    const steps = stepsBehind(records.toReversed(), left(60), 60_000);
    for (const { created_at, after } of records) {
      assert.equal(steps.findLast(({ at }) => at === Date.parse(created_at)).balance, after, `round ${round}`);
    }
    assert.equal(steps.at(-1)?.balance ?? 0, left(60));
  }
});

test("what runs out ahead is a step for each moment", () => {
  const pack = (remaining, until) => ({ remaining, expired_at: until && time(until) });
  for (const [packs, expected] of [
    [[], []],
    [[pack(3)], []],
    [[pack(5, 10), pack(2, 20), pack(3)], [[10, 5], [20, 3]]],
    [[pack(5, 10), pack(2, 10)], [[10, 0]]],
  ]) {
    const balance = packs.reduce((sum, pack) => sum + pack.remaining, 0);
    assert.deepEqual(pairs(stepsAhead({ balance, packs })), expected);
  }
});

test("each pack that was taken from has its reason", () => {
  const taken = (until) => ({ credits: 1, expired_at: until && time(until) });
  const first = "runs out first, 1970-01-01T00:00:09.000Z";
  for (const [allocations, expected] of [
    [[taken(9)], [first]],
    [[taken(9), taken(9)], [first, "next in age"]],
    [[taken(9), taken(20), taken()], [first, "runs out next, 1970-01-01T00:00:20.000Z", "never runs out, so it is spent last"]],
    [[taken(), taken()], ["no pack that runs out had any left", "next in age"]],
  ]) {
    assert.deepEqual(reasons(allocations, (day) => day), expected);
  }
});
