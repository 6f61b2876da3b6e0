// Events of Stripe, signed by Stripe's library, and the stack that gets them.

import { createRequire } from "node:module";
import { join } from "node:path";

/** The npm package that `.ci/run` installs. */
const Stripe = createRequire(join(process.env.SCRIP_STRIPE_TOOLS, "package.json"))("stripe");
export const stripe = new Stripe("sk_test_that_no_request_uses");

/** The secrets of the stack, separated by a space. */
export const SECRETS = process.env.SCRIP_STRIPE_SECRETS.split(" ");

const URL = process.env.SCRIP_URL;

/** The present second. */
export const now = () => Math.floor(Date.now() / 1000);

/** The header of a body. Further options are those of the library. */
export const sign = (payload, options = {}) =>
  stripe.webhooks.generateTestHeaderString({ payload, secret: SECRETS[0], ...options });

/** Sends a body under a header. Returns the status and the answer. */
export async function send(payload, header) {
  const headers = { "content-type": "application/json", ...(header && { "stripe-signature": header }) };
  const response = await fetch(`${URL}/webhooks/stripe`, { method: "POST", headers, body: payload });
  return { status: response.status, body: await response.json() };
}

/** Sends an event, signed now. */
export function deliver(event) {
  const payload = JSON.stringify(event);
  return send(payload, sign(payload));
}

/** Reads a path of the API. */
export async function get(path) {
  return (await fetch(URL + path)).json();
}

/** An event of this type, this many seconds after the first one of its story. */
export const event = (id, type, seconds, object) => ({
  id: `evt_${id}`,
  object: "event",
  api_version: "2026-10-28.endive",
  created: 1_790_000_000 + seconds,
  livemode: false,
  pending_webhooks: 1,
  request: { id: null, idempotency_key: null },
  type,
  data: { object },
});

/** A paid session of a user for the payment intent `pi_<name>`. */
export const session = (name, user, credits) => ({
  id: `cs_test_${name}`,
  object: "checkout.session",
  client_reference_id: null,
  currency: "usd",
  metadata: { scrip_user: user, scrip_credits: String(credits) },
  mode: "payment",
  payment_intent: `pi_${name}`,
  payment_status: "paid",
  status: "complete",
});

/** An invoice of a subscription for the coming period. */
export const invoice = (name, user, credits) => ({
  id: `in_${name}`,
  object: "invoice",
  billing_reason: "subscription_cycle",
  lines: {
    object: "list",
    data: [
      {
        id: `il_${name}`,
        object: "line_item",
        metadata: { scrip_user: user, scrip_credits: String(credits) },
        parent: {
          type: "subscription_item_details",
          invoice_item_details: null,
          subscription_item_details: { proration: false, subscription: `sub_${name}`, subscription_item: `si_${name}` },
        },
        period: { start: now(), end: now() + 30 * 86_400 },
        pricing: { type: "price_details", price_details: { price: "price_1", product: "prod_1" } },
        quantity: 1,
      },
    ],
    has_more: false,
  },
  parent: {
    type: "subscription_details",
    quote_details: null,
    subscription_details: {
      subscription: `sub_${name}`,
      metadata: { scrip_user: user, scrip_credits: String(credits) },
    },
  },
  status: "paid",
});

/** The charge of `pi_<name>`, refunded up to this amount. */
export const charge = (name, amount, refunded, currency = "usd") => ({
  id: `ch_${name}`,
  object: "charge",
  amount,
  amount_captured: amount,
  amount_refunded: refunded,
  currency,
  payment_intent: `pi_${name}`,
  refunded: refunded === amount,
});

/** A dispute of `pi_<name>`. */
export const dispute = (name, amount, status) => ({
  id: `dp_${name}`,
  object: "dispute",
  amount,
  charge: `ch_${name}`,
  currency: "usd",
  payment_intent: `pi_${name}`,
  status,
});

/** A generator of numbers from 0 to below 1 that a seed determines (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The elements in an order that the generator draws. */
export function shuffled(elements, random) {
  const drawn = [...elements];
  for (let last = drawn.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [drawn[last], drawn[other]] = [drawn[other], drawn[last]];
  }
  return drawn;
}
