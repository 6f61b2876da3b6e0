/** Texts of the components, in English. */

import type { LedgerRecord, Pack } from "../types.js";

/** Texts that an app replaces to translate or reword the components. */
export interface CreditsLabels {
  balance: string;
  packs: string;
  timeline: string;
  showMore: string;
  retry: string;
  failed: string;
  loading: string;
  noPacks: string;
  noRecords: string;
  /** What is left of a pack. */
  remaining: (pack: Pack) => string;
  /** When a pack expires. */
  expiry: (date: string) => string;
  neverExpires: string;
  /** Name of a record, from its type. */
  record: (record: LedgerRecord) => string;
  /** Why a charge was refunded. */
  voided: (record: LedgerRecord) => string;
  held: string;
}

export const ENGLISH: CreditsLabels = {
  balance: "Credits",
  packs: "Packs",
  timeline: "Timeline",
  showMore: "Show more",
  retry: "Try again",
  failed: "The credits could not be loaded.",
  loading: "Loading…",
  noPacks: "No credits left.",
  noRecords: "No records yet.",
  /** What is left of a pack. */
  remaining: ({ remaining, credits }) => `${remaining} of ${credits} left`,
  /** When a pack expires. */
  expiry: (date) => `expires ${date}`,
  neverExpires: "never expires",
  record: ({ trans_type }) => trans_type.replaceAll("_", " "),
  /** Why a charge was refunded. */
  voided: ({ voided_reason }) => `refunded: ${voided_reason}`,
  held: "in progress",
};
