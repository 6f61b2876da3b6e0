"""Checks the examples for Terraform and the AWS CDK against the template: they pass existing
parameters, and the CDK example synthesizes a stack of the packaged template.

Usage: examples.py NODE_MODULES
Needs the package hcl2, and Node.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import hcl2

EXAMPLES = pathlib.Path("infra/examples")
TEMPLATE = pathlib.Path("template.yaml").read_text(encoding="utf-8")
PARAMETERS = set(re.findall(r"^  (\w+):$", TEMPLATE.split("\nParameters:\n")[1].split("\nMappings:\n")[0], re.M))


def parameters_of_terraform():
    """The names of the parameters that main.tf passes."""
    with open(EXAMPLES / "terraform/main.tf", encoding="utf-8") as file:
        document = hcl2.load(file)
    resources = {name: body for block in document["resource"] for name, body in block.items()}
    (stack,) = resources["aws_cloudformation_stack"].values()
    assert set(stack["capabilities"][0]) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}, stack["capabilities"]
    assert "Release" in stack["parameters"][0], stack["parameters"]
    (local,) = document["locals"]
    return set(local["parameters"][0]) | {"Release"}


def parameters_of_cdk(modules):
    """The names of the parameters that the synthesized stack passes."""
    with tempfile.TemporaryDirectory() as folder:
        app = shutil.copytree(EXAMPLES / "cdk", pathlib.Path(folder, "app"))
        (app / "node_modules").symlink_to(pathlib.Path(modules).resolve())
        (app / "packaged.yaml").write_text(TEMPLATE, encoding="utf-8")

        def synthesized():
            subprocess.run(["node", "app.mjs"], cwd=app, check=True, env=os.environ | {"CDK_OUTDIR": "out"})
            stack = json.loads((app / "out/scrip-dev.template.json").read_text(encoding="utf-8"))
            return stack["Resources"]["Scrip"]["Properties"]["Parameters"]

        first = synthesized()
        (app / "packaged.yaml").write_text(TEMPLATE + "\n", encoding="utf-8")
        assert synthesized()["Release"] != first["Release"], "another template has another release"
    assert re.fullmatch("[0-9A-Za-z]{1,10}", first["Release"]), first
    return set(first)


def main(modules):
    assert len(PARAMETERS) > 20, PARAMETERS
    for name, passed in [("terraform", parameters_of_terraform()), ("cdk", parameters_of_cdk(modules))]:
        assert passed <= PARAMETERS, f"{name}: {passed - PARAMETERS}"
    print("examples: Terraform and the AWS CDK pass parameters of the template")


main(*sys.argv[1:])
