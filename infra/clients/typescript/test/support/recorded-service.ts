/** A service that accepts every request, except those that a test lets fail, and records them. */

import { Scrip } from "../../src/index.js";
import { type Scripted, scriptedFetch } from "./scripted-fetch.js";

export interface RecordedService {
  scrip: Scrip;
  /** Operation and most important fields of each request, such as `settle 12` or `refund 2,3`. */
  calls: string[];
}

/** `failures` maps an operation to its first responses; a later request succeeds. */
export function recordedService(failures: Record<string, Scripted[]> = {}): RecordedService {
  const calls: string[] = [];
  const remaining = new Map(Object.entries(failures).map(([operation, scripted]) => [operation, [...scripted]]));
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const operation = String(input).split("/").at(-1)!;
    const body = JSON.parse(init?.body as string) as Record<string, unknown>;
    calls.push([operation, ...describe(operation, body)].join(" "));
    const scripted = remaining.get(operation)?.shift() ?? { status: 200, body: answerOf(operation, body) };
    return scriptedFetch(scripted).fetch(input, init);
  };
  const retry = { attempts: 2, baseDelayMs: 0 };
  return { scrip: new Scrip({ url: "http://scrip", fetch, retry }), calls };
}

function describe(operation: string, body: Record<string, unknown>): unknown[] {
  if (operation === "refund") return [body["outputs"] ?? body["reason"]];
  if (operation === "settle") return [body["credits"], ...(body["overage"] ? [body["overage"]] : [])];
  return [body["credits"]];
}

function answerOf(operation: string, body: Record<string, unknown>): object {
  if (operation === "decrease")
    return { trans_no: "t", credits: -(body["credits"] as number), balance: 0, replayed: false };
  return { outcome: operation === "settle" ? "settled" : "voided", ...body };
}
