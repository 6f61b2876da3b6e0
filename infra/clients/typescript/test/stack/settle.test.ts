/** Settles and outputs of `withCharge` and `chargeStream`, against the local stack. */

import { describe, expect, test } from "vitest";

import {
  type ChargeOptions,
  GenerationVoidedError,
  IdempotencyConflictError,
  InsufficientCreditsError,
} from "../../src/index.js";
import { balanceOf, client, newId, userWith } from "../support/users.js";

const scrip = client();
const FAILURE = new Error("out of memory");

async function optionsWith(credits: number, more: Partial<ChargeOptions> = {}): Promise<ChargeOptions> {
  return { user: await userWith(credits), generation: newId("gen"), type: "image_generation", credits: 40, ...more };
}

describe("a settle", () => {
  test("below the price returns the difference", async () => {
    const options = await optionsWith(100);
    const settlement = await scrip.withCharge(options, (charge) => charge.settle(12));
    expect(settlement).toMatchObject({ outcome: "settled", estimated: 40, credits: -12, returned: 28, balance: 88 });
    expect(await balanceOf(options.user)).toBe(88);
  });

  test("above the price takes the rest", async () => {
    const options = await optionsWith(100);
    expect(await scrip.withCharge(options, (charge) => charge.settle(55))).toMatchObject({ taken: 15, balance: 45 });
  });

  test("above the balance rejects, and keeps the price", async () => {
    const options = await optionsWith(50);
    const error = await scrip.withCharge(options, (charge) => charge.settle(60)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InsufficientCreditsError);
    expect(await balanceOf(options.user)).toBe(10);
  });

  test("takes what is available, or makes debt", async () => {
    const poor = await optionsWith(50, { overage: "available" });
    expect(await scrip.withCharge(poor, (charge) => charge.settle(60))).toMatchObject({ uncovered: 10, balance: 0 });
    const indebted = await optionsWith(50, { overage: "debt", debtLimit: 10 });
    expect(await scrip.withCharge(indebted, (charge) => charge.settle(60))).toMatchObject({ debt_added: 10, debt: 10 });
    expect(await scrip.balance(indebted.user)).toMatchObject({ balance: 0, debt: 10 });
    const limited = await optionsWith(50, { overage: "debt", debtLimit: 9 });
    await expect(scrip.withCharge(limited, (charge) => charge.settle(60))).rejects.toThrow(InsufficientCreditsError);
  });

  test("before a failure keeps what was delivered", async () => {
    const options = await optionsWith(100);
    const run = scrip.withCharge(options, async (charge) => {
      await charge.settle(12);
      throw FAILURE;
    });
    await expect(run).rejects.toBe(FAILURE);
    expect(await balanceOf(options.user)).toBe(88);
  });

  test("is repeated with the same amount, and conflicts with another one", async () => {
    const options = await optionsWith(100);
    await scrip.withCharge(options, (charge) => charge.settle(12));
    expect(await scrip.withCharge(options, (charge) => charge.settle(12))).toMatchObject({
      outcome: "already_settled",
    });
    await expect(scrip.withCharge(options, (charge) => charge.settle(13))).rejects.toThrow(IdempotencyConflictError);
    expect(await balanceOf(options.user)).toBe(88);
  });

  test("of a charge that was refunded meanwhile rejects the work", async () => {
    const options = await optionsWith(100);
    const run = scrip.withCharge(options, async (charge) => {
      await scrip.refund({ user_uuid: charge.user, generation_uuid: charge.generation, reason: "cancelled" });
      return charge.settle(12);
    });
    await expect(run).rejects.toThrow(GenerationVoidedError);
    expect(await balanceOf(options.user)).toBe(100);
  });
});

describe("outputs", () => {
  test("that failed are returned once", async () => {
    const options = await optionsWith(60, { outputs: 4 });
    await scrip.withCharge(options, async (charge) => {
      expect(await charge.failed(4)).toMatchObject({ outcome: "voided", credits: 10, outputs: [4] });
      expect(await charge.failed(4)).toMatchObject({ outcome: "already_voided", credits: 0 });
      void charge.failed(2);
    });
    expect(await balanceOf(options.user)).toBe(40);
  });

  test("that were delivered are kept when the work fails", async () => {
    const options = await optionsWith(60, { outputs: 4 });
    const run = scrip.withCharge(options, (charge) => {
      charge.delivered(1);
      throw FAILURE;
    });
    await expect(run).rejects.toBe(FAILURE);
    expect(await balanceOf(options.user)).toBe(50);
  });

  test("that all failed void the charge", async () => {
    const options = await optionsWith(60, { outputs: 2 });
    const run = scrip.withCharge(options, async (charge) => {
      await charge.failed(1);
      throw FAILURE;
    });
    await expect(run).rejects.toBe(FAILURE);
    expect(await balanceOf(options.user)).toBe(60);
  });
});

describe("a stream", () => {
  async function* chunksOf(text: string) {
    for (const chunk of text) yield await Promise.resolve(chunk);
  }
  const meter = { count: (units: number, chunk: string) => units + chunk.length, price: (units: number) => units * 10 };

  test("that ends costs what was read", async () => {
    const options = await optionsWith(100);
    for await (const chunk of await scrip.chargeStream(options, () => chunksOf("abc"), meter))
      expect(chunk).toBeTruthy();
    expect(await balanceOf(options.user)).toBe(70);
  });

  test("that is cancelled costs what was read", async () => {
    const options = await optionsWith(100);
    for await (const chunk of await scrip.chargeStream(options, () => chunksOf("abcdef"), meter)) {
      if (chunk === "b") break;
    }
    expect(await balanceOf(options.user)).toBe(80);
  });
});
