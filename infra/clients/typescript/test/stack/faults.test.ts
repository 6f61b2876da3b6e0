/** Thousands of runs of `withCharge` through a faulty network: the ledger and the app's own book agree. */

import { setTimeout as pause } from "node:timers/promises";

import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { type Charge, type ChargeOptions, RefundFailedError, Scrip, ScripError } from "../../src/index.js";
import { type RunningScrip, startScrip } from "../../src/testing/index.js";
import { FAULTS, FaultProxy } from "../support/fault-proxy.js";
import { randomOf } from "../support/random.js";

/** 10,000 runs take about 100 s on two cores. */
const RUNS = Number(process.env["SCRIP_FAULT_RUNS"] ?? 1_000);
const SEED = Number(process.env["SCRIP_FAULT_SEED"] ?? 1);
const USERS = 50;
const WORKERS = 12;
const GRANTED = 1_000_000;
const PRICE = 12;
const OUTPUTS = 4;
/** Share of requests with a fault. Four attempts fail in 2 of 1,000 calls, so those paths run too. */
const FAULT_RATE = 0.22;
const LONGEST_DELAY_MS = 900;
/** Shorter than some delays, so that a request is executed after its client gave up. */
const TIMEOUT_MS = 600;

let local: RunningScrip;
let proxy: FaultProxy;
let scrip: Scrip;
const random = randomOf(SEED);

beforeAll(async () => {
  local = await startScrip({ path: inject("program"), testClock: false });
  proxy = new FaultProxy(local.url, random, FAULT_RATE, LONGEST_DELAY_MS);
  scrip = new Scrip({
    url: await proxy.start(),
    timeoutMs: TIMEOUT_MS,
    retry: { attempts: 4, baseDelayMs: 2, maxDelayMs: 20 },
  });
});
afterAll(async () => {
  await proxy.stop();
  await local.stop();
});

class WorkFailed extends Error {}

/** Runs work for a charge. Repeats a refund that failed, as the app would later. */
async function finish(options: ChargeOptions, work: (charge: Charge) => unknown): Promise<boolean> {
  try {
    await scrip.withCharge(options, work);
    return true;
  } catch (error) {
    if (error instanceof RefundFailedError) await local.scrip.refund(error.refund);
    else if (!(error instanceof WorkFailed) && !(error instanceof ScripError)) throw error;
    return false;
  }
}

const fail = () => Promise.reject(new WorkFailed());
const below = (limit: number) => Math.floor(random() * limit);

/** A way in which work ends. Returns the credits that the app then expects to be spent. */
type Ending = (options: ChargeOptions) => Promise<number>;

const endings: Record<string, Ending> = {
  succeeds: async (options) => ((await finish(options, () => 1)) ? PRICE : 0),
  fails: async (options) => {
    await finish(options, fail);
    return 0;
  },
  "is aborted": async (options) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new WorkFailed()), below(20));
    const isDelivered = await finish({ ...options, signal: controller.signal }, async ({ signal }) => {
      await pause(below(20));
      signal.throwIfAborted();
    });
    return isDelivered ? PRICE : 0;
  },
  "is delivered twice": async (options) => {
    await finish(options, () => 1);
    return (await finish(options, () => 1)) ? PRICE : 0;
  },
  settles: async (options) => {
    const actual = below(2 * PRICE);
    let isCharged = false;
    const isSettled = await finish(options, async (charge) => {
      isCharged = true;
      await charge.settle(actual);
    });
    if (isCharged && !isSettled) await repeatSettle(options, actual);
    return isCharged ? actual : 0;
  },
  "loses outputs": async (options) => {
    const lost = [1, 2, 3, 4].filter(() => random() < 0.5);
    let isCharged = false;
    await finish({ ...options, outputs: OUTPUTS }, (charge) => {
      isCharged = true;
      for (const output of lost) void charge.failed(output);
    });
    return isCharged ? (PRICE / OUTPUTS) * (OUTPUTS - lost.length) : 0;
  },
  "fails after some outputs": async (options) => {
    const delivered = below(OUTPUTS + 1);
    let isCharged = false;
    await finish({ ...options, outputs: OUTPUTS }, (charge) => {
      isCharged = true;
      for (let output = 1; output <= delivered; output++) charge.delivered(output);
      return fail();
    });
    return isCharged ? (PRICE / OUTPUTS) * delivered : 0;
  },
  "streams to a reader that leaves": async (options) => {
    const words = 1 + below(10);
    let isCharged = false;
    async function* source() {
      isCharged = true;
      for (;;) yield await Promise.resolve("word");
    }
    try {
      const meter = { count: (units: number) => units + 1, price: (units: number) => units * 2 };
      const reader = (await scrip.chargeStream(options, source, meter)).getReader();
      for (let word = 0; word < words; word++) await reader.read();
      await reader.cancel(new WorkFailed());
    } catch (error) {
      if (error instanceof RefundFailedError) await local.scrip.refund(error.refund);
      if (isCharged) await repeatSettle(options, words * 2);
    }
    return isCharged ? words * 2 : 0;
  },
};

/** Sends a settle without faults, as the app would later. */
async function repeatSettle({ user, generation }: ChargeOptions, credits: number): Promise<void> {
  await local.scrip.settle({ user_uuid: user, generation_uuid: generation, idempotency_key: "charge", credits });
}

/** The credits that each generation of each user costs, as the app sees it. */
const book = new Map<string, Map<string, number>>();

async function runAll(): Promise<void> {
  const all = Object.values(endings);
  let started = 0;
  const worker = async () => {
    while (started < RUNS) {
      const run = started++;
      const user = `user-${run % USERS}`;
      const generation = `gen-${run}`;
      const options: ChargeOptions = { user, generation, type: "image_generation", credits: PRICE };
      book.get(user)!.set(generation, await all[run % all.length]!(options));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  await proxy.idle();
}

/** The credits that each generation of a user costs, as the ledger has them. */
async function ledgerOf(user_uuid: string): Promise<Map<string, number>> {
  const costs = new Map<string, number>();
  let cursor: string | undefined;
  do {
    const page = await local.scrip.timeline({ user_uuid, include_voided: true, limit: 100, cursor });
    for (const { generation_uuid, credits, is_voided } of page.records) {
      if (!generation_uuid) continue;
      costs.set(generation_uuid, (costs.get(generation_uuid) ?? 0) + (is_voided ? 0 : -credits));
    }
    cursor = page.cursor;
  } while (cursor);
  return costs;
}

test(`${RUNS} runs agree with the ledger to the credit`, { timeout: 3_600_000 }, async () => {
  const users = Array.from({ length: USERS }, (_, index) => `user-${index}`);
  for (const user_uuid of users) {
    await local.scrip.grant({ user_uuid, trans_type: "new_user", credits: GRANTED });
    book.set(user_uuid, new Map());
  }
  const start = performance.now();
  await runAll();
  const seconds = (performance.now() - start) / 1_000;

  let spent = 0;
  for (const user of users) {
    const costs = book.get(user)!;
    const ledger = await ledgerOf(user);
    for (const [generation, cost] of costs)
      expect([generation, ledger.get(generation) ?? 0]).toEqual([generation, cost]);
    const sum = [...costs.values()].reduce((sum, cost) => sum + cost, 0);
    expect(await local.scrip.balance(user)).toMatchObject({ balance: GRANTED - sum });
    expect(await local.scrip.summary({ user_uuid: user })).toMatchObject({ spent: { credits: sum } });
    spent += sum;
  }
  expect(spent).toBeGreaterThan(0);
  for (const fault of FAULTS) expect(proxy.counts.get(fault)).toBeGreaterThan(0);
  const counts = [...proxy.counts].map(([fault, count]) => `${count} ${fault}`).join(", ");
  console.log(`${RUNS} runs in ${seconds.toFixed(1)} s, ${spent} credits spent; requests: ${counts}`);
});
