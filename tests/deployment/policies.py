"""Checks the policies of the template with parliament: actions, resources and conditions.

Usage: policies.py TEMPLATE
"""

import json
import re
import sys
import warnings

warnings.filterwarnings("ignore")

import yaml
from parliament import analyze_policy_string

# Findings that stay: the issue, the prefix of the actions, and the reason.
ACCEPTED = [
    # X-Ray has no resources. The statement exists only with Tracing=Active.
    ("RESOURCE_STAR", "xray:"),
    # parliament lists no resource for these actions. AWS's own SAM policy
    # StepFunctionsCallbackPolicy limits them to a state machine in the same way.
    ("RESOURCE_MISMATCH", "states:SendTask"),
    # parliament requires the executions of Express workflows too. The stack has none.
    ("RESOURCE_MISMATCH", "states:DescribeExecution"),
]
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "scrip",
    "TableName": "credits",
    "Api": "a1b2c3d4e5",
}
# What a reference or an attribute of a resource is, by the type of the resource.
ARNS = {
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:queue",
    "AWS::Logs::LogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:group:*",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:secret-AbCdEf",
    "AWS::Serverless::StateMachine": "arn:aws:states:us-east-1:123456789012:stateMachine:machine",
    "AWS::Serverless::Function": "arn:aws:lambda:us-east-1:123456789012:function:function:live",
    "AWS::Events::Rule": "arn:aws:events:us-east-1:123456789012:rule/rule",
}
OF_PARAMETER = "arn:aws:lambda:us-east-1:123456789012:function:yours"


class Loader(yaml.SafeLoader):
    """Reads the tags of CloudFormation: !Ref X becomes {"Ref": X}."""


def tag(loader, suffix, node):
    construct = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda node: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda node: loader.construct_mapping(node, deep=True),
    }
    return {suffix: construct[type(node)](node)}


Loader.add_multi_constructor("!", tag)


def resolved(value, resources):
    """A part of a policy as CloudFormation sends it to IAM, with all conditions true."""
    if isinstance(value, list):
        return [resolved(item, resources) for item in value]
    if not isinstance(value, dict):
        return value
    if "If" in value:
        return resolved(value["If"][1], resources)
    if "Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda name: PSEUDO[name[1]], value["Sub"])
    for function in ("Ref", "GetAtt"):
        if function in value:
            name = value[function].split(".")[0]
            return PSEUDO.get(name) or (ARNS[resources[name]["Type"]] if name in resources else OF_PARAMETER)
    return {key: resolved(part, resources) for key, part in value.items()}


def policies(resources):
    """Name and document of each policy that states what is allowed."""
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                yield name, policy["PolicyDocument"]
        elif resource["Type"] == "AWS::SQS::QueuePolicy":
            yield name, resource["Properties"]["PolicyDocument"]


def is_accepted(finding):
    details = finding.detail if isinstance(finding.detail, list) else [finding.detail]
    actions = [detail["action"] if isinstance(detail, dict) else detail for detail in details]
    return any(
        finding.issue == issue and all(action.startswith(prefix) for action in actions)
        for issue, prefix in ACCEPTED
    )


def main(path):
    with open(path, encoding="utf-8") as file:
        resources = yaml.load(file, Loader)["Resources"]
    count, wrong = 0, []
    for name, document in policies(resources):
        document = resolved(document, resources)
        found = analyze_policy_string(json.dumps(document)).findings
        wrong += [f"{name}: {finding}" for finding in found if not is_accepted(finding)]
        count += 1
    print("\n".join(wrong) or f"policies: {count}, no finding that is not accepted")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
