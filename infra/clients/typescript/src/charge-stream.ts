/** A charge around a stream: counts what is read, and settles it when the stream ends, is cancelled or breaks. */

import { Charge, type ChargeOptions } from "./charge.js";
import type { Scrip } from "./scrip.js";
import type { Settlement } from "./types.js";

/** What to charge for a stream. `credits` is the estimate that is charged first. */
export interface ChargeStreamOptions<T> extends Omit<ChargeOptions, "outputs"> {
  /** The number of units after a chunk, such as tokens. Called once for each chunk that is read, in order. */
  count: (units: number, chunk: T) => number;
  /** The cost of that many units in credits, a whole number. */
  price: (units: number) => number;
  /** Receives the result of the settle. */
  onSettled?: ((settlement: Settlement) => void) | undefined;
}

/** See {@link Scrip.chargeStream}. */
export async function chargeStream<T>(
  scrip: Scrip,
  options: ChargeStreamOptions<T>,
  source: (charge: Charge) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
): Promise<ReadableStream<T>> {
  const controller = new AbortController();
  const abort = () => controller.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", abort);
  if (options.signal?.aborted) abort();
  const charge = await Charge.openSupervised(scrip, { ...options, signal: controller.signal });
  try {
    controller.signal.throwIfAborted();
    const chunks = await source(charge);
    return streamOf(chunks[Symbol.asyncIterator](), new Meter(charge, options), controller);
  } catch (error) {
    await charge.abandon(error);
    throw error;
  }
}

/** Counts the chunks that were read, and ends the charge once. */
class Meter<T> {
  readonly #charge: Charge;
  readonly #options: ChargeStreamOptions<T>;
  #units = 0;
  #end: Promise<void> | undefined;

  constructor(charge: Charge, options: ChargeStreamOptions<T>) {
    this.#charge = charge;
    this.#options = options;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  add(chunk: T): void {
    this.#units = this.#options.count(this.#units, chunk);
  }

  /** Settles a stream that reached its end. */
  complete(): Promise<void> {
    const settled = async () => {
      await this.#settle();
      await this.#charge.complete();
    };
    return (this.#end ??= settled());
  }

  /** Settles what was read of a stream that did not reach its end, or refunds if that is nothing. */
  stop(failure: unknown): Promise<void> {
    const settled = async () => {
      if (this.#units > 0) await this.#settle();
      await this.#charge.abandon(failure);
    };
    return (this.#end ??= settled());
  }

  /** Does not reject if the settle fails: `complete` and `abandon` of the charge do. */
  #settle(): Promise<void> {
    const { price, onSettled } = this.#options;
    return this.#charge.settle(price(this.#units)).then(onSettled, () => undefined);
  }
}

function streamOf<T>(chunks: AsyncIterator<T>, meter: Meter<T>, controller: AbortController): ReadableStream<T> {
  const { signal } = controller;
  /** Ends the source without waiting for it: it may be waiting for its next chunk. */
  const close = () => void chunks.return?.().catch(() => undefined);
  return new ReadableStream<T>(
    {
      start(stream) {
        signal.addEventListener("abort", () => {
          if (meter.hasEnded) return;
          close();
          const fail = (error: unknown) => stream.error(error);
          meter.stop(signal.reason).then(() => fail(signal.reason), fail);
        });
      },
      async pull(stream) {
        try {
          const next = await chunks.next();
          if (meter.hasEnded) return;
          if (next.done) {
            await meter.complete();
            stream.close();
          } else {
            meter.add(next.value);
            stream.enqueue(next.value);
          }
        } catch (error) {
          close();
          await meter.stop(error);
          throw error;
        }
      },
      async cancel(reason) {
        const stopped = meter.stop(reason);
        controller.abort(reason);
        close();
        await stopped;
      },
    },
    // Pull a chunk only when the reader requests it, so that unread chunks are not counted.
    { highWaterMark: 0 },
  );
}
