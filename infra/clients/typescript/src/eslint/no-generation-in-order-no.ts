/** `decreaseCredits` with a generation in `order_no` gets `generation_uuid`. */

import { argumentOf, fixableRule, propertyOf } from "./calls.js";

/** Expressions that name the work, such as `generation.uuid`, `sessionUuid` or `videoTask.id`. */
const GENERATION = /gen(?:eration)?s?(?:_|\b|[A-Z.]|uuid|id)|session|video|task|message|chat/i;

export const noGenerationInOrderNo = fixableRule(
  "Pass the generation of a charge as `generation_uuid`",
  {
    rename: "`order_no` names an order. Pass the generation as `generation_uuid`.",
    missing: "A charge without `generation_uuid` cannot be refunded. Pass the generation.",
  },
  (context) => ({
    CallExpression(node) {
      const request = argumentOf(node, "decreaseCredits");
      if (!request || propertyOf(request, "generation_uuid")) return;
      const order = propertyOf(request, "order_no");
      if (order && !order.shorthand && GENERATION.test(context.sourceCode.getText(order.value))) {
        context.report({
          node: order,
          messageId: "rename",
          fix: (fixer) => fixer.replaceText(order.key, "generation_uuid"),
        });
      } else if (!request.properties.some(({ type }) => type === "SpreadElement")) {
        context.report({ node, messageId: "missing" });
      }
    },
  }),
);
