// Checks the state machines, and the rules of retries in the documents, with asl-validator.
// Usage: node machines.mjs NODE_MODULES

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";

const validate = createRequire(`${process.argv[2]}/`)("asl-validator");
const folder = "infra/state-machines";

/** A definition as the template deploys it, with a value for each placeholder. */
function deployed(text) {
  const values = { Partition: "aws", VideoTimeout: "3600", FailureQueueUrl: "https://sqs.us-east-1.amazonaws.com/1/q" };
  const arn = "arn:aws:lambda:us-east-1:123456789012:function:f:live";
  return JSON.parse(text.replaceAll(/\$\{(\w+)\}/g, (_, name) => values[name] ?? arn));
}

/** A machine with one task that has this rule. */
function withRule(rule) {
  const task = { Type: "Task", Resource: "arn:aws:lambda:us-east-1:123456789012:function:f:live", End: true };
  return { StartAt: "Call", States: { Call: { ...task, ...rule } } };
}

const machines = readdirSync(folder).map((name) => [name, deployed(readFileSync(`${folder}/${name}`, "utf8"))]);
const rules = [...readFileSync("docs/retries.md", "utf8").matchAll(/^```json\n(\{"Retry":.*?)\n```/gms)];
const checked = [...machines, ...rules.map(([, rule]) => ["docs/retries.md", withRule(JSON.parse(rule))])];
// The validator finds a state that no transition reaches.
const dangling = structuredClone(machines[0][1]);
dangling.States.Nowhere = { Type: "Succeed" };

for (const [name, definition] of checked) {
  const { isValid, errorsText } = validate(definition, { checkArn: true, checkPaths: true });
  if (!isValid) {
    console.log(`${name}: ${errorsText()}`);
    process.exitCode = 1;
  }
}
if (validate(dangling).isValid || rules.length !== 1 || machines.length < 4) {
  console.log("the validator or the documents were not read");
  process.exitCode = 1;
}
if (!process.exitCode) {
  console.log(`state machines: ${machines.length}, and the rule of docs/retries.md: valid`);
}
