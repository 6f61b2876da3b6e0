/** The client of Scrip. */

export { Scrip } from "./scrip.js";
export type { CallOptions, CommonOptions, ScripOptions } from "./scrip.js";
export type { HttpOptions } from "./http.js";
export type { LambdaClient, LambdaOptions } from "./lambda.js";
export type { RetryPolicy } from "./retry.js";
export type { Charge, ChargeOptions } from "./charge.js";
export type { ChargeStreamOptions, StreamMeter } from "./charge-stream.js";
export type { Duration } from "./duration.js";
export * from "./errors.js";
export { callbackUrl, verifyWebhook } from "./callbacks.js";
export type { CallbackOptions, Webhook } from "./callbacks.js";
export { createStripeCheckoutMetadata } from "./stripe.js";
export type { StripeCheckoutMetadata, StripePayment, StripeSubscription } from "./stripe.js";
export type * from "./types.js";
