/** Retries: which failures, how long to wait, and when to stop. */

import { type ErrorCode, ScripError, errorOf } from "./errors.js";

/** When and how often a call is repeated. */
export interface RetryPolicy {
  /** Requests in all, the first one included. Default 6. */
  attempts: number;
  /** The first wait is drawn from 0 to this many milliseconds; the range doubles with each retry. Default 200. */
  baseDelayMs: number;
  /** The range of a wait ends here. Default 5,000. */
  maxDelayMs: number;
  /** A call fails when this many milliseconds have passed, waits included. Default 30,000. */
  budgetMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 6, baseDelayMs: 200, maxDelayMs: 5_000, budgetMs: 30_000 };

/** For refunds and settles: giving up leaves a user with the wrong balance. */
export const PATIENT_RETRY: RetryPolicy = { attempts: 10, baseDelayMs: 200, maxDelayMs: 10_000, budgetMs: 60_000 };

/**
 * Limits the retries of a client while the service is down. Each retry takes a token; a success gives back what its
 * retries took, and one token if it needed none.
 */
export class RetryQuota {
  static readonly CAPACITY = 500;
  static readonly COST = 5;
  #tokens = RetryQuota.CAPACITY;

  /** False if the service has failed so often that a retry would only add load. */
  take(): boolean {
    if (this.#tokens < RetryQuota.COST) return false;
    this.#tokens -= RetryQuota.COST;
    return true;
  }

  /** Counts a success that needed this many retries. */
  succeeded(retries: number): void {
    this.#tokens = Math.min(RetryQuota.CAPACITY, this.#tokens + (retries ? retries * RetryQuota.COST : 1));
  }
}

/** Codes that prove that no earlier attempt took effect, and that none will. */
const CONCLUSIVE: ReadonlySet<string> = new Set<ErrorCode>(["GenerationVoided", "IdempotencyConflict"]);

/** Everything that decides about the repeats of one call. */
export interface RetryContext {
  policy: RetryPolicy;
  /** Milliseconds that one attempt may take. */
  timeoutMs: number;
  /** Absent for calls that must arrive, such as refunds. */
  quota: RetryQuota | undefined;
  signal: AbortSignal | undefined;
  isRepeatable: boolean;
  readsIndex: boolean;
  /** 0 to 1, for the jitter. */
  random: () => number;
}

/** Sends attempts until one succeeds or fails for good. */
export async function withRetries<T>(attempt: (signal: AbortSignal) => Promise<T>, context: RetryContext): Promise<T> {
  const { policy, quota, signal } = context;
  const deadline = performance.now() + policy.budgetMs;
  let mayHaveTakenEffect = false;
  for (let attempts = 1; ; attempts++) {
    try {
      const answer = await runAttempt(attempt, Math.min(context.timeoutMs, deadline - performance.now()), signal);
      quota?.succeeded(attempts - 1);
      return answer;
    } catch (error) {
      if (!(error instanceof ScripError)) throw error;
      mayHaveTakenEffect ||= error.mayHaveTakenEffect;
      error.mayHaveTakenEffect = mayHaveTakenEffect && !CONCLUSIVE.has(error.code);
      error.attempts = attempts;
      const wait = delay(error, attempts, context);
      const isLast = attempts >= policy.attempts || performance.now() + wait >= deadline;
      if (isLast || !canRetry(error, context) || quota?.take() === false) throw error;
      await sleep(wait, signal);
    }
  }
}

function canRetry(error: ScripError, { isRepeatable, readsIndex }: RetryContext): boolean {
  if (error.code === "ChargeNotFound") return readsIndex;
  return error.isRetryable && (isRepeatable || !error.mayHaveTakenEffect);
}

/** Full jitter, after the time that the service requests. */
function delay(error: ScripError, attempts: number, { policy, random }: RetryContext): number {
  const range = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempts - 1));
  return (error.retryAfterMs ?? 0) + random() * range;
}

/** Runs one attempt with a time limit. Rejects with the signal's reason if the caller aborts. */
async function runAttempt<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const timeout = errorOf("NoResponse", `No response within ${Math.round(timeoutMs)} ms.`);
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  const timer = setTimeout(() => controller.abort(timeout), timeoutMs);
  // A token function or an injected fetch may ignore the signal.
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason as Error));
  });
  try {
    return await Promise.race([attempt(controller.signal), aborted]);
  } catch (error) {
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Waits, or rejects with the signal's reason. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
  });
}
