/** The calls of an app's credit functions, as the rules see them. */

import type { Rule } from "eslint";
import type { CallExpression, Expression, ImportDeclaration, ObjectExpression, Property } from "estree";

/** The names that `scrip-client/origin` exports. */
export const ORIGIN_NAMES: ReadonlySet<string> = new Set([
  "CreditsTransType",
  "decreaseCredits",
  "refundCredits",
  "increaseCredits",
  "getUserCredits",
  "getGenerationTransType",
  "getGenerationRefundTransType",
]);

export const ORIGIN_MODULE = "scrip-client/origin";

/** The object that a call such as `increaseCredits({ ... })` passes, if it is one. */
export function argumentOf(call: CallExpression, name: string): ObjectExpression | undefined {
  const [argument] = call.arguments;
  const isCall = call.callee.type === "Identifier" && call.callee.name === name;
  return isCall && argument?.type === "ObjectExpression" ? argument : undefined;
}

/** A property by its name; undefined if it is computed, absent or part of a spread. */
export function propertyOf(object: ObjectExpression, name: string): Property | undefined {
  return object.properties.find(
    (property): property is Property =>
      property.type === "Property" &&
      !property.computed &&
      property.key.type === "Identifier" &&
      property.key.name === name,
  );
}

/** The name in `CreditsTransType.Name`. */
export function memberOf(node: Expression): string | undefined {
  if (node.type !== "MemberExpression" || node.computed || node.property.type !== "Identifier") return undefined;
  return node.object.type === "Identifier" && node.object.name === "CreditsTransType" ? node.property.name : undefined;
}

/** The names that an import declaration imports, if all are plain names. */
export function importedNames(node: ImportDeclaration): { imported: string; text: string }[] {
  return node.specifiers.flatMap((specifier) => {
    if (specifier.type !== "ImportSpecifier" || specifier.imported.type !== "Identifier") return [];
    const { name: imported } = specifier.imported;
    const { name: local } = specifier.local;
    return [{ imported, text: imported === local ? imported : `${imported} as ${local}` }];
  });
}

/** A rule with a fix. */
export function fixableRule(
  description: string,
  messages: Record<string, string>,
  create: Rule.RuleModule["create"],
  schema: NonNullable<Rule.RuleMetaData["schema"]> = [],
): Rule.RuleModule {
  return { meta: { type: "problem", docs: { description }, fixable: "code", messages, schema }, create };
}
