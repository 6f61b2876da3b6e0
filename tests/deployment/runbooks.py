"""Runs the commands of the runbooks, as they are written, into ministack. Beside the commands it
changes the stage and the table, and does what a page asks of the reader.

Usage: runbooks.py RELEASE_FOLDER TOOLS SCRIP_OPS
TOOLS is target/ci. AWS_ENDPOINT_URL is the endpoint of ministack.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.M | re.S)
RUNBOOKS = pathlib.Path("docs/runbooks").resolve()
HERE = pathlib.Path(__file__).resolve().parent

# Programs before the real ones on the path: they add the endpoint of ministack, adapt the
# template, and give hosts of AWS their place in ministack.
AWS = """#!/bin/sh
exec {tools}/aws-tools/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
"""
OPS = """#!/bin/sh
exec {ops} "$@" --dynamodb-endpoint "$AWS_ENDPOINT_URL"
"""
SAM = """#!/bin/sh
set -e
if [ "$1" = deploy ]; then
    release=$(printf '%s\\n' "$@" | sed -n 's/^Release=//p')
    {tools}/sam/bin/python {here}/adapt.py .aws-sam/build/template.yaml "$release" >adapted.json
    mv adapted.json .aws-sam/build/template.yaml
fi
exec {tools}/sam/bin/sam "$@"
"""
CURL = """#!/bin/bash
arguments=()
for argument in "$@"; do
    arguments+=("$(printf '%s' "$argument" | sed -E \\
        -e "s|^http://([0-9a-z]+)\\\\.execute-api\\\\.[^/]+|$AWS_ENDPOINT_URL/_aws/execute-api/\\\\1/\\$default|" \\
        -e "s|^https://[^/]+\\\\.amazoncognito\\\\.com|$AWS_ENDPOINT_URL|")")
done
exec {curl} --noproxy '*' "${{arguments[@]}}"
"""


class Reader:
    """A reader of the runbooks, with a folder of a release and tools on the path."""

    def __init__(self, release, tools, ops):
        self.place = pathlib.Path(tempfile.mkdtemp(dir=tools))
        self.folder = shutil.copytree(release, self.place / "release")
        path = self.place / "bin"
        path.mkdir()
        values = {"tools": tools, "ops": ops, "here": HERE, "curl": shutil.which("curl")}
        for name, text in [("aws", AWS), ("scrip-ops", OPS), ("sam", SAM), ("curl", CURL)]:
            (path / name).write_text(text.format(**values), encoding="utf-8")
            (path / name).chmod(stat.S_IRWXU)
        self.environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"}

    def does(self, page, *parts, variables="", replaced=None, expects=(), fails=False):
        """Runs the first block of a page, then for each part the first block that contains it."""
        text = (RUNBOOKS / f"{page}.md").read_text(encoding="utf-8")
        for old, new in (replaced or {}).items():
            assert old in text, f"{page}: {old}"
            text = text.replace(old, new)
        text = text.replace("scrip-prod", "scrip-dev").replace("credits-prod", "credits-dev").replace("stage=prod", "stage=dev")
        blocks = [re.sub(rf"^{match[1]}", "", match[2], flags=re.M) for match in BLOCK.finditer(text)]
        chosen = [next(block for block in blocks[1:] if part in block) for part in parts]
        script = "\n".join(["set -euo pipefail", blocks[0], variables, *chosen])
        begin = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{page}: {parts}: {done.returncode}\n{script}\n---\n{output}"
        for expected in expects:
            assert re.search(expected, output), f"{page}: {parts}: no {expected} in\n{output}"
        print(f"{page}: {len(parts)} blocks, {time.monotonic() - begin:.0f} s", flush=True)
        return output

    def sets(self, **parameters):
        """Edits the parameters of the stage."""
        file = self.folder / "infra/stages/dev.yaml"
        text = file.read_text(encoding="utf-8")
        for name, value in parameters.items():
            text, count = re.subn(rf"^{name}:.*", f"{name}: {value}", text, flags=re.M)
            assert count == 1, name
        file.write_text(text, encoding="utf-8")


def main(release, tools, ops):
    reader = Reader(pathlib.Path(release).resolve(), pathlib.Path(tools).resolve(), pathlib.Path(ops).resolve())
    try:
        follow(reader)
    finally:
        shutil.rmtree(reader.place)
    print("the runbooks ran as they are written")


def follow(reader):
    reader.does("deploy", "aws sts", "sns create-topic", expects=["AlarmTopic: arn:"])
    reader.does("deploy", "sam build", "sam deploy", "call()", expects=['"outcome": "voided"', '"balance": 100'])
    reader.does("deploy", "/nowhere", expects=["NotFound", "Unauthorized", "Release \\d+"])

    created = reader.does("authorize-with-cognito", "create-user-pool ", "create-user-pool-client", "TokenIssuer")
    issuer, audience = (re.search(f"^{name}: (.+)$", created, re.M)[1] for name in ["TokenIssuer", "TokenAudience"])
    reader.sets(TokenIssuer=issuer, TokenAudience=audience)
    reader.does(
        "authorize-with-cognito", "sam deploy", "oauth2/token", "post()", "/credits/u2/balance",
        variables=f"pool={issuer.rsplit('/', 1)[-1]} client={audience}",
        expects=['"outcome":"voided"', '"balance":100', "Unauthorized"],
    )

    listed = reader.does("roll-back", "list-versions-by-function")
    first = min(re.findall(r"Release (\d+)", listed))
    reader.does(
        "roll-back", "update-alias", "get-alias", replaced={"release=1795872103": f"release={first}"},
        expects=[r"scrip-dev-decrease:live\s+1\s+None"],
    )
    reader.does("rotate-the-webhook-secret", "get-random-password", "cat old new", "cat new old", "file://new")
    reader.does("run-an-audit", "echo '{}'", expects=['"drifted": 0'])

    queued = {"requestPayload": {"user_uuid": "u1", "generation_uuid": "gen-1", "reason": "resent"}}
    send = f"""aws sqs send-message --queue-url "$queue" --message-body '{json.dumps(queued)}'"""
    reader.does(
        "drain-the-failure-queue", "receive-message", "if jq", "delete-message", "get-queue-attributes",
        variables=send, expects=["already_voided", '"ApproximateNumberOfMessages": "0"'],
    )

    reader.does("repair-a-wallet", "--write", "0 discrepancies", variables=damage(), expects=["90 -> 100", "written, with"])

    restored = "table=credits-dev-2 at=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    reader.does(
        "restore", "restore-table-to-point-in-time", "until [", "update-continuous-backups", "scrip-ops verify", "since=",
        variables=restored, expects=["0 users with discrepancies"],
    )
    reader.does("restore", "set_writes closed")
    reader.sets(TableName="credits-dev-2", TableMode="existing", Writes="closed", ErrorShare=1)
    reader.does("restore", "sam deploy", "SCRIP_TABLE", expects=["(credits-dev-2\n){7}"])
    reader.sets(Writes="open", ErrorShare=0.05)
    reader.does("restore", "sam deploy", "scrip-ops verify", variables=restored, expects=["0 users with discrepancies"])

    ends = ["does not exist", "ResourceNotFoundException", "NonExistentQueue|QueueDoesNotExist"]
    reader.does(
        "tear-down", "delete-stack", "delete-table", "delete-queue", "SourceBucket",
        variables="table=credits-dev-2",
    )
    # The check of the end: each command fails, because nothing is left.
    reader.does(
        "tear-down", "describe-table", variables="set +e; table=credits-dev-2", fails=True, expects=ends,
        replaced={"queue=$(output FailureQueueUrl)": "queue=$AWS_ENDPOINT_URL/000000000000/scrip-dev"},
    )


def damage():
    """Takes 10 credits from the wallet of u1, as no command of Scrip does."""
    key = """--table-name "$table" --key '{"user_uuid":{"S":"u1"},"sk":{"S":"wallet"}}'"""
    return f"""packs=$(aws dynamodb get-item {key} --query Item.packs --output json | jq -c '.L[0].M.n.N = "90"')
        aws dynamodb update-item {key} --update-expression 'SET packs = :p' \
            --expression-attribute-values "{{\\":p\\":$packs}}"
        """


main(*sys.argv[1:])
