/** Access by tokens, on a local stack that requires them. */

import { createHmac } from "node:crypto";

import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { ForbiddenError, Scrip, UnauthorizedError } from "../../src/index.js";
import { type RunningScrip, startScrip } from "../../src/testing/index.js";

const SECRET = "the secret of this test";
let local: RunningScrip;
beforeAll(async () => {
  local = await startScrip({ path: inject("program"), testClock: false, flags: ["--jwt-secret", SECRET] });
});
afterAll(() => local.stop());

function tokenOf(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: 4_102_444_800, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

const clientOf = (claims: object) => new Scrip({ url: local.url, token: tokenOf(claims) });

test("a token with the write scope grants", async () => {
  const grant = { user_uuid: "ana", trans_type: "new_user", credits: 3 } as const;
  expect(await clientOf({ scope: "credits:write" }).grant(grant)).toMatchObject({ balance: 3 });
  await expect(clientOf({ sub: "ana" }).grant(grant)).rejects.toThrow(ForbiddenError);
});

test("a token without scopes reads its own user", async () => {
  const ana = new Scrip({ url: local.url, getToken: () => tokenOf({ sub: "ana" }) });
  expect(await ana.balance("ana")).toMatchObject({ user_uuid: "ana" });
  expect(await ana.userCredits()).toHaveProperty("left_credits");
  await expect(ana.balance("bob")).rejects.toThrow(ForbiddenError);
});

test("a missing token is Unauthorized", async () => {
  await expect(local.scrip.balance("ana")).rejects.toThrow(UnauthorizedError);
});
