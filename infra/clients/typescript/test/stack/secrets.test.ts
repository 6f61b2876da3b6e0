/** Both forms of a webhook secret, as the service reads them. */

import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { callbackUrl } from "../../src/index.js";
import { type RunningScrip, startScrip } from "../../src/testing/index.js";
import { newId } from "../support/users.js";

const SECRETS = ["a-secret-in-plain-text", `whsec_${Buffer.from("0123456789abcdef01234567").toString("base64")}`];

let local: RunningScrip;
beforeAll(async () => {
  const flags = SECRETS.flatMap((secret) => ["--webhook-secret", secret]);
  local = await startScrip({ path: inject("program"), testClock: false, flags });
});
afterAll(() => local.stop());

test.each(SECRETS)("%s signs reports and tokens", async (secret) => {
  const user = newId("user");
  await local.scrip.grant({ user_uuid: user, trans_type: "new_user", credits: 10 });
  const [signed, minted] = [await local.scrip.charge(optionsOf(user)), await local.scrip.charge(optionsOf(user))];
  const { generation: generation_uuid, key: idempotency_key } = signed;
  const report = { user_uuid: user, generation_uuid, idempotency_key, status: "failed" };
  expect(await local.scrip.reportGeneration(report, secret)).toMatchObject({ outcome: "voided" });
  const { generation, key } = minted;
  const url = await callbackUrl({ url: local.url, secret, user, generation, key });
  expect(await (await fetch(`${url}?status=failed`, { method: "POST" })).json()).toMatchObject({ outcome: "voided" });
  expect((await local.scrip.balance(user)).balance).toBe(10);
});

function optionsOf(user: string) {
  return { user, generation: newId("gen"), type: "video_generation", credits: 5 } as const;
}
