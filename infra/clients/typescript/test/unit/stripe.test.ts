/** Metadata of Stripe checkouts, in the types of Stripe's own client. */

import type Stripe from "stripe";
import { expect, test } from "vitest";

import { createStripeCheckoutMetadata } from "../../src/index.js";

test("a payment grants credits for days", () => {
  const session: Stripe.Checkout.SessionCreateParams = {
    mode: "payment",
    ...createStripeCheckoutMetadata({ user: "ana", credits: 500, days: 365 }),
  };
  expect(session).toEqual({
    mode: "payment",
    client_reference_id: "ana",
    metadata: { scrip_user: "ana", scrip_credits: "500", scrip_days: "365" },
  });
});

test("a subscription grants credits in each period", () => {
  const session: Stripe.Checkout.SessionCreateParams = {
    mode: "subscription",
    ...createStripeCheckoutMetadata({ mode: "subscription", user: "ana", credits: 500, graceDays: 3 }),
  };
  expect(session).toEqual({
    mode: "subscription",
    client_reference_id: "ana",
    metadata: { scrip_user: "ana" },
    subscription_data: { metadata: { scrip_user: "ana", scrip_credits: "500", scrip_grace_days: "3" } },
  });
});

test.each([0, 1.5, -1, Number.NaN])("%d credits are rejected", (credits) => {
  expect(() => createStripeCheckoutMetadata({ user: "ana", credits })).toThrow(TypeError);
});
