import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^scrip-client$/, replacement: source("index.ts") },
      { find: /^scrip-client\/origin$/, replacement: source("origin.ts") },
      { find: /^scrip-client\/(\w+)$/, replacement: source("$1/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    globalSetup: "test/support/stack.ts",
    maxWorkers: 2,
  },
});
