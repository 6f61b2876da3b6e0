/** A chat over a plain OpenAI stream. Each message is charged by its tokens, also one that stops in the middle. */

import type OpenAI from "openai";
import { InsufficientCreditsError, type Scrip } from "scrip-client";

/** Charged first, and corrected when the answer has ended. */
const ESTIMATE = 100;

/** One credit for every 10 tokens that are begun. */
export const priceOf = (tokens: number) => Math.ceil(tokens / 10);

/** A message of a user in a session. The client of the chat makes `message_uuid`, so that a retry is charged once. */
export interface ChatMessage {
  user_uuid: string;
  session_uuid: string;
  message_uuid: string;
  text: string;
}

/** Answers `POST /chat` with a {@link ChatMessage}. The response is the text of the answer as it is made. */
export function chatService(scrip: Scrip, openai: OpenAI) {
  return async (request: Request): Promise<Response> => {
    const message = (await request.json()) as ChatMessage;
    try {
      const chunks = await scrip.chargeStream(
        {
          user: message.user_uuid,
          generation: message.session_uuid,
          key: message.message_uuid,
          type: "chat",
          credits: ESTIMATE,
          hold: "10m",
          overage: "available",
          signal: request.signal,
        },
        (charge) =>
          openai.chat.completions.create(
            {
              model: "gpt-5-mini",
              messages: [{ role: "user", content: message.text }],
              stream: true,
              stream_options: { include_usage: true },
            },
            { signal: charge.signal },
          ),
        {
          // About one token for each chunk; the last chunk of a complete answer has the exact number.
          count: (tokens, chunk) => chunk.usage?.total_tokens ?? tokens + chunk.choices.length,
          price: priceOf,
        },
      );
      return new Response(chunks.pipeThrough(textOf()), { headers: { "content-type": "text/plain; charset=utf-8" } });
    } catch (error) {
      if (error instanceof InsufficientCreditsError)
        return Response.json({ error: "Not enough credits." }, { status: 402 });
      return Response.json({ error: "The model does not answer." }, { status: 502 });
    }
  };
}

/** The bytes of the text in each chunk. */
function textOf(): TransformStream<OpenAI.ChatCompletionChunk, Uint8Array> {
  const encoder = new TextEncoder();
  return new TransformStream({
    transform: (chunk, controller) => {
      const text = chunk.choices[0]?.delta.content;
      if (text) controller.enqueue(encoder.encode(text));
    },
  });
}
