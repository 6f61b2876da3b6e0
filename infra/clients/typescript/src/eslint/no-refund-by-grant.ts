/** `increaseCredits` with a refund type becomes `refundCredits`. */

import type { Expression, ObjectExpression, Property } from "estree";

import { argumentOf, fixableRule, memberOf, propertyOf } from "./calls.js";

/** Properties that a refund does not need: it finds the charge, and with it amount and expiry. */
const DROPPED = new Set(["trans_type", "credits", "expired_at"]);

export const noRefundByGrant = fixableRule(
  "Refund with `refundCredits` instead of a grant",
  {
    replace: "A refund is not a grant. Call `refundCredits` with the generation of the charge.",
    ambiguous: "This call may refund by a grant. Call `refundCredits` with the generation of the charge.",
  },
  (context) => ({
    CallExpression(node) {
      const request = argumentOf(node, "increaseCredits");
      const type = request && propertyOf(request, "trans_type")?.value;
      if (!request || !type) return;
      if (!isRefundType(type as Expression)) {
        if (/refund/i.test(context.sourceCode.getText(type))) context.report({ node, messageId: "ambiguous" });
        return;
      }
      const properties = refundProperties(request, (property) => context.sourceCode.getText(property));
      context.report({
        node,
        messageId: "replace",
        fix: (fixer) => (properties ? fixer.replaceText(node, `refundCredits({ ${properties.join(", ")} })`) : null),
      });
    },
  }),
);

function isRefundType(type: Expression): boolean {
  if (type.type === "Literal") return typeof type.value === "string" && type.value.endsWith("_refund");
  if (type.type === "CallExpression") {
    return type.callee.type === "Identifier" && type.callee.name === "getGenerationRefundTransType";
  }
  return memberOf(type)?.endsWith("Refund") ?? false;
}

/** The properties of the refund, or undefined if they cannot be derived. */
function refundProperties(request: ObjectExpression, textOf: (property: Property) => string): string[] | undefined {
  const hasGeneration = propertyOf(request, "generation_uuid") !== undefined;
  if (!hasGeneration && !propertyOf(request, "order_no")) return undefined;
  const texts: string[] = [];
  for (const property of request.properties) {
    if (property.type !== "Property" || property.key.type !== "Identifier" || property.computed) return undefined;
    const { name } = property.key;
    if (DROPPED.has(name) || (name === "order_no" && hasGeneration)) continue;
    if (name !== "order_no") texts.push(textOf(property));
    else if (property.shorthand) texts.push("generation_uuid: order_no");
    else texts.push(textOf(property).replace(/^order_no/, "generation_uuid"));
  }
  return texts;
}
