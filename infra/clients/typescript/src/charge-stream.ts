/** A charge around a stream: counts what is read, and settles it when the stream ends, is cancelled or breaks. */

import { Charge, type ChargeOptions } from "./charge.js";
import type { Scrip } from "./scrip.js";
import type { Settlement } from "./types.js";

/** The charge of a stream. `credits` is the estimate that is charged first. */
export type ChargeStreamOptions = Omit<ChargeOptions, "outputs">;

/** What a stream costs. */
export interface StreamMeter<T> {
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
  options: ChargeStreamOptions,
  source: (charge: Charge) => AsyncIterable<T> | Promise<AsyncIterable<T>>,
  meter: StreamMeter<T>,
): Promise<ReadableStream<T>> {
  const controller = new AbortController();
  const abort = () => controller.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", abort);
  if (options.signal?.aborted) abort();
  const charge = await Charge.openSupervised(scrip, { ...options, signal: controller.signal });
  try {
    controller.signal.throwIfAborted();
    const chunks = await source(charge);
    return streamOf(chunks[Symbol.asyncIterator](), new MeteredCharge(charge, meter), controller);
  } catch (error) {
    await charge.abandon(error);
    throw error;
  }
}

/** Counts the chunks that were read, and ends the charge once. */
class MeteredCharge<T> {
  readonly #charge: Charge;
  readonly #meter: StreamMeter<T>;
  #units = 0;
  #end: Promise<void> | undefined;

  constructor(charge: Charge, meter: StreamMeter<T>) {
    this.#charge = charge;
    this.#meter = meter;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  add(chunk: T): void {
    this.#units = this.#meter.count(this.#units, chunk);
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
    const { price, onSettled } = this.#meter;
    return this.#charge.settle(price(this.#units)).then(onSettled, () => undefined);
  }
}

function streamOf<T>(
  chunks: AsyncIterator<T>,
  charge: MeteredCharge<T>,
  controller: AbortController,
): ReadableStream<T> {
  const { signal } = controller;
  /** Ends the source without waiting for it: it may be waiting for its next chunk. */
  const close = () => void chunks.return?.().catch(() => undefined);
  return new ReadableStream<T>(
    {
      start(stream) {
        signal.addEventListener("abort", () => {
          if (charge.hasEnded) return;
          close();
          const fail = (error: unknown) => stream.error(error);
          charge.stop(signal.reason).then(() => fail(signal.reason), fail);
        });
      },
      async pull(stream) {
        try {
          const next = await chunks.next();
          if (charge.hasEnded) return;
          if (next.done) {
            await charge.complete();
            stream.close();
          } else {
            charge.add(next.value);
            stream.enqueue(next.value);
          }
        } catch (error) {
          close();
          await charge.stop(error);
          throw error;
        }
      },
      async cancel(reason) {
        const stopped = charge.stop(reason);
        controller.abort(reason);
        close();
        await stopped;
      },
    },
    // Pull a chunk only when the reader requests it, so that unread chunks are not counted.
    { highWaterMark: 0 },
  );
}
