"""Checks the shell commands of the documents, without running them: shellcheck reads each
document as one script, the AWS CLI parses each `aws` command and validates its parameters by
the models of the services, and the SAM CLI has each option of a `sam` command.

Usage: commands.py SAM_VENV DOCUMENT...
"""

import contextlib
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

import awscli.clidriver
from botocore.awsrequest import AWSResponse

BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.M | re.S)

# Variables that a reader sets or another block needs, and pages that define `output`.
SHELLCHECK = ["--shell=bash", "--severity=warning", "--exclude=SC2034,SC2154"]

# Values for which the CLI needs a form. All other variables are the text `x`.
VALUES = {
    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "at": "2026-11-23T03:00:00Z",
    "old": "credits",
    "parameters": "ParameterKey=Writes,ParameterValue=closed",
    "table": "credits",
    "version": "41",
}

# What the SAM CLI accepts, one line for each command: its name and its options.
SAM_OPTIONS = """
from samcli.commands import build, deploy, package
for module in [build, deploy, package]:
    options = [option for parameter in module.cli.params for option in parameter.opts + parameter.secondary_opts]
    print(module.cli.name, *options, "--config-env", "--config-file")
"""

# GNU options and commands that macOS lacks.
GNU_ONLY = re.compile(
    r"date (?:--date|-d)|\bsha256sum\b|\bzcat\b|head -n -|env --unset|\bsed -i\b|grep -P|readlink -f"
    r"|\$\{\w+[\^,]|\bmapfile\b|\breadarray\b|declare -A|\btac\b|stat -c|base64 -w|xargs -r|(?<![-\w])timeout \d"
)


def blocks(document):
    """Line and text of each shell block."""
    text = document.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        indent, body = match[1], match[2]
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        yield text.count("\n", 0, match.start()) + 2, "\n".join(lines) + "\n"


def closing(text, start):
    """The position after the parenthesis that closes the one before start."""
    depth, position = 1, start
    while depth:
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position


def words_of(text):
    """Each simple command of a script as words, with `x` for variables and substitutions."""
    commands, words, word, quote, position = [], [], None, "", 0

    def end_word():
        nonlocal word
        if word is not None:
            words.append(word)
            word = None

    def end_command():
        nonlocal words
        end_word()
        if words:
            commands.append(words)
            words = []

    while position < len(text):
        char = text[position]
        if text.startswith("\\\n", position) and quote != "'":
            position += 2
            continue
        if quote != "'" and text.startswith("$(", position) and not text.startswith("$((", position):
            end = closing(text, position + 2)
            commands += words_of(text[position + 2 : end - 1])
            word, position = (word or "") + "x", end
            continue
        variable = re.compile(r"\$\{(\w+)[^}]*\}|\$(\w+|[?!#*@])|\$\(\(.*?\)\)").match(text, position)
        if quote != "'" and variable:
            word = (word or "") + VALUES.get(variable[1] or variable[2], "x")
            position = variable.end()
            continue
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"' and text[position + 1] in '"\\$`':
                position += 1
                word += text[position]
            else:
                word += char
        elif char in "'\"":
            quote, word = char, word or ""
        elif char == "#" and word is None:
            end = text.find("\n", position)
            position = (len(text) if end < 0 else end) - 1
        elif char in "\n;|&()<>":
            end_command()
        elif char in " \t":
            end_word()
        elif char == "\\":
            position += 1
            word = (word or "") + text[position]
        else:
            word = (word or "") + char
        position += 1
    end_command()
    return commands


def after(name, words):
    """The arguments of a command, also where `if`, `do` or an assignment precedes it."""
    for position, word in enumerate(words[:4]):
        if word == name:
            return words[position + 1 :]
        if not re.fullmatch(r"if|while|until|do|then|else|!|x|\{|time|\w+=.*|\w+", word):
            return None
    return None


def answer(**_):
    """Ends a call before it is sent, with an empty answer."""
    return AWSResponse("", 200, {}, io.BytesIO()), {}


def aws_error(arguments):
    """Why the AWS CLI rejects a command, or nothing."""
    if arguments[:2] == ["configure", "list"] or arguments[:1] == ["--version"]:
        return None
    driver = awscli.clidriver.create_clidriver()
    driver.session.register("before-call", answer)
    arguments = [re.sub(r"^fileb?://.*", "{}", argument) for argument in arguments]
    arguments = [argument for argument in arguments if argument != "..."]
    if arguments[:2] in (["s3", "cp"], ["s3", "rm"], ["s3", "sync"]):
        arguments = [*arguments, "--dryrun"]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = driver.main(arguments)
        except SystemExit as exit_status:
            status = exit_status.code
    text = errors.getvalue().strip()
    # An empty answer may end a wait or a query with an error; a rejected command is another.
    is_rejected = re.search(
        r"Parameter validation failed|Unknown options|Invalid choice|invalid choice|the following arguments"
        r"|usage:|Error parsing parameter|Invalid JSON|Bad value for --query|expected one argument",
        text,
    )
    return text if status and is_rejected else None


def sam_options(sam):
    script = subprocess.run([sam / "bin/python", "-c", SAM_OPTIONS], check=True, capture_output=True, text=True)
    return {line.split()[0]: set(line.split()[1:]) for line in script.stdout.splitlines()}


def sam_error(options, arguments):
    if arguments[:1] == ["--version"]:
        return None
    known = options.get(arguments[0])
    if known is None:
        return f"no command {arguments[0]}"
    missing = [word for word in arguments if word.startswith("--") and word.split("=")[0] not in known]
    return f"no option {missing}" if missing else None


def shellcheck(script):
    with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        found = subprocess.run(
            [pathlib.Path(sys.executable).parent / "shellcheck", *SHELLCHECK, "--format=gcc", file.name],
            capture_output=True, text=True, check=False,
        )
    return [line.removeprefix(f"{file.name}:") for line in found.stdout.splitlines()]


def check(document, options):
    """Errors of a document, and the number of commands that were checked."""
    errors, count = [], 0
    script = ""
    for line, text in blocks(document):
        # Line numbers of the script are those of the document.
        script += "\n" * (line - 1 - script.count("\n")) + text
        for words in words_of(text):
            for name, error_of in [("aws", aws_error), ("sam", lambda words: sam_error(options, words))]:
                arguments = after(name, words)
                if arguments:
                    count += 1
                    error = error_of(arguments)
                    errors += [f"{line}: {shlex.join([name, *arguments])}: {error}"] if error else []
        for found in GNU_ONLY.finditer(text):
            errors.append(f"{line}: macOS lacks: {found[0]}")
    errors += shellcheck(script)
    return [f"{document}:{error}" for error in errors], count


def main(sam, *documents):
    os.environ.update(
        AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )
    for name in ["AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"]:
        os.environ.pop(name, None)
    # A wait repeats its call until the answer is the expected one.
    time.sleep = lambda _: None
    options = sam_options(pathlib.Path(sam))
    errors, count = [], 0
    for document in map(pathlib.Path, documents):
        found, checked = check(document, options)
        errors += found
        count += checked
    assert count > 50, f"only {count} commands were found"
    print("\n".join(errors) or f"commands: {count} of {len(documents)} documents: ok")
    sys.exit(bool(errors))


main(*sys.argv[1:])
