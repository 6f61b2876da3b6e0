#!/usr/bin/env python3
"""Starts the program of each zip of a release against an emulator of Lambda's runtime interface,
and sends it one malformed event, which it rejects without DynamoDB. Checks the checksums too.

Usage: bootstraps.py FOLDER_OF_A_RELEASE
"""

import hashlib
import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

TIMEOUT = 30
REQUEST = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


class RuntimeInterface(http.server.BaseHTTPRequestHandler):
    """Hands out one event, and records what the program posts about it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.server.is_sent:
            time.sleep(TIMEOUT)
            return
        self.server.is_sent = True
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", REQUEST)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + TIMEOUT) * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.answer = (self.path.rsplit("/", 1)[-1], body.decode())
        self.server.answered.set()

    def log_message(self, *_):
        """No line for each request."""


def answer_of(program):
    """What a program posts: `response` or `error`, and the body."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeInterface)
    server.daemon_threads = True
    # The program is killed with a request open.
    server.handle_error = lambda *_: None
    server.is_sent, server.answer, server.answered = False, None, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        # The connection that a cold start opens finds no server, and the event needs none.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "SCRIP_TABLE": "credits",
        "SCRIP_WEBHOOK_SECRET_ID": "secret",
        "SCRIP_STRIPE_SECRET_ID": "secret",
        "SCRIP_AUDIT_EVERY_MINUTES": "60",
        "PATH": os.environ["PATH"],
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program], env=environment, stdout=log, stderr=log)
        is_answered = server.answered.wait(TIMEOUT)
        process.kill()
        process.wait()
        server.shutdown()
        log.seek(0)
        assert is_answered, f"{program}: no answer within {TIMEOUT} s: {log.read().decode()[-2000:]}"
    return server.answer


def check_checksums(folder):
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    for line in lines:
        digest, name = line.split(maxsplit=1)
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    return len(lines)


def main(path):
    folder = pathlib.Path(path)
    print(f"checksums: {check_checksums(folder)} files")
    zips = sorted((folder / "zips").glob("*.zip"))
    assert len(zips) >= 8, zips
    for file in zips:
        with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(file) as archive:
            assert archive.namelist() == ["bootstrap"], archive.namelist()
            program = archive.extract("bootstrap", place)
            os.chmod(program, archive.getinfo("bootstrap").external_attr >> 16)
            kind, body = answer_of(program)
        # The sweep takes any event, and needs the table.
        expected = "StoreUnavailable" if file.stem.startswith("sweep") else "InvalidRequest"
        assert (kind, expected in body) == ("error", True), f"{file.name}: {kind} {body}"
        print(f"{file.stem}: starts and answers")


main(*sys.argv[1:])
