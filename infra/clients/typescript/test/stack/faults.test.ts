/** Thousands of runs of `withCharge` through a faulty network: the ledger and the app's own book agree. */

import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { type ChargeOptions, RefundFailedError, Scrip, ScripError } from "../../src/index.js";
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

/** A way in which work ends: what it does, and the credits that the app then expects to be spent. */
interface Ending {
  options?: Partial<ChargeOptions>;
  run: (options: ChargeOptions) => Promise<number>;
}

const succeeds: Ending = { run: (options) => scrip.withCharge(options, () => PRICE) };
const fails: Ending = { run: (options) => scrip.withCharge(options, () => Promise.reject(new WorkFailed())) };
const isAborted: Ending = {
  run: async (options) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new WorkFailed()), random() * 10);
    return scrip.withCharge({ ...options, signal: controller.signal }, ({ signal }) => {
      return new Promise<number>((resolve, reject) => {
        if (signal.aborted) reject(signal.reason as Error);
        signal.addEventListener("abort", () => reject(signal.reason as Error));
        setTimeout(() => resolve(PRICE), random() * 10);
      });
    });
  },
};
const repeats: Ending = {
  run: async (options) => {
    await scrip.withCharge(options, () => PRICE).catch(() => undefined);
    return scrip.withCharge(options, () => PRICE);
  },
};

/** The credits that each generation of each user costs, as the app sees it. */
const book = new Map<string, Map<string, number>>();

async function runOnce(ending: Ending, user: string, generation: string): Promise<number> {
  const options: ChargeOptions = { user, generation, type: "image_generation", credits: PRICE, ...ending.options };
  try {
    return await ending.run(options);
  } catch (error) {
    if (error instanceof RefundFailedError) {
      await local.scrip.refund(error.refund);
    } else if (!(error instanceof WorkFailed) && !(error instanceof ScripError)) {
      throw error;
    }
    return 0;
  }
}

async function runAll(endings: Ending[]): Promise<void> {
  let started = 0;
  const worker = async () => {
    while (started < RUNS) {
      const run = started++;
      const user = `user-${run % USERS}`;
      const generation = `gen-${run}`;
      const cost = await runOnce(endings[Math.floor(random() * endings.length)]!, user, generation);
      book.get(user)!.set(generation, cost);
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

test(`${RUNS} runs agree with the ledger to the credit`, { timeout: 900_000 }, async () => {
  const users = Array.from({ length: USERS }, (_, index) => `user-${index}`);
  for (const user_uuid of users) {
    await local.scrip.grant({ user_uuid, trans_type: "new_user", credits: GRANTED });
    book.set(user_uuid, new Map());
  }
  const start = performance.now();
  await runAll([succeeds, succeeds, fails, isAborted, repeats]);
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
