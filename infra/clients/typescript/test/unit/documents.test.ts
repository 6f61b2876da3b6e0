/** The files in the quick start are those of the example that is compiled here. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

const QUICK_START = new URL("../../../../../docs/typescript.md", import.meta.url);
const EXAMPLE = new URL("../../examples/nextjs/", import.meta.url);

const blocks = [...readFileSync(QUICK_START, "utf8").matchAll(/^`([\w/.]+)`:\n\n```ts\n(.*?)```/gms)];

test("the quick start has files", () => expect(blocks.length).toBeGreaterThan(1));

test.each(blocks.map(([, path, code]) => [path!, code!]))("%s is the example's", (path, code) => {
  expect(code).toBe(readFileSync(new URL(path, EXAMPLE), "utf8"));
});
