/** A `fetch` that returns scripted responses and records the requests. */

import { vi } from "vitest";

/** One response: a status with a body and headers, or a failure of the network, or none at all. */
export type Scripted =
  { status: number; body?: unknown; headers?: Record<string, string> } | { fails: true } | { hangs: true };

export interface RecordedRequest {
  url: string;
  method: string | undefined;
  headers: Record<string, string>;
  body: unknown;
}

/** Returns the responses in order; the last one repeats. */
export function scriptedFetch(...script: Scripted[]) {
  const requests: RecordedRequest[] = [];
  const fetch = vi.fn(async (url: string | URL | Request, init: RequestInit = {}) => {
    const scripted = script[Math.min(requests.length, script.length - 1)]!;
    const body = typeof init.body === "string" ? (JSON.parse(init.body) as unknown) : undefined;
    requests.push({ url: String(url), method: init.method, headers: init.headers as Record<string, string>, body });
    if ("fails" in scripted) throw new TypeError("fetch failed");
    if ("hangs" in scripted) {
      return new Promise<Response>((_, reject) =>
        init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError"))),
      );
    }
    const { status, headers } = scripted;
    const text = typeof scripted.body === "string" ? scripted.body : JSON.stringify(scripted.body ?? {});
    return new Response(text, { status, ...(headers && { headers }) });
  });
  return { fetch: fetch as typeof globalThis.fetch, requests };
}

/** An error of the service. */
export function problem(code: string, status: number, more: object = {}, headers: Record<string, string> = {}) {
  return {
    status,
    body: { type: `urn:scrip:${code}`, title: code, status, code, detail: `${code}.`, ...more },
    headers,
  };
}
