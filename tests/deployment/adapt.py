"""Removes from a built template what ministack lacks. .ci/run deploys nothing else than the
template and the adaptations here.

Usage: adapt.py TEMPLATE RELEASE
Prints the adapted template as JSON. Needs the packages of sam.
"""

import json
import sys

from samtranslator.yaml_helper import yaml_parse


def adapted(text, release):
    # ministack's reference to a secret is the name, where AWS has the ARN.
    text = json.dumps(yaml_parse(text))
    for secret in ["WebhookSecret", "StripeSecret"]:
        text = text.replace(f'{{"Ref": "{secret}"}}', f'{{"Fn::GetAtt": "{secret}.Id"}}')
    template = json.loads(text)
    # It has no CodeDeploy: every deployment is immediate.
    template["Globals"]["Function"].pop("DeploymentPreference", None)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties.pop("DeploymentPreference", None)
            # Its transform of SAM has no values of parameters.
            properties["AutoPublishCodeSha256"] = release
        # It has no metric math. tests/integration/alarms.rs evaluates the alarms.
        if resource["Type"] == "AWS::CloudWatch::Alarm" and properties.pop("Metrics", None):
            properties["Namespace"] = properties["MetricName"] = "none"
    # It reads the issuer's keys, as API Gateway does, but trusts no certificate of a test.
    template["Parameters"]["TokenIssuer"]["AllowedPattern"] = "(https?://.+)?"
    # It does not find the machine of a task token: such a call applies to any resource.
    (policy,) = template["Resources"]["WebhookRole"]["Properties"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if "states:SendTask" in str(statement.get("Action")):
            statement["Resource"] = "*"
    return json.dumps(template)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(adapted(file.read(), sys.argv[2]))
