/** The video service: success, failure of the provider, API failure, failure by call-back, abort. */

import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { configureCredits } from "scrip-client/origin";
import { LOCAL_WEBHOOK_SECRET } from "scrip-client/testing";

import { videoService } from "../../examples/video/service.js";
import { Provider, post } from "../support/providers.js";
import { balanceOf, client, userWith } from "../support/users.js";

const provider = new Provider({});
let answer: (request: Request) => Promise<Response>;

beforeAll(async () => {
  configureCredits(client());
  answer = videoService({
    provider: await provider.start(),
    scripUrl: inject("url"),
    webhookSecret: LOCAL_WEBHOOK_SECRET,
  });
});
afterAll(() => provider.stop());
beforeEach(() => {
  provider.mode = "succeeds";
  provider.jobs.length = 0;
});

/** Starts a video, and returns the address at which the provider reports its end. */
async function started(user_uuid: string): Promise<string> {
  const response = await answer(post({ user_uuid, prompt: "a cat" }));
  expect(response.status).toBe(202);
  return provider.jobs[0]!.body["callback_url"] as string;
}

/** What a provider sends, in its own words and without a signature. */
async function report(callbackUrl: string, body: object): Promise<[number, unknown]> {
  const response = await fetch(callbackUrl, { method: "POST", body: JSON.stringify(body) });
  return [response.status, await response.json()];
}

test("a video that succeeds stays charged", async () => {
  const user_uuid = await userWith(60);
  const callbackUrl = await started(user_uuid);
  expect(await report(callbackUrl, { data: { task_status: "processing" } })).toMatchObject([
    200,
    { outcome: "ignored" },
  ]);
  expect(await report(callbackUrl, { data: { task_status: "COMPLETED" } })).toMatchObject([
    200,
    { status: "succeeded" },
  ]);
  expect(await balanceOf(user_uuid)).toBe(10);
});

test("a video that fails is refunded once", async () => {
  const user_uuid = await userWith(60);
  const callbackUrl = await started(user_uuid);
  const failure = { status: "failed", error: { message: "no GPU" } };
  expect(await report(callbackUrl, failure)).toMatchObject([200, { outcome: "voided" }]);
  expect(await report(callbackUrl, failure)).toMatchObject([200, { outcome: "already_voided" }]);
  expect(await balanceOf(user_uuid)).toBe(60);
});

test("a token that was changed is rejected", async () => {
  const user_uuid = await userWith(60);
  const address = (await started(user_uuid)).replace(/\.[^.]*$/, "");
  expect(await report(`${address}.${"A".repeat(43)}`, { status: "failed" })).toMatchObject([
    401,
    { code: "Unauthorized" },
  ]);
  expect(await balanceOf(user_uuid)).toBe(10);
});

test("a provider that does not start is not paid", async () => {
  provider.mode = "rejects";
  const user_uuid = await userWith(60);
  expect((await answer(post({ user_uuid, prompt: "a cat" }))).status).toBe(502);
  expect(await balanceOf(user_uuid)).toBe(60);
});

test("a user without credits gets no video", async () => {
  const user_uuid = await userWith(49);
  expect((await answer(post({ user_uuid, prompt: "a cat" }))).status).toBe(402);
  expect(provider.jobs).toEqual([]);
});

test("an aborted request is refunded", async () => {
  provider.mode = "never answers";
  const user_uuid = await userWith(60);
  const controller = new AbortController();
  const response = answer(post({ user_uuid, prompt: "a cat" }, controller.signal));
  await expect.poll(() => provider.jobs.length).toBe(1);
  controller.abort();
  expect((await response).status).toBe(502);
  expect(await balanceOf(user_uuid)).toBe(60);
});
