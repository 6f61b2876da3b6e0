/** What `withCharge` sends, for every way in which work can end. */

import { describe, expect, test } from "vitest";

import { type Charge, type ChargeOptions, InsufficientCreditsError, RefundFailedError } from "../../src/index.js";
import { recordedService } from "../support/recorded-service.js";
import { type Scripted, problem } from "../support/scripted-fetch.js";

const FAILURE = new Error("out of memory");
const POOR = problem("InsufficientCredits", 402, { balance: 0, required: 5 });
const DOWN = problem("StoreUnavailable", 503);
const VOIDED = problem("GenerationVoided", 409);

const fail = () => Promise.reject(FAILURE);

function optionsOf(more: Partial<ChargeOptions> = {}): ChargeOptions {
  return { user: "u", generation: "g", type: "image_generation", credits: 40, ...more };
}

interface Case {
  name: string;
  options?: Partial<ChargeOptions>;
  work: (charge: Charge) => unknown;
  failures?: Record<string, Scripted[]>;
  calls: string[];
  rejects?: unknown;
}

const cases: Case[] = [
  { name: "work that returns needs one call", work: () => 1, calls: ["decrease 40"] },
  {
    name: "work that throws is refunded",
    work: fail,
    calls: ["decrease 40", "refund generation failed"],
    rejects: FAILURE,
  },
  {
    name: "a hold ends with a settle at the price",
    options: { hold: "15m" },
    work: () => 1,
    calls: ["decrease 40", "settle 40"],
  },
  {
    name: "a settle that the work awaits is sent once",
    options: { hold: 60 },
    work: (charge) => charge.settle(12),
    calls: ["decrease 40", "settle 12"],
  },
  {
    name: "a settle that the work does not await is awaited",
    work: (charge) => void charge.settle(12),
    calls: ["decrease 40", "settle 12"],
  },
  {
    name: "a settle of nothing is sent",
    work: (charge) => charge.settle(0),
    calls: ["decrease 40", "settle 0"],
  },
  {
    name: "a failure after a settle keeps what was delivered",
    work: async (charge) => {
      await charge.settle(12);
      throw FAILURE;
    },
    calls: ["decrease 40", "settle 12"],
    rejects: FAILURE,
  },
  {
    name: "the overage of the options is the default of a settle",
    options: { overage: "available" },
    work: (charge) => charge.settle(50),
    calls: ["decrease 40", "settle 50 available"],
  },
  {
    name: "a refused settle rejects and keeps the price",
    work: (charge) => charge.settle(50),
    failures: { settle: [POOR] },
    calls: ["decrease 40", "settle 50"],
    rejects: expect.any(InsufficientCreditsError),
  },
  {
    name: "a refused settle of a hold ends the hold at the price",
    options: { hold: "15m" },
    work: (charge) => charge.settle(50),
    failures: { settle: [POOR] },
    calls: ["decrease 40", "settle 50", "settle 40"],
    rejects: expect.any(InsufficientCreditsError),
  },
  {
    name: "a refused settle can be followed by one with another overage",
    work: (charge) => charge.settle(50).catch(() => charge.settle(50, { overage: "debt" })),
    failures: { settle: [POOR] },
    calls: ["decrease 40", "settle 50", "settle 50 debt"],
  },
  {
    name: "a settle of a charge that was voided meanwhile rejects the work",
    options: { hold: "1s" },
    work: () => 1,
    failures: { settle: [VOIDED] },
    calls: ["decrease 40", "settle 40"],
    rejects: expect.objectContaining({ code: "GenerationVoided" }),
  },
  {
    name: "failed outputs are returned, the others kept",
    options: { outputs: 4 },
    work: (charge) => void Promise.all([charge.failed(2), charge.failed(4)]),
    calls: ["decrease 40", "refund 2", "refund 4"],
  },
  {
    name: "a failure returns every output without a mark",
    options: { outputs: 4 },
    work: (charge) => {
      charge.delivered(1);
      charge.delivered(3);
      throw FAILURE;
    },
    calls: ["decrease 40", "refund 2,4"],
    rejects: FAILURE,
  },
  {
    name: "a failure after a failed output returns the rest",
    options: { outputs: 4 },
    work: async (charge) => {
      await charge.failed(1);
      throw FAILURE;
    },
    calls: ["decrease 40", "refund 1", "refund generation failed"],
    rejects: FAILURE,
  },
  {
    name: "a failure after all outputs were delivered returns nothing",
    options: { outputs: 2 },
    work: (charge) => {
      charge.delivered(1);
      charge.delivered(2);
      throw FAILURE;
    },
    calls: ["decrease 40"],
    rejects: FAILURE,
  },
  {
    name: "a failed output whose refund fails is repeated at the end",
    options: { outputs: 2 },
    work: (charge) => void charge.failed(2),
    failures: { refund: [DOWN, DOWN] },
    calls: ["decrease 40", "refund 2", "refund 2", "refund 2"],
  },
  {
    name: "failed outputs whose refunds fail are repeated together",
    options: { outputs: 4 },
    work: (charge) => void [1, 2, 3].map((output) => charge.failed(output)),
    failures: { refund: [DOWN, { status: 200 }, DOWN, DOWN, DOWN] },
    calls: ["decrease 40", "refund 1", "refund 2", "refund 3", "refund 1", "refund 3", "refund 1,3"],
  },
  {
    name: "a failed output that cannot be refunded rejects the work",
    options: { outputs: 2 },
    work: (charge) => void charge.failed(2),
    failures: { refund: [DOWN, DOWN, DOWN, DOWN] },
    calls: ["decrease 40", "refund 2", "refund 2", "refund 2", "refund 2"],
    rejects: expect.objectContaining({
      name: "RefundFailedError",
      refund: {
        user_uuid: "u",
        generation_uuid: "g",
        idempotency_key: "charge",
        reason: "generation failed",
        outputs: [2],
      },
    }),
  },
  {
    name: "a failure and a failed settle are thrown together",
    work: (charge) => {
      void charge.settle(12);
      throw FAILURE;
    },
    failures: { settle: [DOWN, DOWN] },
    calls: ["decrease 40", "settle 12", "settle 12"],
    rejects: expect.objectContaining({ errors: [FAILURE, expect.objectContaining({ code: "StoreUnavailable" })] }),
  },
  {
    name: "an explicit refund that fails is repeated at the end",
    work: (charge) => void charge.refund("no face found"),
    failures: { refund: [DOWN, DOWN] },
    calls: ["decrease 40", "refund no face found", "refund no face found", "refund generation failed"],
  },
  {
    name: "a charge that is rejected for certain is not refunded",
    work: () => 1,
    failures: { decrease: [POOR] },
    calls: ["decrease 40"],
    rejects: expect.any(InsufficientCreditsError),
  },
  {
    name: "a charge that may have been written is refunded",
    work: () => 1,
    failures: { decrease: [DOWN, DOWN] },
    calls: ["decrease 40", "decrease 40", "refund generation failed"],
    rejects: expect.objectContaining({ code: "StoreUnavailable" }),
  },
  {
    name: "a rejection after an unanswered attempt fences the charge",
    work: () => 1,
    failures: { decrease: [{ fails: true }, POOR] },
    calls: ["decrease 40", "decrease 40", "refund generation failed"],
    rejects: expect.any(InsufficientCreditsError),
  },
  {
    name: "a conflict is never refunded, because the charge is another request's",
    work: () => 1,
    failures: { decrease: [{ fails: true }, problem("IdempotencyConflict", 409)] },
    calls: ["decrease 40", "decrease 40"],
    rejects: expect.objectContaining({ code: "IdempotencyConflict" }),
  },
];

describe("withCharge:", () => {
  test.each(cases)("$name", async ({ options, work, failures, calls, rejects }) => {
    const service = recordedService(failures);
    const error: unknown = await service.scrip.withCharge(optionsOf(options), work).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(service.calls).toEqual(calls);
    expect(error).toEqual(rejects);
  });
});

test("a refund that fails is thrown beside the first error", async () => {
  const { scrip } = recordedService({ refund: [DOWN, DOWN] });
  const error = await scrip.withCharge(optionsOf(), fail).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(RefundFailedError);
  expect((error as RefundFailedError).errors).toEqual([FAILURE, expect.objectContaining({ code: "StoreUnavailable" })]);
});

test("an open charge lets an unhandled settle surface", async () => {
  const { scrip } = recordedService({ settle: [VOIDED] });
  const charge = await scrip.charge(optionsOf());
  await expect(charge.settle(1)).rejects.toMatchObject({ code: "GenerationVoided" });
});

test("a hold is sent in seconds", async () => {
  for (const [hold, seconds] of [
    ["15m", 900],
    ["2h", 7_200],
    ["1d", 86_400],
    [30, 30],
  ] as const) {
    let body: unknown;
    const service = recordedService();
    const decrease = service.scrip.decrease.bind(service.scrip);
    service.scrip.decrease = (request) => decrease((body = request));
    await service.scrip.charge(optionsOf({ hold }));
    expect(body).toHaveProperty("hold_seconds", seconds);
  }
  const { scrip, calls } = recordedService();
  await expect(scrip.charge(optionsOf({ hold: "15 minutes" as never }))).rejects.toThrow(TypeError);
  expect(calls).toEqual([]);
});

test.each([
  ["a long one is cut to 255 characters", () => "🙂".repeat(300), "🙂".repeat(255)],
  ["a broken character is replaced", () => "no \ud83d", "no \ufffd"],
  ["an empty one is replaced", () => "", "generation failed"],
  [
    "one that cannot be computed is replaced",
    () => {
      throw new Error("no message");
    },
    "generation failed",
  ],
])("reason: %s", async (_, reason, expected) => {
  const { scrip, calls } = recordedService();
  await scrip.withCharge(optionsOf({ reason }), fail).catch(() => undefined);
  expect(calls[1]).toBe(`refund ${expected}`);
});
