// Events that Stripe's library signs, sent to the local stack.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  SECRETS, charge, deliver, dispute, event, get, invoice, now, seeded, send, session, shuffled, sign, stripe,
} from "./support.mjs";

/** How many of the 40,320 orders of the eight events are tried, once with each event once and once twice. */
const ORDERS = Number(process.env.SCRIP_STRIPE_ORDERS ?? 150);
const SEED = Number(process.env.SCRIP_SEED ?? 1);
/** Stories at a time. */
const WORKERS = 8;

/** The eight events of a user: a pack of 100 whose dispute is won, and 500 credits of a month, half of them refunded. */
const story = (name, user) => [
  event(`${name}_1`, "checkout.session.completed", 0, session(`${name}c`, user, 100)),
  event(`${name}_2`, "checkout.session.async_payment_succeeded", 5, session(`${name}c`, user, 100)),
  event(`${name}_3`, "invoice.paid", 10, invoice(`${name}i`, user, 500)),
  event(`${name}_4`, "invoice_payment.paid", 11, {
    id: `inpay_${name}`,
    object: "invoice_payment",
    invoice: `in_${name}i`,
    payment: { type: "payment_intent", payment_intent: `pi_${name}i` },
    status: "paid",
  }),
  event(`${name}_5`, "charge.refunded", 20, charge(`${name}i`, 10_000, 2_000)),
  event(`${name}_6`, "charge.refunded", 30, charge(`${name}i`, 10_000, 5_000)),
  event(`${name}_7`, "charge.dispute.funds_withdrawn", 40, dispute(`${name}c`, 1_000, "needs_response")),
  event(`${name}_8`, "charge.dispute.funds_reinstated", 50, dispute(`${name}c`, 1_000, "won")),
];

/** The state of a user without names and times. */
async function state(name, user) {
  const [{ balance, debt, packs }, summary] = await Promise.all([
    get(`/credits/${user}/balance`),
    get(`/credits/${user}/summary`),
  ]);
  const orders = packs.map(({ order_no, remaining }) => `${order_no.replace(name, "")}: ${remaining}`).sort();
  return { balance, debt, orders, granted: summary.granted, revoked: summary.revoked, spent: summary.spent.credits };
}

const EXPECTED = {
  balance: 350,
  debt: 0,
  orders: ["in_i: 250", "pi_c: 100"],
  granted: { credits: 600, count: 2 },
  revoked: { credits: 250 },
  spent: 0,
};

test("eight events in any order, once or twice, end at one state", async () => {
  console.log(`${ORDERS} orders of 40,320, seed ${SEED}`);
  const random = seeded(SEED);
  const stories = Array.from({ length: 2 * ORDERS }, (_, nth) => {
    const [name, user] = [`s${nth}`, `user-${nth}`];
    const events = story(name, user);
    return { name, user, events: shuffled(nth % 2 === 0 ? events : [...events, ...events], random) };
  });
  const work = async () => {
    for (let next = stories.pop(); next; next = stories.pop()) {
      const { name, user, events } = next;
      const order = events.map(({ id }) => id.split("_").at(-1)).join(" ");
      for (const one of events) {
        const answer = await deliver(one);
        assert.equal(answer.status, 200, `${order}: ${one.type}: ${JSON.stringify(answer.body)}`);
      }
      assert.deepEqual(await state(name, user), EXPECTED, order);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
});

test("one payment of two users is granted to the first", async () => {
  const [one, other] = ["one", "other"].map((user) => event("two", "checkout.session.completed", 0, session("two", user, 7)));
  assert.deepEqual((await deliver(one)).body, { outcome: "granted", order_no: "pi_two" });
  const refused = await deliver(other);
  assert.deepEqual([refused.status, refused.body.code], [409, "IdempotencyConflict"]);
  assert.deepEqual((await deliver(one)).body.outcome, "replayed");
  assert.equal((await get("/credits/one/balance")).balance, 7);
  assert.equal((await get("/credits/other/balance")).balance, 0);
});

test("refund before its payment is kept, and the payment grants the rest", async () => {
  const refund = await deliver(event("early", "charge.refunded", 9, charge("early", 1_000, 300)));
  assert.deepEqual(refund.body, { outcome: "kept", order_no: "pi_early" });
  const payment = await deliver(event("early", "checkout.session.completed", 0, session("early", "early", 100)));
  assert.equal(payment.body.outcome, "granted");
  assert.equal((await get("/credits/early/balance")).balance, 70);
});

test("share of a refund decides, in a currency without decimals too", async () => {
  await deliver(event("yen", "checkout.session.completed", 0, session("yen", "yen", 100)));
  const refund = await deliver(event("yen", "charge.refunded", 9, charge("yen", 1_500, 500, "jpy")));
  assert.deepEqual(refund.body, { outcome: "revoked", order_no: "pi_yen" });
  // A third of 100 credits, rounded down.
  assert.equal((await get("/credits/yen/balance")).balance, 67);
});

/** Whether the library itself accepts a body and a header under one of the stack's secrets. */
const isValid = (payload, header) =>
  SECRETS.some((secret) => {
    try {
      return Boolean(stripe.webhooks.constructEvent(payload, header, secret));
    } catch {
      return false;
    }
  });

test("stack accepts the signatures that the library accepts", async () => {
  const payload = JSON.stringify(event("signed", "customer.created", 0, { id: "cus_1" }));
  const [old, next] = SECRETS;
  const timestamp = now();
  const v1 = (header) => header.split(",").find((part) => part.startsWith("v1="));
  for (const [name, header, status] of [
    ["now", sign(payload), 200],
    ["the next secret", sign(payload, { secret: next }), 200],
    ["both secrets", `${sign(payload, { secret: "whsec_of_another_endpoint", timestamp })},${v1(sign(payload, { secret: old, timestamp }))}`, 200],
    ["299 s ago", sign(payload, { timestamp: now() - 299 }), 200],
    ["302 s ago", sign(payload, { timestamp: now() - 302 }), 401],
    ["another secret", sign(payload, { secret: "whsec_of_another_endpoint" }), 401],
    ["another body", sign(`${payload} `), 401],
    ["another scheme", sign(payload, { scheme: "v0" }), 401],
    ["no time", v1(sign(payload)), 401],
    ["no header", undefined, 401],
  ]) {
    assert.equal((await send(payload, header)).status, status, name);
    assert.equal(isValid(payload, header), status === 200, `${name}, by the library`);
  }
});

test("event has at most 256 KiB", async () => {
  for (const [bytes, status] of [[262_144, 200], [262_145, 413]]) {
    const large = event("large", "customer.created", 0, { id: "cus_1", pad: "" });
    large.data.object.pad = "x".repeat(bytes - JSON.stringify(large).length);
    assert.equal((await deliver(large)).status, status, bytes);
  }
});

test("payment without usable credits is ignored or invalid", async () => {
  const sell = (metadata) => ({ ...session("odd", "odd", 1), metadata });
  for (const [metadata, status, outcome] of [
    [{}, 200, "ignored"],
    [{ scrip_user: "odd", scrip_credits: "1.5" }, 400, undefined],
    [{ scrip_credits: "5" }, 400, undefined],
  ]) {
    const answer = await deliver(event("odd", "checkout.session.completed", 0, sell(metadata)));
    assert.deepEqual([answer.status, answer.body.outcome], [status, outcome]);
  }
  assert.equal((await get("/credits/odd/balance")).balance, 0);
});
