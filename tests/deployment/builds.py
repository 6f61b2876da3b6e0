"""Checks which commands `sam build` and .ci/release run for each architecture, with a fake
cargo on the path, which records its arguments and makes an empty program.

Usage: builds.py SAM_VENV
"""

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

FAKE = r"""#!/usr/bin/env python3
import os, pathlib, sys

arguments = sys.argv[1:]
with open(os.environ["RECORD"], "a", encoding="utf-8") as record:
    print(pathlib.Path.cwd().name, *arguments, file=record)
if arguments[:1] == ["metadata"]:
    os.execv(os.environ["REAL_CARGO"], ["cargo", *arguments])
if "build" in arguments:
    default = os.environ.get("CARGO_TARGET_DIR", "target") + "/lambda"
    folder = pathlib.Path(arguments[arguments.index("--lambda-dir") + 1] if "--lambda-dir" in arguments else default)
    program = folder / pathlib.Path.cwd().name / "bootstrap"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_bytes(b"")
"""


def recorded(command, source, place):
    """The calls of cargo in a run of this command, on a copy of the repository."""
    record = place / "record"
    record.write_text("", encoding="utf-8")
    tools = place / "venv/bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ["cargo", "cargo-lambda"]:
        (tools / name).write_text(FAKE, encoding="utf-8")
        (tools / name).chmod(stat.S_IRWXU)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "RECORD": str(record),
        "REAL_CARGO": shutil.which("cargo") or "",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in record.read_text(encoding="utf-8").splitlines() if " build" in line]


def main(sam):
    sam = pathlib.Path(sam).resolve() / "bin/sam"
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        source = place / "source"
        listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target)
        count = sum(path.is_dir() for path in (source / "functions").iterdir())
        for architecture, option in [("arm64", "--arm64"), ("x86_64", "--x86-64")]:
            parameters = ["--parameter-overrides", f"Architecture={architecture}"]
            of_sam = recorded([sam, "build", *parameters], source, place)
            release = [".ci/release", place / "venv", architecture]
            of_release = recorded(release, source, place)
            # sam names arm64 only: on an ARM machine its x86_64 is what cargo-lambda chooses.
            for calls, is_named in [(of_sam, architecture == "arm64"), (of_release, True)]:
                assert len(calls) == count, calls
                assert all((option in call.split()) == is_named for call in calls), calls
                print(f"{architecture}: cargo {calls[0].split(maxsplit=1)[1]}".replace(f"{source}/", ""))


main(*sys.argv[1:])
