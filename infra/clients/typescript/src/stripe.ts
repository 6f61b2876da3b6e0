/** Metadata by which Scrip grants the credits of a Stripe payment. */

/** Credits of one payment. */
export interface StripePayment {
  mode?: "payment" | undefined;
  user: string;
  credits: number;
  /** Days until the pack expires, from the payment. Without it the pack never expires. */
  days?: number | undefined;
}

/** Credits of each period of a subscription. The pack expires with the period. */
export interface StripeSubscription {
  mode: "subscription";
  user: string;
  credits: number;
  /** Days by which the pack outlives its period. */
  graceDays?: number | undefined;
}

/** Parameters of `stripe.checkout.sessions.create`. */
export interface StripeCheckoutMetadata {
  client_reference_id: string;
  metadata: Record<string, string>;
  subscription_data?: { metadata: Record<string, string> };
}

/**
 * Returns parameters to spread into `stripe.checkout.sessions.create`.
 *
 * @example
 * ```ts
 * await stripe.checkout.sessions.create({
 *   mode: "payment",
 *   line_items: [{ price: "price_500", quantity: 1 }],
 *   ...createStripeCheckoutMetadata({ user: "ana", credits: 500, days: 365 }),
 * });
 * ```
 */
export function createStripeCheckoutMetadata(purchase: StripePayment | StripeSubscription): StripeCheckoutMetadata {
  const { user, credits } = purchase;
  if (!Number.isSafeInteger(credits) || credits < 1) throw new TypeError("`credits` must be a whole number from 1.");
  const metadata: Record<string, string> = { scrip_user: user, scrip_credits: String(credits) };
  if (purchase.mode === "subscription") {
    if (purchase.graceDays !== undefined) metadata["scrip_grace_days"] = String(purchase.graceDays);
    return { client_reference_id: user, metadata: { scrip_user: user }, subscription_data: { metadata } };
  }
  if (purchase.days !== undefined) metadata["scrip_days"] = String(purchase.days);
  return { client_reference_id: user, metadata };
}
