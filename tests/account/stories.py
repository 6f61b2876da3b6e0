#!/usr/bin/env python3
"""Runs stories against a deployed stack: by direct and asynchronous invocation, over HTTP with
and without a token, and by signed call-backs. Every run has users of its own.

Usage: stories.py run | stories.py slow | stories.py teardown
`slow` also waits for the failure queue and closes the writes, for some 20 minutes.
`teardown` deletes the stack, its table and its queue, if its name begins with scrip-test.

Environment: the credentials and the Region of the AWS SDK, and
  SCRIP_STACK          name of the stack
  SCRIP_TOKEN_COMMAND  prints a token with the scopes to read and write; without it the
                       stories with a token are left out
  SCRIP_API_URL        URL of the API, if it is not the output ApiUrl of the stack
  SCRIP_RELEASE        Release of the deployment, if it is to be compared
"""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.exceptions import ClientError

STACK = os.environ["SCRIP_STACK"]
RUN = uuid.uuid4().hex[:12]

cloudformation = boto3.client("cloudformation")
functions = boto3.client("lambda")
queues = boto3.client("sqs")


class Stack:
    """The deployed stack: its outputs and resources."""

    def __init__(self):
        (description,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
        self.parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in description["Parameters"]}
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        self.resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        self.url = os.environ.get("SCRIP_API_URL") or self.outputs["ApiUrl"]

    def names(self, kind):
        return [resource["PhysicalResourceId"] for resource in self.resources if resource["ResourceType"] == kind]

    def invoke(self, function, payload):
        """The answer of a direct invocation, or the error code as text."""
        answer = functions.invoke(FunctionName=self.outputs[f"{function}Arn"], Payload=json.dumps(payload))
        body = json.load(answer["Payload"])
        return body["errorType"] if "FunctionError" in answer else body

    def invoke_async(self, function, payload):
        arn = self.outputs[f"{function}Arn"]
        functions.invoke(FunctionName=arn, Payload=json.dumps(payload), InvocationType="Event")

    def http(self, method, path, body=None, headers=None):
        """Status and body of an HTTP request."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


def user(name):
    return f"account-{RUN}-{name}"


def charge(owner, credits, generation):
    return {"user_uuid": owner, "trans_type": "chat", "credits": credits, "generation_uuid": f"{owner}-{generation}"}


def grant(owner, credits):
    return {"user_uuid": owner, "trans_type": "new_user", "credits": credits}


def refund(owner, generation):
    return {"user_uuid": owner, "generation_uuid": f"{owner}-{generation}", "reason": "a story"}


def expect(actual, expected, about):
    assert actual == expected, f"{about}: {actual}, expected {expected}"


def wait_until(condition, about, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {about}"
        time.sleep(1 if seconds <= 60 else 10)


def direct_invocations(stack):
    owner = user("direct")
    expect(stack.invoke("Grant", grant(owner, 10))["balance"], 10, "grant")
    expect(stack.invoke("Grant", grant(owner, 10))["replayed"], True, "grant again")
    expect(stack.invoke("Decrease", charge(owner, 4, "g"))["balance"], 6, "charge")
    expect(stack.invoke("Decrease", charge(owner, 4, "g"))["replayed"], True, "charge again")
    expect(stack.invoke("Decrease", charge(owner, 5, "g")), "IdempotencyConflict", "another charge")
    expect(stack.invoke("Decrease", charge(owner, 7, "h")), "InsufficientCredits", "charge beyond the balance")
    expect(stack.invoke("Refund", refund(owner, "g"))["outcome"], "voided", "refund")
    expect(stack.invoke("Refund", refund(owner, "g"))["outcome"], "already_voided", "refund again")
    expect(stack.invoke("Balance", {"user_uuid": owner})["balance"], 10, "balance")
    timeline = {"operation": "timeline", "user_uuid": owner, "include_voided": True}
    wait_until(lambda: len(stack.invoke("History", timeline)["records"]) == 2, "the timeline shows both records")


def asynchronous_refund(stack):
    owner = user("async")
    stack.invoke("Grant", grant(owner, 10))
    stack.invoke("Decrease", charge(owner, 4, "g"))
    stack.invoke_async("Refund", refund(owner, "g"))
    wait_until(lambda: stack.invoke("Balance", {"user_uuid": owner})["balance"] == 10, "the refund is done")


def callers_without_a_token(stack):
    expect(stack.http("GET", "/nowhere")[0], 404, "an unknown path")
    expect(stack.http("GET", "/credits/u/balance")[0], 401, "a balance without a token")
    # Without an issuer the route does not exist.
    expected = 401 if stack.parameters["TokenIssuer"] else 404
    expect(stack.http("POST", "/credits/grant", grant("u", 1))[0], expected, "a grant without a token")


def callers_with_a_token(stack):
    command = os.environ.get("SCRIP_TOKEN_COMMAND")
    if not command:
        return "left out: SCRIP_TOKEN_COMMAND is not set"
    token = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.strip()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    owner = user("token")
    for path, body, status, field, value in [
        ("/credits/grant", grant(owner, 10), 201, "balance", 10),
        ("/credits/grant", grant(owner, 10), 200, "replayed", True),
        ("/credits/decrease", charge(owner, 4, "g"), 200, "balance", 6),
        ("/credits/decrease", charge(owner, 7, "h"), 402, "code", "InsufficientCredits"),
        ("/credits/refund", refund(owner, "g"), 200, "outcome", "voided"),
        ("/credits/decrease", charge(owner, 4, "g"), 409, "code", "GenerationVoided"),
    ]:
        answer = stack.http("POST", path, body, headers)
        expect((answer[0], answer[1].get(field)), (status, value), f"{path} {body}: {answer}")
    expect(stack.http("GET", f"/credits/{owner}/balance", headers=headers)[1]["balance"], 10, "balance")


def signed_call_backs(stack):
    owner = user("called")
    stack.invoke("Grant", grant(owner, 10))
    stack.invoke("Decrease", charge(owner, 4, "g"))
    values = boto3.client("secretsmanager").get_secret_value(SecretId=stack.outputs["WebhookSecretArn"])
    secret = values["SecretString"].split()[0]
    body = json.dumps({"user_uuid": owner, "generation_uuid": f"{owner}-g", "status": "failed"}).encode()

    def sent(secret):
        now = str(int(time.time()))
        signature = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"x-signature": f"t={now},v1={signature}", "content-type": "application/json"}
        return stack.http("POST", "/webhooks/generation", body, headers)

    expect(sent("another-secret-of-a-stranger")[0], 401, "a forged call-back")
    status, answer = sent(secret)
    expect((status, answer.get("outcome")), (200, "voided"), f"a call-back: {answer}")
    expect(stack.invoke("Balance", {"user_uuid": owner})["balance"], 10, "balance")


def audits(stack):
    answer = stack.invoke("Audit", {})
    expect((answer["drifted"], answer["failed"]), (0, 0), f"an audit: {answer}")


def aliases(stack):
    release = os.environ.get("SCRIP_RELEASE")
    for name in stack.names("AWS::Lambda::Function"):
        alias = functions.get_alias(FunctionName=name, Name="live")
        assert not alias.get("RoutingConfig"), f"{name}: a canary is running"
        version = functions.get_function_configuration(FunctionName=name, Qualifier="live")
        if release:
            expect(version["Description"], f"Release {release}", name)


def failures_are_queued(stack):
    """Lambda retries twice, after one and two minutes."""
    owner = user("queued")
    stack.invoke_async("Grant", {"user_uuid": owner, "trans_type": "new_user"})

    def is_queued():
        found = queues.receive_message(QueueUrl=stack.outputs["FailureQueueUrl"], WaitTimeSeconds=10, VisibilityTimeout=5)
        for message in found.get("Messages", []):
            if owner in message["Body"]:
                assert json.loads(message["Body"])["requestPayload"]["user_uuid"] == owner, message["Body"]
                queues.delete_message(QueueUrl=stack.outputs["FailureQueueUrl"], ReceiptHandle=message["ReceiptHandle"])
                return True
        return False

    wait_until(is_queued, "the failed grant is in the queue", 600)


def closed_writes(stack):
    owner = user("closed")
    set_writes(stack, "closed")
    try:
        wait_until(lambda: rejects(stack, owner), "Lambda rejects a grant", 120)
        expect(stack.invoke("Balance", {"user_uuid": owner})["balance"], 0, "reads go on")
    finally:
        set_writes(stack, "open")
    expect(stack.invoke("Grant", grant(owner, 1))["balance"], 1, "grant after closed writes")


def rejects(stack, owner):
    try:
        stack.invoke("Grant", grant(owner, 1) | {"credits": 0})
    except ClientError as error:
        return error.response["Error"]["Code"] == "TooManyRequestsException"
    return False


def set_writes(stack, value):
    others = [{"ParameterKey": name, "UsePreviousValue": True} for name in stack.parameters if name != "Writes"]
    cloudformation.update_stack(
        StackName=STACK,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": "Writes", "ParameterValue": value}, *others],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=STACK)


STORIES = [
    direct_invocations,
    asynchronous_refund,
    callers_without_a_token,
    callers_with_a_token,
    signed_call_backs,
    audits,
    aliases,
]
SLOW_STORIES = [failures_are_queued, closed_writes]


def run(stories):
    stack = Stack()
    failed = 0
    for story in stories:
        try:
            print(f"{story.__name__}: {story(stack) or 'ok'}", flush=True)
        except Exception as error:
            failed += 1
            print(f"{story.__name__}: FAILED: {error!r}", flush=True)
    print(f"{len(stories) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


def teardown():
    assert STACK.startswith("scrip-test"), f"{STACK} is no stack of a test: its name must begin with scrip-test"
    stack = Stack()
    table = stack.outputs["TableName"]
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK)
    tables = boto3.client("dynamodb")
    tables.update_table(TableName=table, DeletionProtectionEnabled=False)
    tables.get_waiter("table_exists").wait(TableName=table)
    tables.delete_table(TableName=table)
    queues.delete_queue(QueueUrl=stack.outputs["FailureQueueUrl"])
    print(f"deleted: stack {STACK}, table {table} and the failure queue")


COMMANDS = {
    "run": lambda: run(STORIES),
    "slow": lambda: run(STORIES + SLOW_STORIES),
    "teardown": teardown,
}
if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
    sys.exit(__doc__)
COMMANDS[sys.argv[1]]()
