/** Requests over HTTP, by `fetch` alone. */

import { type ErrorCode, type ScripError, errorOf, isServiceCode } from "./errors.js";
import type { Operation, Route } from "./operations.js";
import type { Transport, TransportCall } from "./transport.js";

/** A client of the HTTP API. */
export interface HttpOptions {
  /** Address of the API, such as `https://credits.example.com`. A path is allowed. */
  url: string;
  /** A token that stays valid. */
  token?: string | undefined;
  /** Returns a valid token. Called for every attempt, so cache the token. */
  getToken?: (() => string | Promise<string>) | undefined;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** Errors without a code: those of API Gateway itself, and those in the format of the old front end. */
const STATUS_CODES: Record<number, ErrorCode> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  408: "UnexpectedResponse",
  413: "PayloadTooLarge",
  429: "Throttled",
};

export class HttpTransport implements Transport {
  readonly #options: HttpOptions;
  readonly #base: string;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#base = options.url.replace(/\/+$/, "");
  }

  async send<Request, Answer>(
    operation: Operation<Request, Answer>,
    request: Request,
    call: TransportCall,
  ): Promise<Answer> {
    const { fetch = globalThis.fetch } = this.#options;
    const route = operation.route(request);
    const bearer = await this.#token();
    const headers: Record<string, string> = { ...call.headers };
    if (bearer) headers["authorization"] = `Bearer ${bearer}`;
    const init: RequestInit = { method: route.method, headers, signal: call.signal };
    if (route.body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = typeof route.body === "string" ? route.body : JSON.stringify(route.body);
    }
    let response, text;
    try {
      response = await fetch(this.#base + target(route), init);
      text = await response.text();
    } catch (cause) {
      throw errorOf("NoResponse", "The network failed before a response arrived.", { cause });
    }
    const body = parse(text);
    if (response.ok && body) return body as Answer;
    throw failure(response, body);
  }

  async #token(): Promise<string | undefined> {
    const { token, getToken } = this.#options;
    try {
      return getToken ? await getToken() : token;
    } catch (cause) {
      throw errorOf("Unauthorized", "`getToken` returned no token.", { cause });
    }
  }
}

function target({ path, query = {} }: Route): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters.size ? `${path}?${parameters}` : path;
}

/** The JSON object of a body, if it is one. */
function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function failure(response: Response, body: Record<string, unknown> = {}): ScripError {
  const { status } = response;
  const isRejected = status >= 400 && status < 500;
  const byStatus = STATUS_CODES[status] ?? (isRejected ? "InvalidRequest" : "UnexpectedResponse");
  const code = isServiceCode(body["code"]) ? body["code"] : byStatus;
  const message = (body["detail"] ?? body["message"]) as string | undefined;
  const retryAfter = Number(response.headers.get("retry-after"));
  return errorOf(code, message ?? `Unexpected response with HTTP status ${status}.`, {
    status,
    requestId: body["request_id"] as string | undefined,
    retryAfterMs: retryAfter > 0 ? retryAfter * 1_000 : undefined,
    balance: body["balance"] as number | undefined,
    required: body["required"] as number | undefined,
    debt: body["debt"] as number | undefined,
  });
}
