/** Imports of the app's credit functions come from `scrip-client/origin`, and are complete. */

import type { Rule, Scope } from "eslint";
import type { ImportDeclaration } from "estree";

import { ORIGIN_MODULE, ORIGIN_NAMES, fixableRule, importedNames } from "./calls.js";

/** Options of the rule: the modules that hold the app's own credit functions. */
interface Options {
  modules: string[];
}

export const importFromScrip = fixableRule(
  `Import the credit functions from \`${ORIGIN_MODULE}\``,
  {
    replace: `Import the credit functions from \`${ORIGIN_MODULE}\`.`,
    missing: `Import \`{{ name }}\` from \`${ORIGIN_MODULE}\`.`,
  },
  (context) => {
    const { modules } = (context.options[0] ?? { modules: [] }) as Options;
    let origin: ImportDeclaration | undefined;
    return {
      ImportDeclaration(node) {
        if (node.source.value === ORIGIN_MODULE) origin ??= node;
        if (modules.includes(String(node.source.value))) replaceImport(context, node);
      },
      "Program:exit"() {
        if (origin) addMissing(context, origin);
      },
    };
  },
  [
    {
      type: "object",
      properties: { modules: { type: "array", items: { type: "string" } } },
      required: ["modules"],
      additionalProperties: false,
    },
  ],
);

/** Moves the names of the client to an import of their own. Other names stay where they are. */
function replaceImport(context: Rule.RuleContext, node: ImportDeclaration): void {
  const names = importedNames(node);
  const moved = names.filter(({ imported }) => ORIGIN_NAMES.has(imported));
  if (moved.length === 0) return;
  const kept = names.filter(({ imported }) => !ORIGIN_NAMES.has(imported));
  const isPlain = names.length === node.specifiers.length;
  const list = (of: typeof names) => of.map(({ text }) => text).join(", ");
  const lines = [`import { ${list(moved)} } from "${ORIGIN_MODULE}";`];
  if (kept.length) lines.push(`import { ${list(kept)} } from ${node.source.raw};`);
  context.report({
    node,
    messageId: "replace",
    fix: (fixer) => (isPlain ? fixer.replaceText(node, lines.join("\n")) : null),
  });
}

/** Adds names of the client that the file uses without an import, as the fixes of the other rules leave them. */
function addMissing(context: Rule.RuleContext, origin: ImportDeclaration): void {
  const last = origin.specifiers.at(-1);
  const unresolved = context.sourceCode.scopeManager.globalScope?.through ?? [];
  const isMissing = ({ identifier }: Scope.Reference) => ORIGIN_NAMES.has(identifier.name);
  const [reference] = unresolved.filter(isMissing);
  if (!reference || !last) return;
  const { name } = reference.identifier;
  context.report({
    node: origin,
    messageId: "missing",
    data: { name },
    fix: (fixer) => fixer.insertTextAfter(last, `, ${name}`),
  });
}
