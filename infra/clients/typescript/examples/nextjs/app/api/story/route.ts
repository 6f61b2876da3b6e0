import { InsufficientCreditsError } from "scrip-client";

import { currentUser, scrip } from "@/lib/scrip";

/** Replace it by your model. It stops when `signal` is aborted. */
async function* writeStory(signal: AbortSignal) {
  for (const word of "Once upon a time a cat learned to count its credits.".split(" ")) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 200));
    yield `${word} `;
  }
}

export async function POST(request: Request) {
  try {
    const words = await scrip.chargeStream(
      {
        user: await currentUser(),
        generation: crypto.randomUUID(),
        type: "story_generation",
        credits: 20, // the most that a story costs
        hold: "5m", // returned if this process dies
        signal: request.signal, // stops when the reader leaves
      },
      (charge) => writeStory(charge.signal),
      { count: (words) => words + 1, price: (words) => words },
    );
    return new Response(words.pipeThrough(new TextEncoderStream()));
  } catch (error) {
    if (error instanceof InsufficientCreditsError) return new Response("Not enough credits.", { status: 402 });
    throw error;
  }
}
