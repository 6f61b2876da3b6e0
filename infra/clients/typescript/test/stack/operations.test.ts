/** Every operation against the local stack. */

import { expect, test } from "vitest";

import { ForbiddenError, InsufficientCreditsError, Scrip, UnauthorizedError } from "../../src/index.js";
import { LOCAL_WEBHOOK_SECRET } from "../../src/testing/index.js";
import { balanceOf, client, newId, url, userWith } from "../support/users.js";

const scrip = client();

test("a grant of an order is replayed", async () => {
  const grant = { user_uuid: newId("user"), trans_type: "order_pay", order_no: newId("order"), credits: 5 } as const;
  const first = await scrip.grant({ ...grant, expired_at: "2099-01-01T00:00:00Z" });
  expect(first).toMatchObject({ ...grant, expired_at: "2099-01-01T00:00:00.000Z", balance: 5, replayed: false });
  const second = await scrip.grant({ ...grant, expired_at: "2099-01-01T00:00:00Z" });
  expect(second).toEqual({ ...first, replayed: true });
});

test("a charge and its refund restore the pack", async () => {
  const user_uuid = await userWith(10);
  const generation_uuid = newId("gen");
  const charge = await scrip.decrease({ user_uuid, generation_uuid, trans_type: "anime_generation", credits: 8 });
  expect(charge).toMatchObject({ credits: -8, balance: 2, replayed: false, allocations: [{ credits: 8 }] });
  const refund = await scrip.refund({ user_uuid, generation_uuid, reason: "the model timed out" });
  expect(refund).toMatchObject({ outcome: "voided", credits: 8, restored: 8, expired: 0, balance: 10 });
});

test("a revoke takes credits back, and a dispute that is won returns them", async () => {
  const user_uuid = newId("user");
  const order_no = newId("projects/order");
  const dispute = { order_no, source: "dispute:dp_1", shortfall: "debt", reason: "disputed" } as const;
  const refund = { order_no, source: "refund", part: 1, of: 3, as_of: "2026-01-01T00:00:00Z", reason: "refunded" };
  expect(await scrip.revoke(refund)).toMatchObject({ outcome: "kept", revoked: 0 });
  const grant = await scrip.grant({ user_uuid, trans_type: "order_pay", order_no, credits: 100 });
  expect(grant).toMatchObject({ revoked: 33, balance: 67 });
  await scrip.decrease({ user_uuid, generation_uuid: "g", trans_type: "chat", credits: 30 });
  expect(await scrip.revoke({ ...dispute, credits: 67, as_of: "2026-01-02T00:00:00Z" })).toMatchObject({
    outcome: "revoked",
    user_uuid,
    granted: 100,
    revoked: 100,
    taken: 37,
    debt: 30,
    balance: 0,
  });
  expect((await scrip.timeline({ user_uuid })).records.at(-1)).toMatchObject({ credits: 100, revoked: 100 });
  expect(await scrip.summary({ user_uuid })).toMatchObject({ revoked: { credits: 100 }, debt: 30 });
  const won = await scrip.revoke({ ...dispute, credits: 0, as_of: "2026-01-03T00:00:00Z" });
  expect(won).toMatchObject({ outcome: "restored", revoked: 33, restored: 37, debt: 0, balance: 37 });
  expect(await scrip.revoke({ ...refund, user_uuid })).toMatchObject({ outcome: "unchanged", revoked: 33 });
});

test("reads return balance, packs, timeline, summary and generation", async () => {
  const user_uuid = await userWith(10);
  const generation_uuid = newId("projects/p");
  for (const idempotency_key of ["one", "two"]) {
    await scrip.decrease({ user_uuid, generation_uuid, idempotency_key, trans_type: "chat", credits: 2 });
  }
  await scrip.refund({ user_uuid, generation_uuid, idempotency_key: "two", reason: "it failed" });
  expect(await scrip.balance(user_uuid)).toMatchObject({ balance: 8, packs: [{ credits: 10, remaining: 8 }] });
  expect(await scrip.summary({ user_uuid })).toMatchObject({ spent: { credits: 2, count: 1 }, voided: { count: 1 } });
  expect(await scrip.generation({ generation_uuid })).toMatchObject({ user_uuid, charges: [{}, {}] });
  expect((await scrip.timeline({ user_uuid })).records).toHaveLength(2);
  const page = await scrip.timeline({ user_uuid, include_voided: true, limit: 1 });
  expect(page.records).toMatchObject([{ is_voided: true, voided_reason: "it failed" }]);
  const next = await scrip.timeline({ user_uuid, include_voided: true, limit: 2, cursor: page.cursor });
  expect(next.records).toMatchObject([{ is_voided: false, credits: -2 }, { credits: 10 }]);
});

test("userCredits has the format of the old front end", async () => {
  expect(await scrip.userCredits(await userWith(3))).toEqual({ left_credits: 3, is_recharged: false });
});

test("a report of a failed generation refunds it", async () => {
  const user_uuid = await userWith(5);
  const generation_uuid = newId("gen");
  await scrip.decrease({ user_uuid, generation_uuid, trans_type: "video_generation", credits: 5 });
  const report = { generation_uuid, user_uuid, status: "failed", error: "out of memory" };
  expect(await scrip.reportGeneration(report, LOCAL_WEBHOOK_SECRET)).toMatchObject({ outcome: "voided" });
  expect(await balanceOf(user_uuid)).toBe(5);
  await expect(scrip.reportGeneration(report, "another secret of the test")).rejects.toThrow(UnauthorizedError);
});

test("InsufficientCredits has balance and required", async () => {
  const user_uuid = await userWith(7);
  const error = await scrip
    .decrease({ user_uuid, generation_uuid: "g", trans_type: "chat", credits: 8 })
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InsufficientCreditsError);
  expect(error).toMatchObject({ balance: 7, required: 8, status: 402, attempts: 1 });
});

test("an address with a trailing slash works", async () => {
  expect(await new Scrip({ url: `${url()}/` }).balance("none")).toMatchObject({ balance: 0, packs: [] });
});

test("an error class matches its code", async () => {
  const missing = scrip.grant({ user_uuid: "u", trans_type: "order_pay", credits: 0, order_no: "o" });
  await expect(missing).rejects.toMatchObject({ name: "InvalidRequestError", status: 400 });
  await expect(missing).rejects.not.toBeInstanceOf(ForbiddenError);
});
