/** The migration rules on a small app: what they rewrite, and what they report. */

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { ESLint } from "eslint";
import { beforeAll, describe, expect, test } from "vitest";
import { migration } from "scrip-client/eslint";
import { parser } from "typescript-eslint";

const APP = fileURLToPath(new URL("../fixtures/app/", import.meta.url));
const MIGRATED = fileURLToPath(new URL("../fixtures/migrated/", import.meta.url));

/** The messages of a file, without and after the fixes. */
interface Linted {
  output: string | undefined;
  messages: string[];
}

async function lint(file: string, fix: boolean): Promise<Linted> {
  const eslint = new ESLint({
    cwd: APP,
    fix,
    ignore: false,
    overrideConfigFile: true,
    overrideConfig: [{ files: ["**/*.ts"], languageOptions: { parser } }, migration({ modules: ["./credit.js"] })],
  });
  const [result] = await eslint.lintFiles(file);
  const messages = result!.messages.map(({ line, ruleId, message }) => `${line} ${ruleId}: ${message}`);
  return { output: result!.output, messages };
}

const files = readdirSync(APP).filter((file) => file !== "credit.ts");

describe("the rewritten app", () => {
  const outputs = new Map<string, Linted>();
  beforeAll(async () => {
    for (const file of files) outputs.set(file, await lint(file, true));
  });

  test.each(files)("%s is the committed one, which the compiler checks", (file) => {
    const { output } = outputs.get(file)!;
    if (process.env["SCRIP_UPDATE_FIXTURES"]) {
      mkdirSync(MIGRATED, { recursive: true });
      writeFileSync(MIGRATED + file, output!);
    }
    expect(output).toBe(readFileSync(MIGRATED + file, "utf8"));
  });

  test.each(files.filter((file) => file !== "unclear.ts"))("%s has nothing left to do", (file) => {
    expect(outputs.get(file)!.messages).toEqual([]);
  });

  test("calls that need a decision are reported", () => {
    expect(outputs.get("unclear.ts")!.messages.map((message) => message.replace(/\. .*/, "."))).toEqual([
      "4 scrip/no-generation-in-order-no: A charge without `generation_uuid` cannot be refunded.",
      "5 scrip/no-generation-in-order-no: A charge without `generation_uuid` cannot be refunded.",
      "6 scrip/no-generation-in-order-no: A charge without `generation_uuid` cannot be refunded.",
      "6 scrip/no-removed-trans-types: `CreditsTransType.Ping` was removed, and no type replaces it.",
      "7 scrip/no-refund-by-grant: A refund is not a grant.",
      "8 scrip/no-refund-by-grant: A refund is not a grant.",
      "10 scrip/no-refund-by-grant: This call may refund by a grant.",
    ]);
  });
});

test("without --fix every place is reported", async () => {
  const reported = async (file: string) => (await lint(file, false)).messages.map((message) => message.split(":")[0]);
  expect(await reported("base.ts")).toEqual([
    "1 scrip/import-from-scrip",
    "8 scrip/no-removed-trans-types",
    "10 scrip/no-generation-in-order-no",
    "15 scrip/no-refund-by-grant",
    "17 scrip/no-removed-trans-types",
    "27 scrip/no-removed-trans-types",
    "27 scrip/no-generation-in-order-no",
  ]);
});
