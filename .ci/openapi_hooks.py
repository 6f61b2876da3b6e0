"""What schemathesis does to a request before it goes out: a call-back is signed."""

import hashlib
import hmac
import os
import time

import requests
import schemathesis

SECRET = os.environ["WEBHOOK_SECRET"].encode()


class Signed(requests.auth.AuthBase):
    """Signs the bytes that are sent."""

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        seconds = str(int(time.time()))
        code = hmac.new(SECRET, seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
        request.headers["X-Signature"] = f"t={seconds},v1={code}"
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path == "/webhooks/generation":
        kwargs["auth"] = Signed()
        # So that it is tried once more without.
        case._has_explicit_auth = True
