/** The HTTP request of every operation. */

import { expect, test } from "vitest";

import { Scrip } from "../../src/index.js";
import { scriptedFetch } from "../support/scripted-fetch.js";

const REVOKE = { source: "refund", part: 1, of: 2, as_of: "2026-01-01T00:00:00Z", reason: "r" };

test.each<[string, (scrip: Scrip) => Promise<unknown>, unknown]>([
  [
    "POST /base/credits/orders/in_1%2Fa/revoke",
    (scrip) => scrip.revoke({ order_no: "in_1/a", source: "refund", part: 1, of: 2, as_of: REVOKE.as_of, reason: "r" }),
    REVOKE,
  ],
  [
    "POST /base/credits/settle",
    (scrip) => scrip.settle({ user_uuid: "u", generation_uuid: "g", credits: 0, overage: "debt", debt_limit: 5 }),
    { user_uuid: "u", generation_uuid: "g", credits: 0, overage: "debt", debt_limit: 5 },
  ],
  ["GET /base/credits/auth0%7C5f/balance", (scrip) => scrip.balance("auth0|5f"), undefined],
  [
    "GET /base/credits/u/timeline?limit=5&cursor=a%2Bb&include_voided=true",
    (scrip) => scrip.timeline({ user_uuid: "u", limit: 5, cursor: "a+b", include_voided: true }),
    undefined,
  ],
  ["GET /base/credits/u/timeline", (scrip) => scrip.timeline({ user_uuid: "u", cursor: undefined }), undefined],
  [
    "GET /base/credits/u/summary?from=2026-01-01T00%3A00%3A00Z",
    (scrip) => scrip.summary({ user_uuid: "u", from: "2026-01-01T00:00:00Z" }),
    undefined,
  ],
  [
    "GET /base/generations/projects%2Fp?limit=1",
    (scrip) => scrip.generation({ generation_uuid: "projects/p", limit: 1 }),
    undefined,
  ],
])("%s", async (request, call, body) => {
  const { fetch, requests } = scriptedFetch({ status: 200, body: {} });
  await call(new Scrip({ url: "https://credits.example.com/base/", token: "t", fetch }));
  const { method, url, headers, body: sent } = requests[0]!;
  expect(`${method} ${url.replace("https://credits.example.com", "")}`).toBe(request);
  expect(sent).toEqual(body);
  expect(headers).toEqual({
    authorization: "Bearer t",
    ...(body !== undefined && { "content-type": "application/json" }),
  });
});
