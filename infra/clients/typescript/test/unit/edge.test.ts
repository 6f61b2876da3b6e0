/** The client in a context that has web standards alone, as edge runtimes do: no process, no Buffer, no modules. */

import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";

import { build } from "esbuild";
import { expect, test } from "vitest";

import { scriptedFetch } from "../support/scripted-fetch.js";

const GLOBALS = {
  AbortController,
  Headers,
  ReadableStream,
  Response,
  TextDecoder,
  TextEncoder,
  URLSearchParams,
  atob,
  btoa,
  clearTimeout,
  crypto,
  performance,
  setTimeout,
};

const SCRIPT = `(async () => {
  const { Scrip, callbackUrl, verifyWebhook } = client;
  const scrip = new Scrip({ url: "http://scrip", retry: { baseDelayMs: 0 } });
  const { balance } = await scrip.balance("ana");
  const url = await callbackUrl({ url: "http://scrip", secret: "s", user: "ana", generation: "g" });
  const error = await verifyWebhook({ body: "{}", headers: new Headers(), secrets: "s" }).catch(({ code }) => code);
  return JSON.stringify([balance, url.split("/").length, error]);
})()`;

test("the client needs web standards alone", async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("../../src/index.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "client",
    platform: "neutral",
    target: "es2022",
  });
  const { fetch, requests } = scriptedFetch({ status: 502 }, { status: 200, body: { balance: 7 } });
  const context = createContext({ ...GLOBALS, fetch });
  runInContext(outputFiles[0]!.text, context);
  const result = (await runInContext(SCRIPT, context)) as string;
  expect(JSON.parse(result)).toEqual([7, 6, "Unauthorized"]);
  expect(requests).toHaveLength(2);
});
