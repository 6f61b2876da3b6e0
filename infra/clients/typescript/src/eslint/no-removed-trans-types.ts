/** Enum members of single generations become calls of `getGenerationTransType`. */

import { fixableRule, memberOf } from "./calls.js";

const REMAINING = new Set(["NewUser", "OrderPay", "SystemAdd", "Chat", "ChatRefund"]);

export const noRemovedTransTypes = fixableRule(
  "Use `getGenerationTransType` instead of an enum member for each generation",
  {
    replace: "`CreditsTransType.{{ name }}` was removed. Use `{{ call }}`.",
    removed: "`CreditsTransType.{{ name }}` was removed, and no type replaces it.",
  },
  (context) => ({
    MemberExpression(node) {
      const name = memberOf(node);
      if (name === undefined || REMAINING.has(name)) return;
      const match = /^(\w+?)Generation(Refund)?$/.exec(name);
      if (!match) {
        context.report({ node, messageId: "removed", data: { name } });
        return;
      }
      const [, gen = "", refund = ""] = match;
      const call = `getGeneration${refund}TransType("${snakeCase(gen)}")`;
      context.report({
        node,
        messageId: "replace",
        data: { name, call },
        fix: (fixer) => fixer.replaceText(node, call),
      });
    },
  }),
);

function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}
