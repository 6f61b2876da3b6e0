// Deploys the packaged template of Scrip with the AWS CDK: docs/runbooks/deploy-a-release.md.
// packaged.yaml is beside this file.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { App, CfnOutput, CfnStack, Fn, Stack } from "aws-cdk-lib";
import { Asset } from "aws-cdk-lib/aws-s3-assets";

const template = "packaged.yaml";
const parameters = {
  TableName: "credits-dev",
  Deployment: "AllAtOnce",
  Watching: "basic",
};
// Increase it to deploy the same template and parameters again after a rollback.
const attempt = 1;

// Differs whenever the template or a parameter does, so that Lambda publishes versions.
const release = createHash("sha256")
  .update(readFileSync(template))
  .update(JSON.stringify([parameters, attempt]))
  .digest("hex")
  .slice(0, 10);

const app = new App();
const stack = new Stack(app, "scrip-dev");
// A nested stack, because CfnInclude rejects references that SAM resolves, such as
// GrantFunction.Alias.
const scrip = new CfnStack(stack, "Scrip", {
  templateUrl: new Asset(stack, "Template", { path: template }).httpUrl,
  parameters: { ...parameters, Release: release },
});
// Other constructs of the app use the outputs of the template.
for (const name of ["ApiUrl", "GrantArn", "DecreaseArn", "RefundArn"]) {
  new CfnOutput(stack, name, { value: Fn.getAtt(scrip.logicalId, `Outputs.${name}`).toString() });
}
app.synth();
