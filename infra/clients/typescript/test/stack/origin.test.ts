/** The names of the app's own credit functions, against the local stack. */

import { beforeAll, expect, test, vi } from "vitest";

import { InsufficientCreditsError } from "../../src/index.js";
import {
  CreditsTransType,
  configureCredits,
  decreaseCredits,
  getGenerationRefundTransType,
  getGenerationTransType,
  getUserCredits,
  increaseCredits,
  refundCredits,
} from "../../src/origin.js";
import { client, newId, url } from "../support/users.js";

beforeAll(() => configureCredits(client()));

test("credits are granted, charged and refunded", async () => {
  const user_uuid = newId("user");
  await increaseCredits({
    user_uuid,
    trans_type: CreditsTransType.OrderPay,
    credits: 20,
    order_no: newId("order"),
    expired_at: new Date("2099-01-01"),
  });
  const generation_uuid = newId("gen");
  const trans_type = getGenerationTransType("anime");
  await decreaseCredits({ user_uuid, trans_type, credits: 8, generation_uuid });
  expect(await getUserCredits(user_uuid)).toEqual({ left_credits: 12, is_recharged: true });
  expect(await refundCredits({ user_uuid, generation_uuid })).toMatchObject({ outcome: "voided", balance: 20 });
  expect(await refundCredits({ user_uuid, generation_uuid })).toMatchObject({ outcome: "already_voided", balance: 20 });
  await expect(
    decreaseCredits({ user_uuid, trans_type: CreditsTransType.Chat, credits: 21, generation_uuid: newId("chat") }),
  ).rejects.toThrow(InsufficientCreditsError);
});

test("a refund by a grant is rejected", async () => {
  const trans_type = getGenerationRefundTransType("anime");
  expect(trans_type).toBe("anime_generation_refund");
  const refund = { user_uuid: "u", credits: 8, trans_type: trans_type as never };
  await expect(increaseCredits(refund)).rejects.toThrow("Call `refundCredits`.");
});

test("a gift without a key is rejected", async () => {
  const gift = { user_uuid: "u", credits: 8, trans_type: CreditsTransType.SystemAdd };
  await expect(increaseCredits(gift)).rejects.toThrow("idempotency_key");
});

test("the environment configures the client", async () => {
  vi.resetModules();
  vi.stubEnv("SCRIP_URL", "");
  const fresh = await import("../../src/origin.js");
  expect(() => fresh.getUserCredits("u")).toThrow("Set SCRIP_URL");
  vi.stubEnv("SCRIP_URL", url());
  expect(await fresh.getUserCredits(newId("user"))).toEqual({ left_credits: 0, is_recharged: false });
  vi.unstubAllEnvs();
});
