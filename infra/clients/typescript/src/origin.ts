/** The names of an app's own credit functions, over Scrip: change an import, and keep the calls. */

import { Scrip } from "./scrip.js";
import type { ChargeType, Decrease, Grant, GrantRequest, GrantType, Refund, UserCredits } from "./types.js";

/** Types of records. The refund types exist in migrated history only; no call accepts them. */
export const CreditsTransType = {
  NewUser: "new_user",
  OrderPay: "order_pay",
  SystemAdd: "system_add",
  Chat: "chat",
  ChatRefund: "chat_refund",
} as const;

/** A type of record: one of the five fixed ones, or the type of a generation. */
export type CreditsTransType =
  (typeof CreditsTransType)[keyof typeof CreditsTransType] | GenerationTransType | GenerationRefundTransType;

/** The type of a charge for a generation. */
export type GenerationTransType = `${string}_generation`;
/** The type of an old refund. */
export type GenerationRefundTransType = `${string}_generation_refund`;

/** The type of a charge for a generation, such as `anime_generation`. */
export function getGenerationTransType<Gen extends string>(gen: Gen): `${Gen}_generation` {
  return `${gen}_generation`;
}

/** The type of an old refund, to compare with records of migrated history. */
export function getGenerationRefundTransType<Gen extends string>(gen: Gen): `${Gen}_generation_refund` {
  return `${gen}_generation_refund`;
}

/** A charge. Without `generation_uuid` it cannot be refunded. */
export interface DecreaseCredits {
  user_uuid: string;
  trans_type: ChargeType;
  credits: number;
  generation_uuid: string;
  /** Distinguishes the charges of one generation, such as the messages of a chat. */
  idempotency_key?: string | undefined;
  order_no?: string | undefined;
  /** Seconds until the charge is voided unless it is settled, or a call-back reports success. */
  hold_seconds?: number | undefined;
}

/** A refund of all charges of a generation, or of the one with a key. */
export interface RefundCredits {
  user_uuid: string;
  generation_uuid: string;
  reason?: string | undefined;
  idempotency_key?: string | undefined;
}

/** A grant. */
export interface IncreaseCredits {
  user_uuid: string;
  trans_type: GrantType;
  credits: number;
  expired_at?: string | Date | null | undefined;
  /** Required for `order_pay`. */
  order_no?: string | undefined;
  /** Required for `system_add`: the same key grants once. */
  idempotency_key?: string | undefined;
}

let configured: Scrip | undefined;

/**
 * Sets the client of the functions below. Without it they use `SCRIP_URL` and `SCRIP_TOKEN` of the environment.
 */
export function configureCredits(scrip: Scrip): void {
  configured = scrip;
}

function client(): Scrip {
  return (configured ??= fromEnvironment());
}

function fromEnvironment(): Scrip {
  const { process } = globalThis as { process?: { env: Record<string, string | undefined> } };
  const { SCRIP_URL: url, SCRIP_TOKEN: token } = process?.env ?? {};
  if (!url) throw new TypeError("Set SCRIP_URL, or call `configureCredits`.");
  return new Scrip({ url, token });
}

/** Charges a generation, all or nothing. */
export function decreaseCredits(charge: DecreaseCredits): Promise<Decrease> {
  return client().decrease(charge);
}

/** Voids the charges of a generation. Each pack gets back what it paid, once. */
export function refundCredits({ reason = "generation failed", ...refund }: RefundCredits): Promise<Refund> {
  return client().refund({ reason, ...refund });
}

/** Grants credits. A refund is not a grant: use {@link refundCredits}. */
export async function increaseCredits({ expired_at, ...grant }: IncreaseCredits): Promise<Grant> {
  if (grant.trans_type.endsWith("refund")) throw new TypeError("A refund is not a grant. Call `refundCredits`.");
  if (grant.trans_type === "system_add" && !grant.idempotency_key) {
    throw new TypeError("`system_add` needs an `idempotency_key`, so that a retry does not grant twice.");
  }
  const expiry = expired_at instanceof Date ? expired_at.toISOString() : (expired_at ?? undefined);
  return client().grant({ ...grant, expired_at: expiry } as GrantRequest);
}

/** The balance, and whether the user ever paid. */
export function getUserCredits(user_uuid: string): Promise<UserCredits> {
  return client().userCredits(user_uuid);
}
