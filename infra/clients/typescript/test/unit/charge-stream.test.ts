/** What `chargeStream` settles when a stream ends, is cancelled, breaks or is aborted. */

import { describe, expect, test, vi } from "vitest";

import { type ChargeStreamOptions, InsufficientCreditsError } from "../../src/index.js";
import { recordedService } from "../support/recorded-service.js";
import { problem } from "../support/scripted-fetch.js";

const BROKEN = new Error("the model broke");
const POOR = problem("InsufficientCredits", 402);

function optionsOf(more: Partial<ChargeStreamOptions> = {}): ChargeStreamOptions {
  return { user: "u", generation: "g", type: "chat", credits: 100, ...more };
}

/** 10 credits for each character. */
const METER = { count: (units: number, chunk: string) => units + chunk.length, price: (units: number) => units * 10 };

async function* chunksOf(text: string, end?: Error) {
  for (const chunk of text) {
    await Promise.resolve();
    yield chunk;
  }
  if (end) throw end;
}

async function read(stream: ReadableStream<string>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

test("a stream that ends is settled to what was read", async () => {
  const { scrip, calls } = recordedService();
  const onSettled = vi.fn();
  const stream = await scrip.chargeStream(optionsOf(), () => chunksOf("abc"), { ...METER, onSettled });
  expect(await read(stream)).toBe("abc");
  expect(calls).toEqual(["decrease 100", "settle 30"]);
  expect(onSettled).toHaveBeenCalledWith(expect.objectContaining({ credits: 30 }));
});

test("a ReadableStream is a source too", async () => {
  const { scrip, calls } = recordedService();
  const source = new Response("héllo").body!.pipeThrough(new TextDecoderStream());
  expect(await read(await scrip.chargeStream(optionsOf(), () => source, METER))).toBe("héllo");
  expect(calls).toEqual(["decrease 100", "settle 50"]);
});

test("a count can take the usage that the last chunk reports", async () => {
  const { scrip, calls } = recordedService();
  async function* source(): AsyncGenerator<{ usage?: number }> {
    yield* [{}, {}, { usage: 9 }];
  }
  const stream = await scrip.chargeStream(optionsOf(), source, {
    count: (units, { usage }) => usage ?? units + 1,
    price: (units) => units * 10,
  });
  for await (const chunk of stream) expect(chunk).toBeDefined();
  expect(calls).toEqual(["decrease 100", "settle 90"]);
});

test("an empty stream is settled to its price", async () => {
  const { scrip, calls } = recordedService();
  await read(await scrip.chargeStream(optionsOf(), () => chunksOf(""), METER));
  expect(calls).toEqual(["decrease 100", "settle 0"]);
});

describe("a cancelled stream", () => {
  test("is settled to what was read", async () => {
    const { scrip, calls } = recordedService();
    for await (const chunk of await scrip.chargeStream(optionsOf(), () => chunksOf("abcdef"), METER)) {
      if (chunk === "c") break;
    }
    expect(calls).toEqual(["decrease 100", "settle 30"]);
  });

  test("is refunded if nothing was read", async () => {
    const { scrip, calls } = recordedService();
    await (await scrip.chargeStream(optionsOf(), () => chunksOf("abc"), METER)).cancel();
    expect(calls).toEqual(["decrease 100", "refund aborted"]);
  });

  test("ends its source, even one that waits for its next chunk", async () => {
    const { scrip, calls } = recordedService();
    let signal: AbortSignal | undefined;
    async function* source() {
      yield "a";
      await new Promise(() => undefined);
    }
    const stream = await scrip.chargeStream(optionsOf(), (charge) => ((signal = charge.signal), source()), METER);
    const reader = stream.getReader();
    await reader.read();
    const next = reader.read();
    await reader.cancel();
    expect(await next).toMatchObject({ done: true });
    expect(signal?.aborted).toBe(true);
    expect(calls).toEqual(["decrease 100", "settle 10"]);
  });

  test("rejects if the settle fails", async () => {
    const { scrip } = recordedService({ settle: [problem("GenerationVoided", 409)] });
    const reader = (await scrip.chargeStream(optionsOf(), () => chunksOf("abc"), METER)).getReader();
    await reader.read();
    expect(await errorOf(reader.cancel("left"))).toMatchObject({ errors: ["left", { code: "GenerationVoided" }] });
  });
});

describe("a stream that breaks", () => {
  test("is settled to what was read, and fails with its error", async () => {
    const { scrip, calls } = recordedService();
    const stream = await scrip.chargeStream(optionsOf(), () => chunksOf("ab", BROKEN), METER);
    expect(await errorOf(read(stream))).toBe(BROKEN);
    expect(calls).toEqual(["decrease 100", "settle 20"]);
  });

  test("is refunded if nothing was read", async () => {
    const { scrip, calls } = recordedService();
    const stream = await scrip.chargeStream(optionsOf(), () => chunksOf("", BROKEN), METER);
    expect(await errorOf(read(stream))).toBe(BROKEN);
    expect(calls).toEqual(["decrease 100", "refund generation failed"]);
  });

  test("is refunded if it cannot be opened", async () => {
    const { scrip, calls } = recordedService();
    expect(await errorOf(scrip.chargeStream(optionsOf(), () => Promise.reject(BROKEN), METER))).toBe(BROKEN);
    expect(calls).toEqual(["decrease 100", "refund generation failed"]);
  });
});

describe("an abort", () => {
  test("settles what was read, and fails the stream with its reason", async () => {
    const { scrip, calls } = recordedService();
    const controller = new AbortController();
    async function* source() {
      yield* "ab";
      await new Promise(() => undefined);
    }
    const reader = (await scrip.chargeStream(optionsOf({ signal: controller.signal }), source, METER)).getReader();
    await reader.read();
    await reader.read();
    const next = reader.read();
    controller.abort(BROKEN);
    expect(await errorOf(next)).toBe(BROKEN);
    expect(calls).toEqual(["decrease 100", "settle 20"]);
  });

  test("before the stream starts refunds", async () => {
    const { scrip, calls } = recordedService();
    const controller = new AbortController();
    const stream = scrip.chargeStream(
      optionsOf({ signal: controller.signal }),
      () => {
        controller.abort(BROKEN);
        controller.signal.throwIfAborted();
        return chunksOf("abc");
      },
      METER,
    );
    expect(await errorOf(stream)).toBe(BROKEN);
    expect(calls).toEqual(["decrease 100", "refund aborted"]);
  });

  test("after the end changes nothing", async () => {
    const { scrip, calls } = recordedService();
    const controller = new AbortController();
    await read(await scrip.chargeStream(optionsOf({ signal: controller.signal }), () => chunksOf("a"), METER));
    controller.abort();
    expect(calls).toEqual(["decrease 100", "settle 10"]);
  });
});

test("chunks without a reader are not counted", async () => {
  const { scrip, calls } = recordedService();
  const reader = (await scrip.chargeStream(optionsOf(), () => chunksOf("abcdef"), METER)).getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, 5));
  await reader.cancel();
  expect(calls).toEqual(["decrease 100", "settle 10"]);
});

test("a refused settle fails the stream, and ends its hold at the estimate", async () => {
  const { scrip, calls } = recordedService({ settle: [POOR] });
  const stream = await scrip.chargeStream(optionsOf({ hold: "5m" }), () => chunksOf("abcdefghijkl"), METER);
  expect(await errorOf(read(stream))).toBeInstanceOf(InsufficientCreditsError);
  expect(calls).toEqual(["decrease 100", "settle 120", "settle 100"]);
});
