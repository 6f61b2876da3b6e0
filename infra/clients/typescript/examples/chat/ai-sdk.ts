/** A chat over the AI SDK: an open charge that `onFinish`, `onAbort` or `onError` ends. */

import { type LanguageModel, streamText } from "ai";
import { InsufficientCreditsError, type Scrip } from "scrip-client";

import { type ChatMessage, priceOf } from "./openai.js";

const ESTIMATE = 100;

/** Answers `POST /chat` with a {@link ChatMessage}. The response is the text of the answer as it is made. */
export function aiSdkChatService(scrip: Scrip, model: LanguageModel) {
  return async (request: Request): Promise<Response> => {
    const message = (await request.json()) as ChatMessage;
    try {
      // The hold voids the charge if the process ends before one of the handlers has run.
      const charge = await scrip.charge({
        user: message.user_uuid,
        generation: message.session_uuid,
        key: message.message_uuid,
        type: "chat",
        credits: ESTIMATE,
        hold: "10m",
        overage: "available",
        signal: request.signal,
      });
      let chunks = 0;
      let ended: Promise<unknown> | undefined;
      const settle = async (tokens: number) => void (await (ended ??= charge.settle(priceOf(tokens))));
      const stop = async () => (chunks ? settle(chunks) : void (await (ended ??= charge.refund("the model failed"))));
      const answer = streamText({
        model,
        prompt: message.text,
        abortSignal: request.signal,
        onChunk: () => void chunks++,
        onFinish: ({ totalUsage }) => settle(totalUsage.totalTokens ?? chunks),
        onAbort: stop,
        onError: stop,
      });
      // Reads to the end if the user's connection breaks, and reports a broken connection to the model.
      void answer.consumeStream({ onError: () => void stop() });
      return answer.toTextStreamResponse();
    } catch (error) {
      if (error instanceof InsufficientCreditsError)
        return Response.json({ error: "Not enough credits." }, { status: 402 });
      return Response.json({ error: "The chat is not available." }, { status: 503 });
    }
  };
}
