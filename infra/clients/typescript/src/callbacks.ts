/** Call-backs of providers: addresses with a token, and the verification of signatures. */

import { type Duration, secondsOf } from "./duration.js";
import { UnauthorizedError } from "./errors.js";
import { fromBase64, fromHex, hmac, toBase64Url, verifyHmac } from "./signature.js";

/** What a call-back is about, and how long its address is valid. */
export interface CallbackOptions {
  /** Address of the API. */
  url: string;
  /** A webhook secret of the service. Keep it on the server. */
  secret: string;
  user: string;
  generation: string;
  /** The key of the charge; `charge.key` of a charge by `withCharge` or `charge`. */
  key?: string | undefined;
  transNo?: string | undefined;
  /** The output that the call-back is about, counted from 1. */
  output?: number | undefined;
  /** Token of a waiting Step Functions execution. */
  taskToken?: string | undefined;
  /** Default `24h`. */
  expiresIn?: Duration | number | undefined;
}

/**
 * The address at which a provider reports the end of a generation, signed or not. It holds a token, so give it to
 * the provider alone.
 */
export async function callbackUrl(options: CallbackOptions): Promise<string> {
  const claims = {
    user_uuid: options.user,
    generation_uuid: options.generation,
    idempotency_key: options.key,
    trans_no: options.transNo,
    output: options.output,
    task_token: options.taskToken,
    exp: Math.floor(Date.now() / 1_000) + secondsOf(options.expiresIn ?? "24h"),
  };
  const payload = toBase64Url(new TextEncoder().encode(JSON.stringify(claims)));
  const signature = toBase64Url(await hmac(options.secret, `callback.v1.${payload}`));
  return `${options.url.replace(/\/+$/, "")}/webhooks/callback/${payload}.${signature}`;
}

/** A webhook as it arrived. */
export interface Webhook {
  /** The exact bytes or text of the body, before any parser. */
  body: string | Uint8Array;
  headers: Headers | Record<string, string | string[] | undefined>;
  /** One secret, or several during a rotation. */
  secrets: string | readonly string[];
  /** The most seconds between the signature and now. Default 300. */
  toleranceSeconds?: number | undefined;
}

/**
 * Verifies `X-Signature` or the Standard Webhooks headers (`webhook-id`, `webhook-timestamp`, `webhook-signature`), and
 * returns the parsed body. Rejects with {@link UnauthorizedError} if no signature is valid.
 */
export async function verifyWebhook<T = unknown>(webhook: Webhook): Promise<T> {
  const header = (name: string) => headerOf(webhook.headers, name);
  const { time, signatures, prefix } = header("webhook-signature") ? standard(header) : signed(header);
  const tolerance = webhook.toleranceSeconds ?? 300;
  if (!/^\d+$/.test(time) || Math.abs(Date.now() / 1_000 - Number(time)) > tolerance) {
    throw new UnauthorizedError("The time of the signature is missing or outside of the tolerance.");
  }
  const secrets = typeof webhook.secrets === "string" ? [webhook.secrets] : webhook.secrets;
  for (const secret of secrets) {
    for (const signature of signatures) {
      if (await verifyHmac(secret, signature, prefix, webhook.body)) {
        const { body } = webhook;
        return JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body)) as T;
      }
    }
  }
  throw new UnauthorizedError("No signature matches the body.");
}

/** The parts of a signature. The signed bytes are `prefix` and the body. */
interface Signature {
  time: string;
  signatures: Uint8Array<ArrayBuffer>[];
  prefix: string;
}

type HeaderOf = (name: string) => string;

function standard(header: HeaderOf): Signature {
  const time = header("webhook-timestamp");
  const signatures = header("webhook-signature")
    .split(" ")
    .filter((value) => /^v1,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value))
    .map((value) => fromBase64(value.slice("v1,".length)));
  return { time, signatures, prefix: `${header("webhook-id")}.${time}.` };
}

function signed(header: HeaderOf): Signature {
  const parts = header("x-signature")
    .split(",")
    .map((part) => part.trim().split("="));
  const values = (name: string) => parts.filter(([key]) => key === name).map(([, value]) => value ?? "");
  const times = values("t");
  const time = times.length === 1 ? times[0]! : "";
  return { time, signatures: values("v1").map(fromHex), prefix: `${time}.` };
}

function headerOf(headers: Webhook["headers"], name: string): string {
  if (headers instanceof Headers) return headers.get(name) ?? "";
  const key = Object.keys(headers).find((key) => key.toLowerCase() === name);
  return [headers[key ?? ""] ?? ""].flat().join(",");
}
