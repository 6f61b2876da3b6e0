/** Videos of a provider that works for minutes and reports the end to Scrip itself, by an address with a token. */

import { InsufficientCreditsError, callbackUrl } from "scrip-client";
import { decreaseCredits, getGenerationTransType, refundCredits } from "scrip-client/origin";

const PRICE = 50;

/** What the service needs besides the credits. */
export interface Settings {
  /** Address of the video API. */
  provider: string;
  /** Address of Scrip, as the provider reaches it. */
  scripUrl: string;
  webhookSecret: string;
}

/** Answers `POST /videos` with `{ user_uuid, prompt }`. */
export function videoService(settings: Settings) {
  return async (request: Request): Promise<Response> => {
    const { user_uuid, prompt } = (await request.json()) as { user_uuid: string; prompt: string };
    const generation_uuid = crypto.randomUUID();
    try {
      const trans_type = getGenerationTransType("video");
      await decreaseCredits({ user_uuid, trans_type, credits: PRICE, generation_uuid });
      await submit(settings, { user_uuid, generation_uuid, prompt, signal: request.signal });
      return Response.json({ generation_uuid }, { status: 202 });
    } catch (error) {
      if (error instanceof InsufficientCreditsError) {
        return Response.json({ error: "Not enough credits.", balance: error.balance }, { status: 402 });
      }
      await refundCredits({ user_uuid, generation_uuid, reason: "the video could not be started" });
      return Response.json({ error: "The video could not be started." }, { status: 502 });
    }
  };
}

interface Job {
  user_uuid: string;
  generation_uuid: string;
  prompt: string;
  signal: AbortSignal;
}

/** Starts the work. The provider posts its own JSON to `callback_url` when the video has ended. */
async function submit({ provider, scripUrl, webhookSecret }: Settings, job: Job): Promise<void> {
  const callback_url = await callbackUrl({
    url: scripUrl,
    secret: webhookSecret,
    user: job.user_uuid,
    generation: job.generation_uuid,
  });
  const body = JSON.stringify({ prompt: job.prompt, callback_url });
  const response = await fetch(`${provider}/videos`, { method: "POST", body, signal: job.signal });
  if (!response.ok) throw new Error(`The provider returned ${response.status}.`);
}
