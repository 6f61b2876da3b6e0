/** Builds the package and checks what an app installs: contents, size, entry points and types. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

/** The most bytes of the core, minified and compressed. */
const CORE_LIMIT = 10_000;
const CONTENTS = /^(?:dist\/.+\.(?:js|d\.ts)|package\.json|README\.md|LICENSE)$/;

const run = (command, args, options) => execFileSync(command, args, { encoding: "utf8", ...options });
const npm = (...args) => run("npm", ["--silent", ...args]);

const folder = mkdtempSync(join(tmpdir(), "scrip-client-"));
try {
  npm("run", "build");
  const [{ filename, files, size }] = JSON.parse(npm("pack", "--json", "--pack-destination", folder));
  const unexpected = files.filter(({ path }) => !CONTENTS.test(path)).map(({ path }) => path);
  if (unexpected.length) throw new Error(`The package must not contain ${unexpected.join(", ")}.`);
  console.log(`${filename}: ${files.length} files, ${size} bytes`);
  const tarball = join(folder, filename);

  await checkSize();
  await lintPackage();
  run("npx", ["attw", tarball, "--profile", "esm-only", "--quiet"]);
  console.log("types resolve: ok");
  useAsAnApp(tarball);
} finally {
  rmSync(folder, { recursive: true });
}

/** A bundle for no platform in particular fails on an import of Node. */
async function checkSize() {
  for (const entry of ["index", "origin", "react/index"]) {
    const { outputFiles } = await build({
      entryPoints: [`dist/${entry}.js`],
      bundle: true,
      minify: true,
      write: false,
      platform: "neutral",
      external: ["react", "react/jsx-runtime"],
    });
    const bytes = gzipSync(outputFiles[0].contents).length;
    console.log(`${entry}: ${bytes} bytes, minified and compressed`);
    if (entry === "index" && bytes > CORE_LIMIT) throw new Error(`The core must have at most ${CORE_LIMIT} bytes.`);
  }
}

async function lintPackage() {
  const { messages, pkg } = await publint({ strict: true });
  for (const message of messages) console.log(formatMessage(message, pkg));
  if (messages.length) throw new Error("publint found problems.");
}

/** Installs the package in an empty app, and imports every entry point that needs nothing else. */
function useAsAnApp(tarball) {
  const app = join(folder, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), '{ "type": "module", "private": true }');
  run("npm", ["--silent", "install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: app });
  const source = `
    import { Scrip } from "scrip-client";
    import { configureCredits } from "scrip-client/origin";
    import { startScrip } from "scrip-client/testing";
    import { migration } from "scrip-client/eslint";
    for (const value of [Scrip, configureCredits, startScrip, migration]) if (typeof value !== "function") throw value;
  `;
  run(process.execPath, ["--input-type=module", "--eval", source], { cwd: app, stdio: "inherit" });
  console.log("entry points: ok");
}
