/** `startScrip` as the tests of an app use it: from a path, from an image, with a test clock. */

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { type RunningScrip, startScrip } from "scrip-client/testing";

import { newId } from "../support/users.js";

const path = inject("program");

describe("a stack with a test clock", () => {
  let local: RunningScrip;
  beforeAll(async () => (local = await startScrip({ path })));
  afterAll(() => local.stop());

  test("lets packs expire", async () => {
    const user_uuid = newId("user");
    const expired_at = new Date(Date.now() + 30 * 86_400_000).toISOString();
    await local.scrip.grant({ user_uuid, trans_type: "order_pay", order_no: newId("order"), credits: 5, expired_at });
    await local.advance("29d");
    expect(await local.scrip.balance(user_uuid)).toMatchObject({ balance: 5 });
    await local.advance("2d");
    expect(await local.scrip.balance(user_uuid)).toMatchObject({ balance: 0 });
  });
});

test("two stacks share nothing", async () => {
  const [one, two] = await Promise.all([startScrip({ path }), startScrip({ path })]);
  await one.scrip.grant({ user_uuid: "ana", trans_type: "new_user", credits: 5 });
  expect((await two.scrip.balance("ana")).balance).toBe(0);
  await Promise.all([one.stop(), two.stop()]);
  await expect(fetch(`${one.url}/health`)).rejects.toThrow();
  await one.stop();
});

test("a stack that does not start reports why", async () => {
  await expect(startScrip({ path, flags: ["--unknown"] })).rejects.toThrow(/exited with code 2.*--unknown/s);
  await expect(startScrip({ path: "/no/such/program" })).rejects.toThrow(/cannot be started/);
  await expect(startScrip({ path: "/bin/cat", startTimeoutMs: 1_000 })).rejects.toThrow(/local stack/);
});

test("a path is required, or the environment variable", async () => {
  vi.stubEnv("SCRIP_LOCAL", "");
  await expect(startScrip()).rejects.toThrow("SCRIP_LOCAL");
  vi.stubEnv("SCRIP_LOCAL", path);
  await (await startScrip()).stop();
  vi.unstubAllEnvs();
});

test("a container publishes a free port on loopback, and is removed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "scrip-client-"));
  const runtime = join(folder, "docker");
  // A container runtime that runs the program itself, and records its command lines.
  writeFileSync(
    runtime,
    `#!/usr/bin/env bash
echo "$*" >>"${folder}/commands"
if [[ $1 == port ]]; then sed -nE 's|^listening on http://[^:]+|127.0.0.1|p' "${folder}/output"; exit; fi
exec "${path}" --memory --test-clock --port 0 --dynamodb-port 0 > >(tee "${folder}/output")
`,
  );
  chmodSync(runtime, 0o755);
  const local = await startScrip({ image: "scrip:1", containerRuntime: runtime });
  expect((await local.scrip.balance("ana")).balance).toBe(0);
  await local.stop();
  expect(
    readFileSync(join(folder, "commands"), "utf8")
      .replaceAll(/scrip-test-[\w-]+/g, "NAME")
      .trim()
      .split("\n"),
  ).toEqual([
    "run --rm --name NAME --publish 127.0.0.1::9000 scrip:1 --host 0.0.0.0 --port 9000 --memory --test-clock",
    "port NAME 9000",
  ]);
  rmSync(folder, { recursive: true });
});
