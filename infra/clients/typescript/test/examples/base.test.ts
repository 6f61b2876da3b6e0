/** The image service: success, failure of the provider, API failure, abort. */

import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { Scrip } from "scrip-client";
import { configureCredits } from "scrip-client/origin";

import { imageService } from "../../examples/base/service.js";
import { Provider, type ProviderMode, post } from "../support/providers.js";
import { balanceOf, client, userWith } from "../support/users.js";

const provider = new Provider({ url: "https://images/1" });
let answer: (request: Request) => Promise<Response>;

beforeAll(async () => {
  answer = imageService({ provider: await provider.start() });
});
afterAll(() => provider.stop());
beforeEach(() => {
  configureCredits(client());
  provider.mode = "succeeds";
  provider.jobs.length = 0;
});

test("an image is charged", async () => {
  const user_uuid = await userWith(10);
  const response = await answer(post({ user_uuid, prompt: "a cat" }));
  expect([response.status, await response.json()]).toMatchObject([200, { image: "https://images/1" }]);
  expect(await balanceOf(user_uuid)).toBe(2);
});

test("a user without credits gets no image", async () => {
  const user_uuid = await userWith(7);
  const response = await answer(post({ user_uuid, prompt: "a cat" }));
  expect([response.status, await response.json()]).toEqual([402, { error: "Not enough credits.", balance: 7 }]);
  expect(provider.jobs).toEqual([]);
});

test.each<ProviderMode>(["rejects", "closes the connection"])("a provider that %s is not paid", async (mode) => {
  provider.mode = mode;
  const user_uuid = await userWith(10);
  expect((await answer(post({ user_uuid, prompt: "a cat" }))).status).toBe(502);
  expect(await balanceOf(user_uuid)).toBe(10);
});

test("an API that loses the response of the charge is not paid", async () => {
  const losing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (String(input).endsWith("/decrease")) throw new TypeError("fetch failed");
    return response;
  };
  configureCredits(new Scrip({ url: inject("url"), fetch: losing, retry: { attempts: 2, baseDelayMs: 1 } }));
  const user_uuid = await userWith(10);
  expect((await answer(post({ user_uuid, prompt: "a cat" }))).status).toBe(502);
  expect(await balanceOf(user_uuid)).toBe(10);
  expect(provider.jobs).toEqual([]);
});

test("an aborted request is refunded", async () => {
  provider.mode = "never answers";
  const user_uuid = await userWith(10);
  const controller = new AbortController();
  const response = answer(post({ user_uuid, prompt: "a cat" }, controller.signal));
  await expect.poll(() => provider.jobs.length).toBe(1);
  expect(await balanceOf(user_uuid)).toBe(2);
  controller.abort();
  expect((await response).status).toBe(502);
  expect(await balanceOf(user_uuid)).toBe(10);
});
