/** One error class for each code of the service, and one for each failure on the way to it. */

import type { RefundRequest } from "./types.js";

const SERVICE_CODES = [
  "InvalidRequest",
  "Unauthorized",
  "Forbidden",
  "InsufficientCredits",
  "ChargeNotFound",
  "NotFound",
  "MethodNotAllowed",
  "IdempotencyConflict",
  "GenerationVoided",
  "LimitExceeded",
  "PayloadTooLarge",
  "Busy",
  "GenerationUnknown",
  "StoreUnavailable",
  "Internal",
] as const;

/** A code of the service. */
export type ServiceCode = (typeof SERVICE_CODES)[number];

/** True for the codes that the service returns. */
export function isServiceCode(value: unknown): value is ServiceCode {
  return SERVICE_CODES.includes(value as ServiceCode);
}

/**
 * A code of the service, or of the way to it: `NoResponse` (network, time-out), `Throttled` (rejected before the
 * service ran), `UnexpectedResponse` (a failure of a gateway or of Lambda, or no JSON).
 */
export type ErrorCode = ServiceCode | "NoResponse" | "Throttled" | "UnexpectedResponse";

/** Codes after which the same request may succeed. */
const RETRYABLE: ReadonlySet<string> = new Set<ErrorCode>([
  "Busy",
  "GenerationUnknown",
  "StoreUnavailable",
  "Internal",
  "NoResponse",
  "Throttled",
  "UnexpectedResponse",
]);

/** Codes after which a write may have been committed. */
const UNCERTAIN: ReadonlySet<string> = new Set<ErrorCode>([
  "StoreUnavailable",
  "Internal",
  "NoResponse",
  "UnexpectedResponse",
]);

/** What an error states besides its code. */
export interface ErrorDetails {
  status?: number | undefined;
  requestId?: string | undefined;
  /** Milliseconds that the service requests before a retry. */
  retryAfterMs?: number | undefined;
  balance?: number | undefined;
  required?: number | undefined;
  debt?: number | undefined;
  cause?: unknown;
}

/** Every failure of a call. An aborted call rejects with the reason of its signal instead. */
export class ScripError extends Error {
  readonly code: ErrorCode;
  /** HTTP status, if there was a response. */
  readonly status: number | undefined;
  /** Finds the call in the log of the service. */
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  /** Number of requests sent. */
  attempts = 1;
  /** True if the request may have been executed, by this attempt or by an earlier one. */
  mayHaveTakenEffect: boolean;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = `${code}Error`;
    this.code = code;
    this.status = details.status;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
    this.mayHaveTakenEffect = UNCERTAIN.has(code);
  }

  /** True if the same request may succeed later. */
  get isRetryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

/** The balance is too low. A direct invocation does not state the numbers. */
export class InsufficientCreditsError extends ScripError {
  readonly balance: number | undefined;
  readonly required: number | undefined;
  readonly debt: number | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super("InsufficientCredits", message, details);
    this.balance = details.balance;
    this.required = details.required;
    this.debt = details.debt;
  }
}

/** The charge was refunded, or a refund arrived before it. Do no work for it. */
export class GenerationVoidedError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("GenerationVoided", message, details);
  }
}

/** Two different requests have one identity. */
export class IdempotencyConflictError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("IdempotencyConflict", message, details);
  }
}

/** There is no such charge, or an index does not show it yet. */
export class ChargeNotFoundError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("ChargeNotFound", message, details);
  }
}

/** A field is missing, unknown or malformed; the message names it. */
export class InvalidRequestError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("InvalidRequest", message, details);
  }
}

/** The token or the signature is missing or invalid. */
export class UnauthorizedError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("Unauthorized", message, details);
  }
}

/** The caller has no access to this user. */
export class ForbiddenError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("Forbidden", message, details);
  }
}

/** A limit of the ledger. */
export class LimitExceededError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("LimitExceeded", message, details);
  }
}

/** Many writers use the wallet at the same time. */
export class BusyError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("Busy", message, details);
  }
}

/** No response arrived: the network failed, or the time limit passed. */
export class NoResponseError extends ScripError {
  constructor(message: string, details?: ErrorDetails) {
    super("NoResponse", message, details);
  }
}

/**
 * A charge whose credits could not be returned. `errors` holds the first failure and the failure of the refund.
 * Repeat `scrip.refund(error.refund)` later: it restores the charge once, or rejects it if it arrives late.
 */
export class RefundFailedError extends AggregateError {
  override name = "RefundFailedError";
  /** The refund that must still be sent. */
  readonly refund: RefundRequest;

  constructor(failure: unknown, refundFailure: unknown, refund: RefundRequest) {
    super([failure, refundFailure], "The work failed, and the refund of its charge failed too.", { cause: failure });
    this.refund = refund;
  }
}

const CLASSES: Partial<Record<ErrorCode, new (message: string, details?: ErrorDetails) => ScripError>> = {
  InsufficientCredits: InsufficientCreditsError,
  GenerationVoided: GenerationVoidedError,
  IdempotencyConflict: IdempotencyConflictError,
  ChargeNotFound: ChargeNotFoundError,
  InvalidRequest: InvalidRequestError,
  Unauthorized: UnauthorizedError,
  Forbidden: ForbiddenError,
  LimitExceeded: LimitExceededError,
  Busy: BusyError,
  NoResponse: NoResponseError,
};

/** The error of a code, in its class. */
export function errorOf(code: ErrorCode, message: string, details: ErrorDetails = {}): ScripError {
  const Class = CLASSES[code];
  return Class ? new Class(message, details) : new ScripError(code, message, details);
}
