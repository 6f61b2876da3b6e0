/** Which failures are repeated, with what waits, and when a call gives up. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import {
  GenerationVoidedError,
  InsufficientCreditsError,
  NoResponseError,
  Scrip,
  ScripError,
} from "../../src/index.js";
import { RetryQuota } from "../../src/retry.js";
import { type Scripted, problem, scriptedFetch } from "../support/scripted-fetch.js";

const OK = { status: 200, body: { balance: 1 } };
const CHARGE = { user_uuid: "u", trans_type: "chat", credits: 1, generation_uuid: "g" } as const;
const BUSY = problem("Busy", 503, {}, { "retry-after": "2" });

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] }));
afterEach(() => void vi.useRealTimers());

/** Runs a call to its end while time passes. Returns its result or its error. */
async function settled<T>(call: Promise<T>): Promise<T | Error> {
  const result = call.catch((error: unknown) => error as Error);
  await vi.runAllTimersAsync();
  return result;
}

function clientOf(script: Scripted[], options = {}) {
  const { fetch, requests } = scriptedFetch(...script);
  return { scrip: new Scrip({ url: "http://scrip", fetch, random: () => 1, ...options }), requests };
}

describe("a charge", () => {
  test.each<[string, Scripted]>([
    ["Busy", BUSY],
    ["StoreUnavailable", problem("StoreUnavailable", 503)],
    ["Internal", problem("Internal", 500)],
    ["a failed network", { fails: true }],
    ["no response in time", { hangs: true }],
    ["throttling by the gateway", { status: 429, body: { message: "Too Many Requests" } }],
    ["a failure of the gateway", { status: 502, body: "<html>" }],
    ["a response that is cut off", { status: 200, body: '{"balance":' }],
  ])("is repeated with the same body after %s", async (_, failure) => {
    const { scrip, requests } = clientOf([failure, OK]);
    expect(await settled(scrip.decrease(CHARGE))).toEqual({ balance: 1 });
    expect(requests).toHaveLength(2);
    expect(requests[1]).toEqual(requests[0]);
    expect(requests[0]!.body).toEqual(CHARGE);
  });

  test.each([
    ["InvalidRequest", 400],
    ["Unauthorized", 401],
    ["InsufficientCredits", 402],
    ["Forbidden", 403],
    ["ChargeNotFound", 404],
    ["IdempotencyConflict", 409],
    ["GenerationVoided", 409],
    ["LimitExceeded", 409],
    ["PayloadTooLarge", 413],
  ])("is not repeated after %s", async (code, status) => {
    const { scrip, requests } = clientOf([problem(code, status), OK]);
    const error = await settled(scrip.decrease(CHARGE));
    expect(error).toMatchObject({ code, status, attempts: 1, mayHaveTakenEffect: false, name: `${code}Error` });
    expect(requests).toHaveLength(1);
  });

  test("without an identity is repeated only if it was certainly not executed", async () => {
    const nameless = { ...CHARGE, generation_uuid: undefined } as never;
    for (const [failure, attempts] of [
      [BUSY, 2],
      [{ fails: true }, 1],
      [problem("StoreUnavailable", 503), 1],
    ] as const) {
      const { scrip, requests } = clientOf([failure, OK]);
      await settled(scrip.decrease(nameless));
      expect(requests).toHaveLength(attempts);
    }
  });

  test("that is rejected after an unanswered attempt may have taken effect", async () => {
    const { scrip } = clientOf([{ fails: true }, problem("Unauthorized", 401)]);
    expect(await settled(scrip.decrease(CHARGE))).toMatchObject({ code: "Unauthorized", mayHaveTakenEffect: true });
  });

  test("that is voided has no effect, whatever earlier attempts did", async () => {
    const { scrip } = clientOf([{ fails: true }, problem("GenerationVoided", 409)]);
    const error = await settled(scrip.decrease(CHARGE));
    expect(error).toBeInstanceOf(GenerationVoidedError);
    expect(error).toMatchObject({ attempts: 2, mayHaveTakenEffect: false });
  });
});

test("InsufficientCreditsError has the numbers of the service", async () => {
  const { scrip } = clientOf([
    problem("InsufficientCredits", 402, { balance: 7, required: 8, debt: 2, request_id: "r" }),
  ]);
  const error = await settled(scrip.decrease(CHARGE));
  expect(error).toBeInstanceOf(InsufficientCreditsError);
  expect(error).toMatchObject({ balance: 7, required: 8, debt: 2, requestId: "r", message: "InsufficientCredits." });
});

test("ChargeNotFound is repeated where an index may lag", async () => {
  const lagging = [problem("ChargeNotFound", 404), OK];
  for (const [call, attempts] of [
    [(scrip: Scrip) => scrip.generation({ generation_uuid: "g" }), 2],
    [(scrip: Scrip) => scrip.refund({ generation_uuid: "g", reason: "r" }), 2],
    [(scrip: Scrip) => scrip.refund({ user_uuid: "u", generation_uuid: "g", reason: "r" }), 1],
    [(scrip: Scrip) => scrip.settle({ user_uuid: "u", generation_uuid: "g", credits: 1 }), 1],
  ] as const) {
    const { scrip, requests } = clientOf(lagging);
    await settled<unknown>(call(scrip));
    expect(requests).toHaveLength(attempts);
  }
});

describe("waits", () => {
  /** Milliseconds until the call ends. */
  async function duration(script: Scripted[], options: object): Promise<number> {
    const { scrip } = clientOf(script, options);
    const start = performance.now();
    await settled(scrip.decrease(CHARGE));
    return performance.now() - start;
  }

  test("double, up to a limit", async () => {
    const failures = Array<Scripted>(5).fill({ fails: true });
    const retry = { baseDelayMs: 100, maxDelayMs: 500, budgetMs: 60_000 };
    expect(await duration([...failures, OK], { retry })).toBe(100 + 200 + 400 + 500 + 500);
  });

  test("are drawn from the whole range", async () => {
    const draws = [0, 0.5];
    const random = () => draws.shift()!;
    expect(await duration([{ fails: true }, { fails: true }, OK], { random })).toBe(0 + 0.5 * 400);
  });

  test("follow Retry-After", async () => {
    expect(await duration([BUSY, OK], { random: () => 0.5 })).toBe(2_000 + 0.5 * 200);
  });

  test("end with the budget", async () => {
    const { scrip, requests } = clientOf([BUSY], { retry: { budgetMs: 5_000, attempts: 100 } });
    const start = performance.now();
    expect(await settled(scrip.decrease(CHARGE))).toMatchObject({ code: "Busy", attempts: 3 });
    expect(performance.now() - start).toBeLessThanOrEqual(5_000);
    expect(requests).toHaveLength(3);
  });

  test("end with the number of attempts", async () => {
    const { scrip } = clientOf([{ fails: true }], { retry: { attempts: 3 } });
    const error = await settled(scrip.decrease(CHARGE));
    expect(error).toBeInstanceOf(NoResponseError);
    expect(error).toMatchObject({ attempts: 3, mayHaveTakenEffect: true });
  });
});

test("an attempt ends at its time limit, and the whole call at the budget", async () => {
  const { scrip } = clientOf([{ hangs: true }], { timeoutMs: 1_000, retry: { attempts: 2, budgetMs: 1_500 } });
  const start = performance.now();
  expect(await settled(scrip.decrease(CHARGE))).toMatchObject({ code: "NoResponse" });
  expect(performance.now() - start).toBeLessThanOrEqual(1_500);
});

describe("an abort", () => {
  test("ends a request and a wait with its reason", async () => {
    for (const failure of [{ hangs: true }, BUSY] as const) {
      const { scrip, requests } = clientOf([failure]);
      const controller = new AbortController();
      const call = scrip.decrease(CHARGE, { signal: controller.signal }).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(10);
      const reason = new Error("the user left");
      controller.abort(reason);
      expect(await call).toBe(reason);
      expect(requests).toHaveLength(1);
    }
  });

  test("before the call sends nothing", async () => {
    const { scrip, requests } = clientOf([OK]);
    const error = await settled(scrip.decrease(CHARGE, { signal: AbortSignal.abort("gone") }));
    expect(error).toBe("gone");
    expect(requests).toHaveLength(0);
  });

  test("leaves no listener on the signal", async () => {
    const { scrip } = clientOf([BUSY, { fails: true }, OK]);
    const { signal } = new AbortController();
    const [add, remove] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    await settled(scrip.decrease(CHARGE, { signal }));
    expect(add).toHaveBeenCalledTimes(5);
    expect(remove).toHaveBeenCalledTimes(5);
  });
});

describe("the retry quota", () => {
  test("stops retries of a service that is down, but not of refunds", async () => {
    const { scrip, requests } = clientOf([{ fails: true }], { retry: { attempts: 11, budgetMs: 1e9 } });
    for (let call = 0; call < 20; call++) await settled(scrip.decrease(CHARGE));
    expect(requests).toHaveLength(20 + RetryQuota.CAPACITY / RetryQuota.COST);
    requests.length = 0;
    await settled(scrip.refund({ user_uuid: "u", generation_uuid: "g", reason: "r" }));
    expect(requests).toHaveLength(11);
  });

  test("is refilled by success", () => {
    const quota = new RetryQuota();
    const take = () => Array.from({ length: 200 }, () => quota.take()).filter(Boolean).length;
    expect(take()).toBe(100);
    quota.succeeded(3);
    expect(take()).toBe(3);
    for (let success = 0; success < 10; success++) quota.succeeded(0);
    expect(take()).toBe(2);
  });
});

test("getToken is called for every attempt, and its failure is not repeated", async () => {
  let calls = 0;
  const { scrip, requests } = clientOf([BUSY, OK], { getToken: () => Promise.resolve(`token-${++calls}`) });
  await settled(scrip.decrease(CHARGE));
  expect(requests.map(({ headers }) => headers["authorization"])).toEqual(["Bearer token-1", "Bearer token-2"]);
  const failing = clientOf([OK], { getToken: () => Promise.reject(new Error("no session")) });
  expect(await settled(failing.scrip.decrease(CHARGE))).toMatchObject({
    code: "Unauthorized",
    mayHaveTakenEffect: false,
    cause: new Error("no session"),
  });
  expect(failing.requests).toHaveLength(0);
});

test("errors of the gateway and of the old format have a code", async () => {
  for (const [status, body, code] of [
    [401, { message: "Unauthorized" }, "Unauthorized"],
    [403, { message: "Forbidden" }, "Forbidden"],
    [404, { message: "Not Found" }, "NotFound"],
    [400, { code: -1, message: "`user_uuid` is required.", data: null }, "InvalidRequest"],
    [503, { code: -1, message: "Busy.", data: null }, "UnexpectedResponse"],
  ] as const) {
    const { scrip } = clientOf([{ status, body }], { retry: { attempts: 1 } });
    const error = await settled(scrip.userCredits("u"));
    expect(error).toBeInstanceOf(ScripError);
    expect(error).toMatchObject({ code, status, message: body.message });
  }
});
