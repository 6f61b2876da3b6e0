/** Requests and answers of every operation. Field names are those of the wire. */

import type { components } from "./generated/openapi.js";

type Schemas = components["schemas"];
type GrantedSchema = Schemas["Granted"];
type AllocationSchema = Schemas["Allocation"];
type ChargedSchema = Schemas["Charged"];
type SettledSchema = Schemas["Settled"];
type ReportedSchema = Schemas["Reported"];
type RefundedSchema = Schemas["Refunded"];
type RevokedSchema = Schemas["Revoked"];
type BalanceSchema = Schemas["Balance"];
type PackSchema = BalanceSchema["packs"][number];
type RecordSchema = Schemas["Record"];
type ChargeSchema = Schemas["Charge"];
type SummarySchema = Schemas["Summary"];

/** At most 10 members and 2 KiB; names of 1 to 40 characters, values of at most 255. */
export type Metadata = Record<string, string>;

/** A type of grant. */
export type GrantType = "new_user" | "order_pay" | "system_add";

/** A type of charge: `chat`, or `<gen>_generation` with 1 to 64 of `a-z 0-9 _` as `<gen>`. */
export type ChargeType = "chat" | `${string}_generation`;

/** Fields of every grant. */
export interface GrantFields {
  user_uuid: string;
  /** A whole number from 1 to 1,000,000,000,000. */
  credits: number;
  /** RFC 3339, in the future. Without it the pack never expires. */
  expired_at?: string | undefined;
  metadata?: Metadata | undefined;
}

/** A grant always has an identity, so that it can be retried. */
export type GrantRequest =
  | (GrantFields & { trans_type: "new_user"; order_no?: undefined; idempotency_key?: undefined })
  | (GrantFields & { trans_type: "order_pay"; order_no: string; idempotency_key?: undefined })
  | (GrantFields & { trans_type: "system_add"; order_no?: string | undefined; idempotency_key: string });

/** The state that one source gives to an order: a share of the granted credits, or an amount. */
export type RevokedAmount =
  { part: number; of: number; credits?: undefined } | { credits: number; part?: undefined; of?: undefined };

/** How much of an order one source revokes in total, as of a time. */
export type RevokeRequest = RevokedAmount & {
  order_no: string;
  user_uuid?: string | undefined;
  source: string;
  /** RFC 3339. The latest statement of a source counts, in whatever order they arrive. */
  as_of: string;
  shortfall?: "keep" | "debt" | undefined;
  reason: string;
  metadata?: Metadata | undefined;
};

/** Fields of every charge. */
export interface DecreaseFields {
  user_uuid: string;
  trans_type: ChargeType;
  /** A whole number from 1 to 1,000,000,000,000. */
  credits: number;
  order_no?: string | undefined;
  /** Parts that can be refunded alone, 1 to 100. */
  outputs?: number | undefined;
  /** Seconds until the charge is voided unless it is settled, 1 to 604,800. */
  hold_seconds?: number | undefined;
  metadata?: Metadata | undefined;
}

/** A charge always has an identity, so that it can be retried. */
export type DecreaseRequest = DecreaseFields &
  (
    | { generation_uuid: string; idempotency_key?: string | undefined }
    | { generation_uuid?: undefined; idempotency_key: string }
  );

/** What a settle does if the packs do not suffice. */
export type Overage = "refuse" | "available" | "debt";

/** The actual cost of a charge. Its identity is that of the charge. */
export interface SettleRequest {
  user_uuid: string;
  generation_uuid: string;
  idempotency_key?: string | undefined;
  /** The actual cost, a whole number from 0. */
  credits: number;
  overage?: Overage | undefined;
  /** With `debt`: the highest debt of the wallet. */
  debt_limit?: number | undefined;
}

/** Which charges to void, or which outputs to return. */
export interface RefundRequest {
  /** Without it Scrip finds the user in an index that may lag. */
  user_uuid?: string | undefined;
  generation_uuid: string;
  /** 1 to 255 characters. */
  reason: string;
  idempotency_key?: string | undefined;
  /** Only the charge with this identity. */
  trans_no?: string | undefined;
  /** Only these outputs of the charge, counted from 1. */
  outputs?: number[] | undefined;
}

/** A page of a list. */
export interface PageRequest {
  /** 1 to 100; default 20. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** A page of a user's records. */
export interface TimelineRequest extends PageRequest {
  user_uuid: string;
  /** Includes refunded charges. Default false. */
  include_voided?: boolean | undefined;
}

/** A page of the charges of a generation. */
export interface GenerationRequest extends PageRequest {
  generation_uuid: string;
}

/** All records of a user, or those of a range. */
export interface SummaryRequest {
  user_uuid: string;
  /** RFC 3339: only records created at this time or later. */
  from?: string | undefined;
  /** RFC 3339: only records created before this time. */
  to?: string | undefined;
}

/** The report of a provider about a generation. Other members are ignored. */
export interface GenerationReport {
  generation_uuid: string;
  /** The provider's word, such as `succeeded` or `failed`. */
  status: string;
  user_uuid?: string | undefined;
  idempotency_key?: string | undefined;
  trans_no?: string | undefined;
  output?: number | undefined;
  error?: string | undefined;
  task_token?: string | undefined;
}

/** A pack that was added. */
export interface Grant extends GrantedSchema {}

/** Credits that one pack paid. */
export interface Allocation extends AllocationSchema {}

/** A charge that was written. */
export interface Decrease extends ChargedSchema {}

/** The numbers of a settle; `credits` is negative. */
export interface Settlement extends SettledSchema {}

/** What a refund returned, and what earlier ones did. */
export interface Refund extends RefundedSchema {}

/** The state of an order after a revoke. */
export interface Revocation extends RevokedSchema {}

/** The balance, and the usable packs in spending order. */
export interface Balance extends BalanceSchema {}

/** What is left of a grant. */
export interface Pack extends PackSchema {}

/** A line of the timeline. */
export interface LedgerRecord extends RecordSchema {}

/** A page of records, newest first. Without `cursor` it is the last one. */
export interface Timeline {
  user_uuid: string;
  records: LedgerRecord[];
  cursor?: string;
}

/** A charge with the packs that paid it. */
export interface GenerationCharge extends ChargeSchema {}

/** A page of the charges of a generation. */
export interface Generation {
  generation_uuid: string;
  user_uuid: string;
  charges: GenerationCharge[];
  cursor?: string;
}

/** Sums of a user's records, as positive numbers. */
export interface Summary extends SummarySchema {}

/** What a report did. */
export interface GenerationReported extends ReportedSchema {}

/** The answer of the old front end's call. */
export interface UserCredits {
  left_credits: number;
  is_recharged: boolean;
}
