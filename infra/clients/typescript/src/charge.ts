/** A charge around the work that it pays for: charge, run, settle or refund. */

import { type Duration, secondsOf } from "./duration.js";
import { InsufficientCreditsError, RefundFailedError, ScripError } from "./errors.js";
import type { Scrip } from "./scrip.js";
import type {
  ChargeType,
  Decrease,
  DecreaseRequest,
  Metadata,
  Overage,
  Refund,
  RefundRequest,
  Settlement,
} from "./types.js";

/** What to charge, and how. */
export interface ChargeOptions {
  /** The owner of the credits. */
  user: string;
  /** What the charge pays for. Use a new one, or a new `key`, after a refund. */
  generation: string;
  /** Distinguishes the charges of one generation, such as the messages of a chat. Default `charge`. */
  key?: string | undefined;
  type: ChargeType;
  /** The price, or an estimate that `settle` corrects. */
  credits: number;
  /** Parts of the work that can fail alone, 1 to 100. */
  outputs?: number | undefined;
  /** Voids the charge unless it is settled in this time, 1 second to 7 days. It covers the death of the process. */
  hold?: Duration | number | undefined;
  /** What a settle does if the packs do not suffice. Default `refuse`. */
  overage?: Overage | undefined;
  /** With `debt`: the highest debt of the wallet. */
  debtLimit?: number | undefined;
  orderNo?: string | undefined;
  metadata?: Metadata | undefined;
  /** Cancels the charge, and is passed to the work as `charge.signal`. */
  signal?: AbortSignal | undefined;
  /** The reason of a refund, which the user's timeline shows. Default `generation failed`, or `aborted`. */
  reason?: ((failure: unknown) => string) | undefined;
}

const DEFAULT_KEY = "charge";
const LONGEST_REASON = 255;

/** A charge that was written. */
export class Charge {
  readonly user: string;
  readonly generation: string;
  /** The idempotency key of the charge; a call-back about it needs the key. */
  readonly key: string;
  readonly transNo: string;
  /** The credits that were charged, positive. */
  readonly credits: number;
  /** Number of outputs, or 0. */
  readonly outputs: number;
  /** The balance after the charge. */
  readonly balance: number;
  /** True if an earlier call wrote the charge: look for a stored result before doing the work again. */
  readonly replayed: boolean;
  /** Pass it to the work, so that it stops when the caller aborts. */
  readonly signal: AbortSignal;
  readonly #scrip: Scrip;
  readonly #options: ChargeOptions;
  readonly #delivered = new Set<number>();
  readonly #failed = new Map<number, Promise<Refund>>();
  #settlement: Promise<Settlement> | undefined;
  #refund: Promise<Refund> | undefined;
  #isSupervised = false;

  private constructor(scrip: Scrip, options: ChargeOptions, written: Decrease) {
    this.#scrip = scrip;
    this.#options = options;
    this.user = options.user;
    this.generation = options.generation;
    this.key = options.key ?? DEFAULT_KEY;
    this.transNo = written.trans_no;
    this.credits = -written.credits;
    this.outputs = options.outputs ?? 0;
    this.balance = written.balance;
    this.replayed = written.replayed;
    this.signal = options.signal ?? new AbortController().signal;
  }

  /**
   * Charges. Refunds if it cannot find out whether the charge was written.
   *
   * @internal
   */
  static async open(scrip: Scrip, options: ChargeOptions): Promise<Charge> {
    const request = decreaseOf(options);
    options.signal?.throwIfAborted();
    try {
      const written = await scrip.decrease(request, { signal: options.signal });
      return new Charge(scrip, options, written);
    } catch (error) {
      // An aborted or unanswered charge may be written, even later. The refund voids it, or rejects it when it arrives.
      if (!(error instanceof ScripError) || error.mayHaveTakenEffect) {
        await refundAfter(scrip, refundOf(options, error), error);
      }
      throw error;
    }
  }

  /**
   * Opens a charge whose owner calls `complete` or `abandon`.
   *
   * @internal
   */
  static async openSupervised(scrip: Scrip, options: ChargeOptions): Promise<Charge> {
    const charge = await Charge.open(scrip, options);
    charge.#isSupervised = true;
    return charge;
  }

  /**
   * See {@link Scrip.withCharge}.
   *
   * @internal
   */
  static async run<T>(scrip: Scrip, options: ChargeOptions, work: (charge: Charge) => T | Promise<T>): Promise<T> {
    if (options.hold !== undefined && options.outputs !== undefined) {
      throw new TypeError("A hold of a charge with `outputs` ends by a call-back only. Leave out `hold` or `outputs`.");
    }
    const charge = await Charge.openSupervised(scrip, options);
    let result;
    try {
      options.signal?.throwIfAborted();
      result = await work(charge);
    } catch (error) {
      await charge.abandon(error);
      throw error;
    }
    await charge.complete();
    return result;
  }

  /**
   * Sets the charge to the actual cost, once; 0 is allowed. From then on the work counts as delivered, and a failure
   * refunds nothing. If the credits do not suffice, the charge keeps its amount and the call rejects with
   * {@link InsufficientCreditsError}; the same call with another `overage` can follow.
   */
  settle(credits: number, { overage = this.#options.overage }: { overage?: Overage } = {}): Promise<Settlement> {
    return (this.#settlement = this.#supervise(this.#settle(credits, overage)));
  }

  /** Returns the credits of one output, counted from 1. */
  failed(output: number, reason?: string): Promise<Refund> {
    this.#delivered.delete(output);
    const refund = this.#supervise(this.#scrip.refund(this.#refundOf([output], undefined, reason)));
    this.#failed.set(output, refund);
    return refund;
  }

  /** Marks an output as delivered: its credits are kept even if the work fails later. */
  delivered(output: number): void {
    this.#delivered.add(output);
  }

  /** Returns all credits that the charge still holds, and voids it. */
  refund(reason?: string): Promise<Refund> {
    return (this.#refund = this.#supervise(this.#scrip.refund(this.#refundOf(undefined, undefined, reason))));
  }

  /**
   * Ends the charge of work that succeeded: awaits every correction, and ends the hold.
   *
   * @internal
   */
  async complete(): Promise<void> {
    if (this.#refund) {
      await this.#refund.catch((error: unknown) => this.#repeat(this.#refundOf(), error));
      return;
    }
    const results = await Promise.allSettled(this.#failed.values());
    const failure = results.find((result) => result.status === "rejected");
    if (failure) {
      const unreturned = [...this.#failed.keys()].filter((_, index) => results[index]?.status === "rejected");
      await this.#repeat(this.#refundOf(unreturned), failure.reason);
    }
    if (this.#settlement) await this.#keepIfRefused(this.#settlement);
    else if (this.#options.hold !== undefined) await this.#settle(this.credits);
  }

  /**
   * Ends the charge of work that failed: returns everything but what was delivered.
   *
   * @internal
   */
  async abandon(failure: unknown): Promise<void> {
    await Promise.allSettled(this.#failed.values());
    if (this.#settlement) {
      await this.#keepIfRefused(this.#settlement).catch((error: unknown) => {
        if (error === failure) return;
        throw new AggregateError([failure, error], "The work failed, and its settle failed too.", { cause: failure });
      });
    } else if (this.#delivered.size === 0) {
      await refundAfter(this.#scrip, this.#refundOf(undefined, failure), failure);
    } else {
      const outputs = Array.from({ length: this.outputs }, (_, index) => index + 1);
      const undelivered = outputs.filter((output) => !this.#delivered.has(output));
      if (undelivered.length) await refundAfter(this.#scrip, this.#refundOf(undelivered, failure), failure);
    }
  }

  /** A refused settle leaves the charge at its amount; its hold must end all the same. */
  async #keepIfRefused(settlement: Promise<Settlement>): Promise<void> {
    try {
      await settlement;
    } catch (error) {
      if (error instanceof InsufficientCreditsError && this.#options.hold !== undefined) {
        await this.#settle(this.credits);
      }
      throw error;
    }
  }

  #settle(credits: number, overage?: Overage): Promise<Settlement> {
    return this.#scrip.settle({
      user_uuid: this.user,
      generation_uuid: this.generation,
      idempotency_key: this.key,
      credits,
      overage,
      debt_limit: overage === "debt" ? this.#options.debtLimit : undefined,
    });
  }

  #refundOf(outputs?: number[], failure?: unknown, reason?: string): RefundRequest {
    return { ...refundOf(this.#options, failure, reason), outputs };
  }

  #repeat(refund: RefundRequest, failure: unknown): Promise<void> {
    return refundAfter(this.#scrip, refund, failure);
  }

  /** `complete` and `abandon` await what the work did not, so a rejection meanwhile is not unhandled. */
  #supervise<T>(promise: Promise<T>): Promise<T> {
    if (this.#isSupervised) promise.catch(() => undefined);
    return promise;
  }
}

function decreaseOf(options: ChargeOptions): DecreaseRequest {
  return {
    user_uuid: options.user,
    generation_uuid: options.generation,
    idempotency_key: options.key ?? DEFAULT_KEY,
    trans_type: options.type,
    credits: options.credits,
    outputs: options.outputs,
    hold_seconds: options.hold === undefined ? undefined : secondsOf(options.hold),
    order_no: options.orderNo,
    metadata: options.metadata,
  };
}

function refundOf(options: ChargeOptions, failure: unknown, reason?: string): RefundRequest {
  return {
    user_uuid: options.user,
    generation_uuid: options.generation,
    idempotency_key: options.key ?? DEFAULT_KEY,
    reason: reasonOf(options, failure, reason) ?? (options.signal?.aborted ? "aborted" : "generation failed"),
  };
}

/** A reason that the service accepts, or undefined: a bad reason must not prevent the refund. */
function reasonOf(options: ChargeOptions, failure: unknown, reason?: string): string | undefined {
  try {
    const text = reason ?? options.reason?.(failure) ?? "";
    const characters = Array.from(text.replace(/\p{Surrogate}/gu, "\ufffd"));
    return characters.slice(0, LONGEST_REASON).join("") || undefined;
  } catch {
    return undefined;
  }
}

/** Refunds after a failure. Rejects with both errors if the refund fails too. */
async function refundAfter(scrip: Scrip, refund: RefundRequest, failure: unknown): Promise<void> {
  try {
    await scrip.refund(refund);
  } catch (error) {
    throw new RefundFailedError(failure, error, refund);
  }
}
