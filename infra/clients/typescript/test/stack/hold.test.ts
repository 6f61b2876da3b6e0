/** Holds: charges that are voided by themselves unless they are settled in time. */

import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { type ChargeOptions, GenerationVoidedError } from "../../src/index.js";
import { type RunningScrip, startScrip } from "../../src/testing/index.js";
import { newId } from "../support/users.js";

let local: RunningScrip;
beforeAll(async () => {
  local = await startScrip({ path: inject("program") });
});
afterAll(() => local.stop());

const balanceOf = async (user: string) => (await local.scrip.balance(user)).balance;

async function optionsWithHold(): Promise<ChargeOptions> {
  const user = newId("user");
  await local.scrip.grant({ user_uuid: user, trans_type: "new_user", credits: 10 });
  return { user, generation: newId("gen"), type: "image_generation", credits: 8, hold: "15m" };
}

test("a charge whose process died is voided", async () => {
  const options = await optionsWithHold();
  await local.scrip.charge(options);
  expect(await balanceOf(options.user)).toBe(2);
  await local.advance("16m");
  await expect.poll(() => balanceOf(options.user), { timeout: 10_000 }).toBe(10);
  await expect(local.scrip.charge(options)).rejects.toThrow(GenerationVoidedError);
});

test("work that returns in time keeps its charge", async () => {
  const options = await optionsWithHold();
  await local.scrip.withCharge(options, () => "image");
  await local.advance("1d");
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(await balanceOf(options.user)).toBe(2);
});

test("work that takes longer than its hold is rejected", async () => {
  const options = await optionsWithHold();
  const run = local.scrip.withCharge(options, async () => {
    await local.advance("16m");
    await expect.poll(() => balanceOf(options.user), { timeout: 10_000 }).toBe(10);
    return "image";
  });
  await expect(run).rejects.toThrow(GenerationVoidedError);
});
