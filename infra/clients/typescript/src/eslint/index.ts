/** An ESLint plugin that finds and rewrites the calls of an app's own credit functions. */

import type { ESLint, Linter } from "eslint";

import { importFromScrip } from "./import-from-scrip.js";
import { noGenerationInOrderNo } from "./no-generation-in-order-no.js";
import { noRefundByGrant } from "./no-refund-by-grant.js";
import { noRemovedTransTypes } from "./no-removed-trans-types.js";

/** The rules. Use {@link migration} to turn them all on. */
const plugin: ESLint.Plugin = {
  meta: { name: "scrip-client" },
  rules: {
    "import-from-scrip": importFromScrip,
    "no-generation-in-order-no": noGenerationInOrderNo,
    "no-refund-by-grant": noRefundByGrant,
    "no-removed-trans-types": noRemovedTransTypes,
  },
};

/**
 * A configuration with all rules. `modules` are the import paths of the app's own credit functions.
 *
 * @example
 * ```ts
 * // eslint.config.js
 * import { migration } from "scrip-client/eslint";
 * export default [migration({ modules: ["@/services/credit"] })];
 * ```
 */
export function migration(options: { modules: string[] }): Linter.Config {
  return {
    plugins: { scrip: plugin },
    rules: {
      "scrip/import-from-scrip": ["error", options],
      "scrip/no-generation-in-order-no": "error",
      "scrip/no-refund-by-grant": "error",
      "scrip/no-removed-trans-types": "error",
    },
  };
}

export default plugin;
