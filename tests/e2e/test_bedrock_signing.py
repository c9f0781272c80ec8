"""Bedrock behind examples/bedrock/envoy.yaml: Envoy signs what the waypost filter wrote, and botocore agrees.

The provider here answers nothing but requests whose signature it could compute itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from client import CLIENT_KEY, Response, ask, request
from gateway import ROOT, Gateway, answer_anybody, module
from render import render

REGION = "us-east-1"
HOST = f"bedrock-runtime.{REGION}.amazonaws.com"
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE0EXAMPLE0", "secret/of+the/gateway+at/bedrock", "token+of/the=session"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}

NOVA = "amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1"
MODELS = [NOVA, "us.anthropic.claude-opus-5-5", PROFILE, ROUTER]

AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")


class Verifier(SigV4Auth):
    """botocore's signer, made to sign exactly the headers that a request says it signed."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers


def fault(method: str, path: str, headers: list[tuple[str, str]], body: bytes, secret: str) -> str | None:
    """What is wrong with the signature of a request as it arrived."""
    given = {}
    for name, value in headers:
        if name.lower() in given:
            return f"the header {name} came twice"
        given[name.lower()] = value
    match = AUTHORIZATION.fullmatch(given.get("authorization", ""))
    if not match:
        return f"no signature: {given.get('authorization')!r}"
    scope, signed, signature = match.groups()
    stamp = given.get("x-amz-date", "")
    if scope != f"{KEY_ID}/{stamp[:8]}/{REGION}/bedrock/aws4_request":
        return f"another scope: {scope}"
    missing = [name for name in signed.split(";") if name not in given]
    if missing:
        return f"signed and not sent: {missing}"
    known = AWSRequest(method, f"https://{given['host']}{path}", headers={n: given[n] for n in signed.split(";")}, data=body)
    known.context["timestamp"] = stamp
    verifier = Verifier(Credentials(KEY_ID, secret, TOKEN), "bedrock", REGION)
    canonical = verifier.canonical_request(known)
    expected = verifier.signature(verifier.string_to_sign(known, canonical), known)
    return None if hmac.compare_digest(expected, signature) else f"another signature than for\n{canonical}"


def frame(kind: str, payload: dict[str, Any]) -> bytes:
    headers = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
    body = json.dumps(payload).encode()
    head = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    whole = head + struct.pack("!I", zlib.crc32(head)) + headers + body
    return whole + struct.pack("!I", zlib.crc32(whole))


USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Signed."}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 1},
}
STREAM = [
    frame("messageStart", {"role": "assistant"}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Sig"}}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ned."}}),
    frame("contentBlockStop", {"contentBlockIndex": 0}),
    frame("messageStop", {"stopReason": "end_turn"}),
    frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
]


class Bedrock(BaseHTTPRequestHandler):
    """Answers what is signed with the secret of its server, and remembers every request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = list(self.headers.items())
        wrong = fault("POST", self.path, headers, body, self.server.secret)
        self.server.seen.append({"path": self.path, "headers": dict(headers), "body": body, "fault": wrong})
        if wrong:
            message = {"message": "The request signature we calculated does not match the signature you provided."}
            self._answer(403, "application/json", [json.dumps(message).encode()], ("x-amzn-errortype", "InvalidSignatureException"))
        elif self.path.endswith("/converse-stream"):
            self._answer(200, "application/vnd.amazon.eventstream", STREAM)
        else:
            self._answer(200, "application/json", [json.dumps(ANSWER).encode()], ("x-amzn-requestid", "req-1"))

    def _answer(self, status: int, kind: str, pieces: list[bytes], *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(sum(map(len, pieces)))), *headers):
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


class World:
    """Bedrock, and the gateway before it."""

    def __init__(self, server: ThreadingHTTPServer, gateway: Gateway) -> None:
        self.server = server
        self.gateway = gateway

    def chat(self, model: str = NOVA, text: str = "hi", **fields: Any) -> Response:
        given = {"authorization": f"Bearer {CLIENT_KEY}", "x-amz-date": "20200101T000000Z", "x-amz-security-token": "client"}
        return ask(self.gateway.port, "POST", "/v1/chat/completions", request(text, model, **fields), given, timeout=30)

    def last(self) -> dict[str, Any]:
        return self.server.seen[-1]


def configuration(port: int, inline: bool) -> dict[str, Any]:
    """examples/bedrock/envoy.yaml with this provider in the place of Amazon's."""
    values = {
        "admin_port": "0",
        "listener_port": "0",
        "wasm": str(module()),
        "bedrock": f"127.0.0.1:{port}",
        "bedrock_tls": "off",
        "bedrock_http": "explicit_http_config: { http_protocol_options: {} }",
    }
    config = yaml.safe_load(render((ROOT / "examples/bedrock/envoy.yaml").read_text(encoding="utf-8"), values=values))
    resources = config["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    role = manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
    answer_anybody(role)
    role["providers"]["bedrock"]["models"] = {name: {"context_window": 1 << 30} for name in MODELS}
    role["rules"] = [{"name": f"m{at}", "when": {"model": name}, "targets": [f"bedrock/{name}"]} for at, name in enumerate(MODELS)]
    if inline:
        options = next(iter(resources["clusters"][0]["typed_extension_protocol_options"].values()))
        secret = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "session_token": TOKEN}
        options["http_filters"][1]["typed_config"]["credential_provider"] = {"inline_credential": secret}
    return config


@contextmanager
def world(secret: str = SECRET, inline: bool = False, environment: dict[str, str] | None = None) -> Iterator[World]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bedrock)
    server.secret, server.seen = secret, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        gateway = Gateway(configuration(server.server_port, inline), ENVIRONMENT if environment is None else environment)
        try:
            yield World(server, gateway)
        finally:
            gateway.stop()
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def signed() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
def test_botocore_agrees_with_the_signature(signed: World, model: str, stream: bool) -> None:
    answer = signed.chat(model, stream=stream, stream_options={"include_usage": True} if stream else None)
    seen = signed.last()
    assert seen["fault"] is None
    assert (answer.status, answer.text) == (200, "Signed.")
    if stream:
        events = answer.events()
        assert events[-1] == "[DONE]" and events[-2]["usage"]["total_tokens"] == 5
    else:
        assert answer.json()["id"] == "chatcmpl-req-1"
    _, segment, action = seen["path"].removeprefix("/").split("/")
    assert unquote(segment) == model and ":" not in segment
    assert action == ("converse-stream" if stream else "converse")


def test_what_the_filter_wrote_is_what_was_signed(signed: World) -> None:
    assert signed.chat(text="Grüße").status == 200
    seen = signed.last()
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    names = AUTHORIZATION.fullmatch(headers["authorization"])[2].split(";")
    # All but what proxies may change, and the host is Amazon's, not the one that the client asked.
    assert {"host", "content-type", "accept", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} <= set(names)
    assert headers["host"] == HOST
    assert headers["x-amz-security-token"] == TOKEN
    assert headers["x-amz-content-sha256"] == hashlib.sha256(seen["body"]).hexdigest()
    assert json.loads(seen["body"]) == {"messages": [{"role": "user", "content": [{"text": "Grüße"}]}]}
    assert int(headers["content-length"]) == len(seen["body"])
    assert CLIENT_KEY not in str(headers)
    assert SECRET not in str(headers)


def test_a_streamed_answer_is_asked_for_in_amazons_form(signed: World) -> None:
    assert signed.chat(stream=True).status == 200
    headers = {name.lower(): value for name, value in signed.last()["headers"].items()}
    assert headers["accept"] == "application/vnd.amazon.eventstream"


def test_a_long_request_is_signed_whole(signed: World) -> None:
    text = "long " * 1_000_000
    assert signed.chat(text=text).text == "Signed."
    seen = signed.last()
    assert seen["fault"] is None
    assert json.loads(seen["body"])["messages"][0]["content"][0]["text"] == text


def test_many_requests_on_one_connection_are_each_signed(signed: World) -> None:
    before = len(signed.server.seen)
    for number in range(20):
        assert signed.chat(MODELS[number % len(MODELS)], f"request {number}").text == "Signed."
    assert [seen["fault"] for seen in signed.server.seen[before:]] == [None] * 20


def test_credentials_may_stand_in_the_configuration() -> None:
    with world(inline=True, environment={}) as made:
        assert made.chat().text == "Signed."
        assert made.last()["fault"] is None


def test_a_wrong_secret_is_found_out_and_told_as_the_gateways_fault() -> None:
    with world(secret="another") as made:
        answer = made.chat()
        assert "another signature" in made.last()["fault"]
        # It is not the client's key that was refused.
        assert answer.status >= 500
        assert SECRET not in answer.body.decode() and KEY_ID not in answer.body.decode()


def test_without_credentials_requests_go_unsigned_and_are_refused() -> None:
    with world(environment={"AWS_EC2_METADATA_DISABLED": "true"}) as made:
        answer = made.chat()
        assert made.last()["fault"].startswith("no signature")
        assert answer.error["code"] == "provider_auth_failed"
