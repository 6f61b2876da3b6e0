/** Starts one local stack for all test files, from `SCRIP_LOCAL` or the repository's own build. */

import { fileURLToPath } from "node:url";

import type { TestProject } from "vitest/node";

import { startScrip } from "../../src/testing/index.js";

const OWN_BUILD = fileURLToPath(new URL("../../../../../target/debug/scrip-local", import.meta.url));

declare module "vitest" {
  interface ProvidedContext {
    /** Address of the local stack. */
    url: string;
    /** Path of the program `scrip-local`. */
    program: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const program = process.env["SCRIP_LOCAL"] ?? OWN_BUILD;
  const stack = await startScrip({ path: program, testClock: false });
  project.provide("url", stack.url);
  project.provide("program", program);
  return stack.stop;
}
