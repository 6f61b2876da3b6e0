/** Images, charged when the work starts and refunded when it fails. The functions keep the names of the old code. */

import { InsufficientCreditsError } from "scrip-client";
import { decreaseCredits, getGenerationTransType, refundCredits } from "scrip-client/origin";

const PRICE = 8;

/** What the service needs besides the credits. */
export interface Settings {
  /** Address of the image API. */
  provider: string;
}

/** Answers `POST /images` with `{ user_uuid, prompt }`. */
export function imageService({ provider }: Settings) {
  return async (request: Request): Promise<Response> => {
    const { user_uuid, prompt } = (await request.json()) as { user_uuid: string; prompt: string };
    const generation_uuid = crypto.randomUUID();
    try {
      const trans_type = getGenerationTransType("anime");
      await decreaseCredits({ user_uuid, trans_type, credits: PRICE, generation_uuid });
      const image = await makeImage(provider, prompt, request.signal);
      return Response.json({ generation_uuid, image });
    } catch (error) {
      if (error instanceof InsufficientCreditsError) {
        return Response.json({ error: "Not enough credits.", balance: error.balance }, { status: 402 });
      }
      // Also after a charge without a response: the refund voids it, or rejects it if it arrives late.
      await refundCredits({ user_uuid, generation_uuid, reason: "the image could not be made" });
      return Response.json({ error: "The image could not be made." }, { status: 502 });
    }
  };
}

async function makeImage(provider: string, prompt: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(`${provider}/images`, { method: "POST", body: JSON.stringify({ prompt }), signal });
  if (!response.ok) throw new Error(`The provider returned ${response.status}.`);
  return ((await response.json()) as { url: string }).url;
}
