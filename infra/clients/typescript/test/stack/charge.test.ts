/** `withCharge` against the local stack: success, failure, abort, and responses that are lost. */

import { describe, expect, test } from "vitest";

import {
  type ChargeOptions,
  GenerationVoidedError,
  InsufficientCreditsError,
  RefundFailedError,
  Scrip,
} from "../../src/index.js";
import { balanceOf, client, newId, url, userWith } from "../support/users.js";

const scrip = client();

async function optionsWith(credits: number, more: Partial<ChargeOptions> = {}): Promise<ChargeOptions> {
  const user = await userWith(credits);
  return { user, generation: newId("gen"), type: "image_generation", credits: 8, ...more };
}

/** The voided charges of a user. */
async function voidedReasons(user_uuid: string): Promise<(string | undefined)[]> {
  const { records } = await scrip.timeline({ user_uuid, include_voided: true });
  return records.filter(({ is_voided }) => is_voided).map(({ voided_reason }) => voided_reason);
}

test("work that succeeds is charged, and its result returned", async () => {
  const options = await optionsWith(10);
  const result = await scrip.withCharge(options, (charge) => {
    expect(charge).toMatchObject({ user: options.user, key: "charge", credits: 8, balance: 2, replayed: false });
    return `image of ${charge.generation}`;
  });
  expect(result).toBe(`image of ${options.generation}`);
  expect(await balanceOf(options.user)).toBe(2);
});

test("work that throws is refunded, and its error thrown", async () => {
  const options = await optionsWith(10, { reason: (error) => (error as Error).message });
  const failure = new Error("out of memory");
  await expect(scrip.withCharge(options, () => Promise.reject(failure))).rejects.toBe(failure);
  expect(await balanceOf(options.user)).toBe(10);
  expect(await voidedReasons(options.user)).toEqual(["out of memory"]);
});

test("the default reason shows nothing of the error", async () => {
  const options = await optionsWith(10);
  await scrip.withCharge(options, () => Promise.reject(new Error("key sk-1 rejected"))).catch(() => undefined);
  expect(await voidedReasons(options.user)).toEqual(["generation failed"]);
});

test("work is not started without credits", async () => {
  const options = await optionsWith(7);
  let isStarted = false;
  await expect(scrip.withCharge(options, () => (isStarted = true))).rejects.toThrow(InsufficientCreditsError);
  expect(isStarted).toBe(false);
});

test("work of a voided generation is not started, but that of a new key is", async () => {
  const options = await optionsWith(10);
  await scrip.withCharge(options, () => Promise.reject(new Error("failed"))).catch(() => undefined);
  let starts = 0;
  await expect(scrip.withCharge(options, () => ++starts)).rejects.toThrow(GenerationVoidedError);
  expect(starts).toBe(0);
  expect(await scrip.withCharge({ ...options, key: "try-2" }, () => ++starts)).toBe(1);
  expect(await balanceOf(options.user)).toBe(2);
});

test("a repeated run is charged once and sees that it is a replay", async () => {
  const options = await optionsWith(10);
  const isReplayed = () => scrip.withCharge(options, ({ replayed }) => replayed);
  expect([await isReplayed(), await isReplayed()]).toEqual([false, true]);
  expect(await balanceOf(options.user)).toBe(2);
});

test("a refund leaves the other charges of the generation", async () => {
  const options = await optionsWith(10, { credits: 2 });
  await scrip.withCharge({ ...options, key: "message-1" }, () => "delivered");
  await scrip.withCharge({ ...options, key: "message-2" }, () => Promise.reject(new Error())).catch(() => undefined);
  expect(await balanceOf(options.user)).toBe(8);
});

test("charge.refund returns the credits of work that returns", async () => {
  const options = await optionsWith(10);
  expect(await scrip.withCharge(options, async (charge) => (await charge.refund("no face found")).outcome)).toBe(
    "voided",
  );
  expect(await balanceOf(options.user)).toBe(10);
  expect(await voidedReasons(options.user)).toEqual(["no face found"]);
});

describe("an abort", () => {
  test("during the work refunds what the work throws away", async () => {
    const controller = new AbortController();
    const options = await optionsWith(10, { signal: controller.signal });
    const run = scrip.withCharge(options, async ({ signal }) => {
      controller.abort(new Error("the user left"));
      signal.throwIfAborted();
    });
    await expect(run).rejects.toThrow("the user left");
    expect(await balanceOf(options.user)).toBe(10);
    expect(await voidedReasons(options.user)).toEqual(["aborted"]);
  });

  test("that the work ignores keeps what it delivered", async () => {
    const controller = new AbortController();
    const options = await optionsWith(10, { signal: controller.signal });
    const result = await scrip.withCharge(options, () => {
      controller.abort();
      return "delivered";
    });
    expect(result).toBe("delivered");
    expect(await balanceOf(options.user)).toBe(2);
  });

  test("before the charge sends nothing", async () => {
    const options = await optionsWith(10, { signal: AbortSignal.abort(new Error("gone")) });
    await expect(scrip.withCharge(options, () => "never")).rejects.toThrow("gone");
    expect(await voidedReasons(options.user)).toEqual([]);
  });

  test("during the charge fences it", async () => {
    const controller = new AbortController();
    const options = await optionsWith(10, { signal: controller.signal });
    const aborting: typeof fetch = async (input, init) => {
      if (String(input).endsWith("/decrease")) controller.abort(new Error("gone"));
      return fetch(input, init);
    };
    const impatient = new Scrip({ url: url(), fetch: aborting });
    await expect(impatient.withCharge(options, () => "never")).rejects.toThrow("gone");
    expect(await balanceOf(options.user)).toBe(10);
    await expect(scrip.withCharge({ ...options, signal: undefined }, () => "late")).rejects.toThrow(
      GenerationVoidedError,
    );
  });
});

describe("a charge whose responses are lost", () => {
  /** Executes every charge, but never returns the response of one. */
  const losing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (String(input).endsWith("/decrease")) throw new TypeError("fetch failed");
    return response;
  };
  const retry = { attempts: 3, baseDelayMs: 1 };

  test("is refunded", async () => {
    const options = await optionsWith(10);
    const run = new Scrip({ url: url(), fetch: losing, retry }).withCharge(options, () => "never");
    await expect(run).rejects.toMatchObject({ code: "NoResponse", attempts: 3 });
    expect(await balanceOf(options.user)).toBe(10);
    expect(await voidedReasons(options.user)).toEqual(["generation failed"]);
  });

  test("rejects with both errors if the refund fails too", async () => {
    const options = await optionsWith(10);
    const broken: typeof fetch = async (input, init) =>
      String(input).endsWith("/refund") ? Promise.reject(new TypeError("fetch failed")) : losing(input, init);
    const error = await new Scrip({ url: url(), fetch: broken, retry })
      .withCharge(options, () => "never")
      .catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RefundFailedError);
    const { errors, refund } = error as RefundFailedError;
    expect(errors).toMatchObject([{ code: "NoResponse" }, { code: "NoResponse", attempts: 3 }]);
    expect(await balanceOf(options.user)).toBe(2);
    expect(await scrip.refund(refund)).toMatchObject({ outcome: "voided", restored: 8, balance: 10 });
  });
});

test("the failure of the work comes first where the refund fails too", async () => {
  const options = await optionsWith(10);
  const broken: typeof fetch = async (input, init) =>
    String(input).endsWith("/refund") ? new Response("", { status: 502 }) : fetch(input, init);
  const failure = new Error("out of memory");
  const error = await new Scrip({ url: url(), fetch: broken, retry: { attempts: 2, baseDelayMs: 1 } })
    .withCharge(options, () => Promise.reject(failure))
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(RefundFailedError);
  expect((error as RefundFailedError).errors[0]).toBe(failure);
  expect((error as RefundFailedError).cause).toBe(failure);
});

test("an open charge is refunded by its owner", async () => {
  const options = await optionsWith(10);
  const charge = await scrip.charge(options);
  expect(await balanceOf(options.user)).toBe(2);
  expect(await charge.refund("cancelled")).toMatchObject({ outcome: "voided", balance: 10 });
});

test("a hold and outputs exclude each other", async () => {
  const options = await optionsWith(10, { hold: "15m", outputs: 2 });
  await expect(scrip.withCharge(options, () => "never")).rejects.toThrow(TypeError);
  expect(await balanceOf(options.user)).toBe(10);
});
