/** The client: one method for each operation. */

import { Charge, type ChargeOptions } from "./charge.js";
import { type ChargeStreamOptions, type StreamMeter, chargeStream } from "./charge-stream.js";
import { type HttpOptions, HttpTransport } from "./http.js";
import { type LambdaOptions, LambdaTransport } from "./lambda.js";
import * as operations from "./operations.js";
import type { Operation } from "./operations.js";
import { DEFAULT_RETRY, PATIENT_RETRY, RetryQuota, type RetryPolicy, withRetries } from "./retry.js";
import { signatureOf } from "./signature.js";
import type { Transport } from "./transport.js";
import type {
  Balance,
  Decrease,
  DecreaseRequest,
  Generation,
  GenerationReport,
  GenerationReported,
  GenerationRequest,
  Grant,
  GrantRequest,
  Refund,
  RefundRequest,
  Revocation,
  RevokeRequest,
  Settlement,
  SettleRequest,
  Summary,
  SummaryRequest,
  Timeline,
  TimelineRequest,
  UserCredits,
} from "./types.js";

/** Options of every client. */
export interface CommonOptions {
  /** Milliseconds that one attempt may take. Default 10,000. */
  timeoutMs?: number | undefined;
  retry?: Partial<RetryPolicy> | undefined;
  /** Random numbers from 0 to 1 for the jitter. Default `Math.random`. */
  random?: (() => number) | undefined;
}

/** How to reach the service: over HTTP, or by direct invocation of its Lambda functions. */
export type ScripOptions = CommonOptions &
  ((HttpOptions & { lambda?: undefined }) | { lambda: LambdaOptions; url?: undefined });

/** Options of one call. */
export interface CallOptions {
  /** Stops the call. It then rejects with the reason of the signal, and a write may have been executed. */
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
  retry?: Partial<RetryPolicy> | undefined;
}

/**
 * A client of Scrip.
 *
 * @example
 * ```ts
 * const scrip = new Scrip({ url: "http://127.0.0.1:9000" });
 * await scrip.grant({ user_uuid: "ana", trans_type: "new_user", credits: 100 });
 * const image = await scrip.withCharge(
 *   { user: "ana", generation: "gen-1", type: "image_generation", credits: 8 },
 *   () => makeImage(),
 * );
 * ```
 */
export class Scrip {
  readonly #transport: Transport;
  readonly #options: CommonOptions;
  readonly #quota = new RetryQuota();

  constructor(options: ScripOptions) {
    this.#options = options;
    this.#transport = options.lambda ? new LambdaTransport(options.lambda) : new HttpTransport(options);
  }

  /** Adds a pack, once for each order, new user or key. */
  grant(request: GrantRequest, options?: CallOptions): Promise<Grant> {
    return this.#call(operations.GRANT, request, options);
  }

  /** Sets how much of an order one source revokes in total. Repeats and their order do not matter. */
  revoke(request: RevokeRequest, options?: CallOptions): Promise<Revocation> {
    return this.#call(operations.REVOKE, request, options);
  }

  /** Charges credits, all or nothing. {@link withCharge} is safer: it refunds when the work fails. */
  decrease(request: DecreaseRequest, options?: CallOptions): Promise<Decrease> {
    return this.#call(operations.DECREASE, request, options);
  }

  /** Sets a charge to the actual cost of the work, once. */
  settle(request: SettleRequest, options?: CallOptions): Promise<Settlement> {
    return this.#call(operations.SETTLE, request, options);
  }

  /** Voids the charges of a generation, or returns some of its outputs. Repeat it until it returns. */
  refund(request: RefundRequest, options?: CallOptions): Promise<Refund> {
    return this.#call(operations.REFUND, request, options);
  }

  /** The current balance, and the usable packs in spending order. */
  balance(user_uuid: string, options?: CallOptions): Promise<Balance> {
    return this.#call(operations.BALANCE, { user_uuid }, options);
  }

  /** A page of a user's records, newest first. */
  timeline(request: TimelineRequest, options?: CallOptions): Promise<Timeline> {
    return this.#call(operations.TIMELINE, request, options);
  }

  /** Sums of a user's records, as positive numbers. */
  summary(request: SummaryRequest, options?: CallOptions): Promise<Summary> {
    return this.#call(operations.SUMMARY, request, options);
  }

  /** A page of the charges of a generation, voided ones included. */
  generation(request: GenerationRequest, options?: CallOptions): Promise<Generation> {
    return this.#call(operations.GENERATION, request, options);
  }

  /** The balance in the format of the old front end; over HTTP only. Without a user: the user of the token. */
  async userCredits(user_uuid?: string, options?: CallOptions): Promise<UserCredits> {
    if (this.#transport instanceof LambdaTransport) throw new TypeError("`userCredits` is available over HTTP only.");
    return (await this.#call(operations.USER_CREDITS, user_uuid ? { user_uuid } : {}, options)).data;
  }

  /** Reports the end of a generation, as a provider does. A failed one is refunded. */
  async reportGeneration(report: GenerationReport, secret: string, options?: CallOptions): Promise<GenerationReported> {
    if (this.#transport instanceof LambdaTransport) return this.#call(operations.DIRECT_REPORT, report, options);
    const body = JSON.stringify(report);
    return this.#call(operations.REPORT, body, options, { "x-signature": await signatureOf(body, secret) });
  }

  /**
   * Charges, runs the work, and refunds if it throws. Rejects before the work starts if the charge is rejected, and
   * with {@link RefundFailedError} if the credits could not be returned.
   */
  async withCharge<T>(options: ChargeOptions, work: (charge: Charge) => T | Promise<T>): Promise<T> {
    return Charge.run(this, options, work);
  }

  /**
   * Charges, and returns the open charge. Settle or refund it. Use it where the end of the work arrives in an event
   * handler; set `hold`, so that the charge is voided if the handler never runs.
   */
  charge(options: ChargeOptions): Promise<Charge> {
    return Charge.open(this, options);
  }

  /** Charges, passes a stream on, and settles it to what was read when it ends, is cancelled or breaks. */
  chargeStream<T>(
    options: ChargeStreamOptions,
    source: (charge: Charge) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
    meter: StreamMeter<T>,
  ): Promise<ReadableStream<T>> {
    return chargeStream(this, options, source, meter);
  }

  #call<Request, Answer>(
    operation: Operation<Request, Answer>,
    request: Request,
    { signal, timeoutMs, retry }: CallOptions = {},
    headers?: Record<string, string>,
  ): Promise<Answer> {
    const defaults = operation.mustArrive ? PATIENT_RETRY : DEFAULT_RETRY;
    return withRetries((signal) => this.#transport.send(operation, request, { signal, headers }), {
      policy: { ...defaults, ...this.#options.retry, ...retry },
      timeoutMs: timeoutMs ?? this.#options.timeoutMs ?? 10_000,
      quota: operation.mustArrive ? undefined : this.#quota,
      signal,
      isRepeatable: operation.isRepeatable(request),
      readsIndex: operation.readsIndex(request),
      random: this.#options.random ?? Math.random,
    });
  }
}
