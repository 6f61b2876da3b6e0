/** Both chat services: success, failure of the model, API failure, abort. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { type LanguageModel, simulateReadableStream } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { aiSdkChatService } from "../../examples/chat/ai-sdk.js";
import { type ChatMessage, chatService, priceOf } from "../../examples/chat/openai.js";
import { post } from "../support/providers.js";
import { balanceOf, client, newId, userWith } from "../support/users.js";

const WORDS = ["Hello", " dear", " user", "."];
const TOKENS = 120;
const GRANTED = 200;

/** How the model ends its answer. */
type ModelMode = "succeeds" | "breaks after two words" | "pauses after two words" | "rejects";

let mode: ModelMode;

function messageOf(user_uuid: string): ChatMessage {
  return { user_uuid, session_uuid: newId("session"), message_uuid: newId("message"), text: "Hi" };
}

/** An OpenAI API. */
const server = createServer(async (request, response) => {
  request.resume();
  if (mode === "rejects") {
    response.writeHead(400, { "content-type": "application/json" }).end('{"error":{"message":"no such model"}}');
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (chunk: object) => response.write(`data: ${JSON.stringify({ id: "c", ...chunk })}\n\n`);
  for (const [index, content] of WORDS.entries()) {
    if (index === 2 && mode === "breaks after two words") return void response.destroy();
    if (index === 2 && mode === "pauses after two words") return;
    send({ choices: [{ index: 0, delta: { content } }] });
    await pause(5);
  }
  send({ choices: [], usage: { total_tokens: TOKENS } });
  response.end("data: [DONE]\n\n");
});

/** The same model, for the AI SDK. */
function languageModel(): LanguageModel {
  const usage = {
    inputTokens: { total: TOKENS - 20, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 20, text: 20, reasoning: undefined },
  };
  const deltas = WORDS.map((delta) => ({ type: "text-delta" as const, id: "t", delta }));
  const start = [
    { type: "stream-start" as const, warnings: [] },
    { type: "text-start" as const, id: "t" },
  ];
  const end = [
    { type: "text-end" as const, id: "t" },
    { type: "finish" as const, finishReason: { unified: "stop" as const, raw: undefined }, usage },
  ];
  return new MockLanguageModelV3({
    doStream: ({ abortSignal }) => {
      if (mode === "rejects") return Promise.reject(new Error("no such model"));
      if (mode === "succeeds") {
        return Promise.resolve({ stream: simulateReadableStream({ chunks: [...start, ...deltas, ...end] }) });
      }
      const stream = new ReadableStream({
        start(controller) {
          for (const chunk of [...start, ...deltas.slice(0, 2)]) controller.enqueue(chunk);
          abortSignal?.addEventListener("abort", () => controller.error(abortSignal.reason));
          if (mode === "breaks after two words") setTimeout(() => controller.error(new Error("it broke")), 20);
        },
      });
      return Promise.resolve({ stream });
    },
  });
}

let openai: OpenAI;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  openai = new OpenAI({ apiKey: "none", baseURL, maxRetries: 0 });
});
afterEach(() => server.closeAllConnections());
afterAll(() => server.close());

describe.each([
  ["OpenAI", () => chatService(client(), openai)],
  ["AI SDK", () => aiSdkChatService(client(), languageModel())],
])("the chat over %s", (_, serviceOf) => {
  test("costs the tokens of a complete answer", async () => {
    mode = "succeeds";
    const user = await userWith(GRANTED);
    const response = await serviceOf()(post(messageOf(user)));
    expect(await response.text()).toBe(WORDS.join(""));
    await expect.poll(() => balanceOf(user)).toBe(GRANTED - priceOf(TOKENS));
  });

  test("costs the tokens until an abort", async () => {
    mode = "pauses after two words";
    const user = await userWith(GRANTED);
    const controller = new AbortController();
    const response = await serviceOf()(post(messageOf(user), controller.signal));
    const reader = response.body!.getReader();
    await reader.read();
    await reader.read();
    controller.abort();
    await expect.poll(() => balanceOf(user)).toBe(GRANTED - priceOf(2));
  });

  test("ends the charge of an answer that breaks", async () => {
    mode = "breaks after two words";
    const user = await userWith(GRANTED);
    const response = await serviceOf()(post(messageOf(user)));
    await response.text().catch(() => undefined);
    await expect.poll(() => balanceOf(user)).toBe(GRANTED - priceOf(2));
  });

  test("is refunded if the model rejects the message", async () => {
    mode = "rejects";
    const user = await userWith(GRANTED);
    const response = await serviceOf()(post(messageOf(user)));
    await response.text().catch(() => undefined);
    await expect.poll(() => balanceOf(user)).toBe(GRANTED);
  });

  test("charges a repeated message once", async () => {
    mode = "succeeds";
    const user = await userWith(GRANTED);
    const message = messageOf(user);
    for (let attempt = 0; attempt < 2; attempt++) await (await serviceOf()(post(message))).text();
    await expect.poll(() => balanceOf(user)).toBe(GRANTED - priceOf(TOKENS));
  });

  test("answers nothing without credits", async () => {
    mode = "succeeds";
    const response = await serviceOf()(post(messageOf(await userWith(99))));
    expect(response.status).toBe(402);
  });
});
