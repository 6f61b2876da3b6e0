/** Tokens and signatures of call-backs, compared with Node's own HMAC. */

import { createHmac } from "node:crypto";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { UnauthorizedError, callbackUrl, verifyWebhook } from "../../src/index.js";

const SECRET = "local-webhook-secret";
const BYTES = Buffer.from("0123456789abcdef0123456789abcdef");
const STANDARD_SECRET = `whsec_${BYTES.toString("base64")}`;
const NOW = 1_800_000_000;
const BODY = '{"generation_uuid":"gen-1","status":"failed","error":"größer als 2 GB"}';

beforeEach(() => void vi.useFakeTimers({ now: NOW * 1_000, toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const mac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text);

describe("callbackUrl", () => {
  const options = { url: "https://credits.example.com/", user: "ana", generation: "gen-1" };

  test.each([
    [SECRET, SECRET],
    [STANDARD_SECRET, BYTES],
  ])("mints a token under %s", async (secret, key) => {
    const url = await callbackUrl({
      ...options,
      secret,
      key: "charge",
      output: 2,
      taskToken: "t",
      transNo: "n",
      expiresIn: "2h",
    });
    const [, payload, signature] = /^https:\/\/credits\.example\.com\/webhooks\/callback\/([\w-]+)\.([\w-]+)$/.exec(
      url,
    )!;
    expect(JSON.parse(Buffer.from(payload!, "base64url").toString())).toEqual({
      user_uuid: "ana",
      generation_uuid: "gen-1",
      idempotency_key: "charge",
      trans_no: "n",
      output: 2,
      task_token: "t",
      exp: NOW + 7_200,
    });
    expect(signature).toBe(mac(key, `callback.v1.${payload}`).digest("base64url"));
  });

  test("is valid for a day by default, and has only what is given", async () => {
    const payload = (await callbackUrl({ ...options, secret: SECRET })).split(/[/.]/).at(-2)!;
    expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toEqual({
      user_uuid: "ana",
      generation_uuid: "gen-1",
      exp: NOW + 86_400,
    });
  });
});

describe("verifyWebhook", () => {
  const own = (secret: string, time: number, body = BODY) => ({
    "X-Signature": `t=${time},v1=${mac(secret, `${time}.${body}`).digest("hex")}`,
  });
  const standard = (key: Buffer, time: number) => ({
    "webhook-id": "msg_1",
    "webhook-timestamp": String(time),
    "webhook-signature": `v1,${mac(key, `msg_1.${time}.${BODY}`).digest("base64")}`,
  });
  const verify = (headers: Record<string, string>, more = {}) =>
    verifyWebhook({ body: BODY, headers, secrets: [STANDARD_SECRET, SECRET], ...more });

  test.each([
    ["X-Signature", own(SECRET, NOW)],
    ["Standard Webhooks", standard(BYTES, NOW)],
    ["an old signature within the tolerance", own(SECRET, NOW - 300)],
    ["a clock that is ahead", own(SECRET, NOW + 300)],
  ])("accepts %s", async (_, headers) => {
    expect(await verify(headers)).toEqual(JSON.parse(BODY));
    expect(await verify(headers, { body: new TextEncoder().encode(BODY) })).toEqual(JSON.parse(BODY));
    expect(
      await verifyWebhook({ body: BODY, headers: new Headers(headers), secrets: [STANDARD_SECRET, SECRET] }),
    ).toBeTruthy();
  });

  test("accepts one valid signature among several", async () => {
    const valid = own(SECRET, NOW)["X-Signature"];
    expect(await verify({ "x-signature": `${valid.split(",")[0]},v1=00,v1=zz,${valid.split(",")[1]}` })).toBeTruthy();
    const headers = standard(BYTES, NOW);
    const signature = `v1,AAAA v2,x ${headers["webhook-signature"]} v1,?`;
    expect(await verify({ ...headers, "webhook-signature": signature })).toBeTruthy();
  });

  test.each<[string, Record<string, string>]>([
    ["no header", {}],
    ["another secret", own("another secret of the test", NOW)],
    ["another body", own(SECRET, NOW, "{}")],
    ["a signature that is too old", own(SECRET, NOW - 301)],
    ["a signature from the future", standard(BYTES, NOW + 301)],
    ["no time", { "x-signature": own(SECRET, NOW)["X-Signature"].split(",")[1]! }],
    ["two times", { "x-signature": `t=${NOW},${own(SECRET, NOW)["X-Signature"]}` }],
    ["no signature", { "x-signature": `t=${NOW}` }],
    ["a time that is no number", { "x-signature": `t=soon,v1=${mac(SECRET, `soon.${BODY}`).digest("hex")}` }],
    ["a broken base64", { ...standard(BYTES, NOW), "webhook-signature": "v1,A" }],
    ["another id", { ...standard(BYTES, NOW), "webhook-id": "msg_2" }],
  ])("rejects %s", async (_, headers) => {
    await expect(verify(headers)).rejects.toThrow(UnauthorizedError);
  });

  test("takes a tolerance", async () => {
    expect(await verify(own(SECRET, NOW - 900), { toleranceSeconds: 900 })).toBeTruthy();
  });
});
