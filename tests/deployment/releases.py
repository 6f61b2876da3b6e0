"""Checks when a deployment publishes versions, with SAM's own translator.

SAM publishes a version of a function under an id. If the id changes and nothing that Lambda
versions has changed, Lambda rejects the version, and the deployment fails.

Usage: releases.py TEMPLATE [OLD_TEMPLATE]
Compares TEMPLATE with edited copies of itself, and with OLD_TEMPLATE if it is given.
"""

import copy
import logging
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# Of the properties of a function, Lambda versions all but these.
UNVERSIONED = {"Code", "CodeSigningConfigArn", "ReservedConcurrentExecutions", "Tags"}
PARAMETERS = {"Release": "1700000000"}
SERVERLESS = "AWS::Serverless::Function"


class NoManagedPolicies:
    """The template names managed policies by ARN only."""

    def load(self):
        return {}


def packaged(template, prefix="stage", code="1"):
    """The template as `sam package` uploads it: the name of a file is the hash of its content."""
    template = copy.deepcopy(template)
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == SERVERLESS:
            properties["CodeUri"] = f"s3://bucket/{prefix}/{name}{code}"
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            properties["DefinitionUri"] = f"s3://bucket/{prefix}/{name}"
    return template


def published(template, parameters):
    """For each function the id of its version, and what Lambda versions."""
    resources = transform(copy.deepcopy(template), dict(parameters), NoManagedPolicies())["Resources"]
    found = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Version":
            function = resource["Properties"]["FunctionName"]["Ref"]
            properties = resources[function]["Properties"]
            versioned = {key: value for key, value in properties.items() if key not in UNVERSIONED}
            versioned["Code"] = properties["Code"]["S3Key"].rsplit("/", 1)[-1]
            found[function] = (name, versioned)
    return found


def rejected(old, new):
    """The functions whose version Lambda rejects after a change from old to new."""
    return [
        function
        for function, (version, versioned) in new.items()
        if function in old and version != old[function][0] and versioned == old[function][1]
    ]


def changed(old, new):
    return [function for function in new if new[function][0] != old[function][0]]


def edited(template, path, value):
    template = copy.deepcopy(template)
    *parents, last = path
    part = template
    for name in parents:
        part = part[name]
    part[last] = value
    return template


def check_edits(template):
    now = packaged(template)
    functions = published(now, PARAMETERS)
    assert len(functions) == sum(resource["Type"] == SERVERLESS for resource in template["Resources"].values())
    tags = edited(now, ["Globals", "Function", "Tags"], {"team": "credits"})
    memory = edited(now, ["Globals", "Function", "MemorySize"], 512)
    edits = {
        "tags": (tags, {}),
        "closed writes": (now, {"Writes": "closed"}),
        "prefix in S3": (packaged(template, prefix="other"), {}),
        "memory": (memory, {}),
        "code": (packaged(template, code="2"), {}),
        "nothing": (now, {}),
    }
    for name, (new, parameters) in edits.items():
        same = published(new, PARAMETERS | parameters)
        assert not changed(functions, same), f"{name}: a version without a new release"
        release = published(new, PARAMETERS | parameters | {"Release": "1700000001"})
        assert changed(functions, release) == list(functions), f"{name}: no version with a new release"
        assert not rejected(functions, release), f"{name}: {rejected(functions, release)}"
    # The check finds the fault: SAM's own hash covers what Lambda does not version.
    for resource in now["Resources"].values():
        if resource["Type"] == SERVERLESS:
            del resource["Properties"]["AutoPublishCodeSha256"]
            resource["Properties"]["AutoPublishAliasAllProperties"] = True
    hashed = published(now, PARAMETERS)
    tags = edited(now, ["Globals", "Function", "Tags"], {"team": "credits"})
    assert rejected(hashed, published(tags, PARAMETERS)) == list(functions)
    return len(edits)


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml_parse(file.read())


def main(path, old_path=None):
    logging.disable()
    template = load(path)
    count = check_edits(template)
    print(f"releases: {count} edits, none that Lambda rejects")
    if old_path:
        old = published(packaged(load(old_path)), PARAMETERS)
        new = published(packaged(template), PARAMETERS | {"Release": "1700000001"})
        assert not rejected(old, new), rejected(old, new)
        print(f"releases: {old_path}: {len(changed(old, new))} new versions, none that Lambda rejects")


main(*sys.argv[1:])
