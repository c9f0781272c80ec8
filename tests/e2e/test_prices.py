"""What a request costs, told to clients and in the record, however it ends; and prices that change while the gateway runs."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from client import CLIENT_KEY, Connection, ask, request
from gateway import Cluster, closed_port, configuration, stage

MAX_DOCUMENT = 256 << 10
PUSH_KEY = "wp-push-prices"
INCLUDE = {"usage": {"include": True}}


def hash_of(key: str) -> str:
    salt = os.urandom(16)
    handle = hashlib.sha256(b"waypost handle" + key.encode()).hexdigest()[:8]
    return f"wp1.{handle}.{salt.hex()}.{hashlib.sha256(salt + key.encode()).hexdigest()}"


class PriceList:
    """An address that gives a document, or what is no document."""

    def __init__(self) -> None:
        self.status, self.body, self.served = 503, b"", 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert (self.path, self.headers["host"]) == ("/prices.json?a=1", "prices.test")
                owner.served += 1
                self.send_response(owner.status)
                self.send_header("content-length", str(len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def give(self, body: bytes | dict[str, Any], status: int = 200) -> int:
        """Gives this from now on. Returns how often it was asked until now."""
        self.body, self.status = body if isinstance(body, bytes) else json.dumps(body).encode(), status
        return self.served

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def document(usd_in: float, usd_out: float) -> dict[str, Any]:
    price = {"input_usd_per_mtok": usd_in, "output_usd_per_mtok": usd_out}
    return {"version": 1, "prices": {"one/gpt-4o": price, "nobody/knows": price}}


@pytest.fixture(scope="module")
def priced():
    prices = PriceList()
    with closed_port() as closed:

        def build(fakes):
            port, claude = fakes.ports["openai"][0], fakes.ports["anthropic"][0]
            snapshot = {"price": {"input_usd_per_mtok": 100, "output_usd_per_mtok": 1000}}
            minis = {"gpt-4o-mini": {}, "gpt-4o-mini-2024-07-18": snapshot}
            one = {"api": "openai", "models": {"gpt-4o": {}, "mine": {"model": "gpt-4o"}, "made-up": {}} | minis}
            gateway = {
                "providers": {
                    "one": one | {"endpoints": [{"cluster": "one"}]},
                    "gone": {"api": "openai", "models": {"gpt-4o": {}}, "endpoints": [{"cluster": "gone"}]},
                    "claude": {"api": "anthropic", "models": {"claude-sonnet-4-5": {}}, "endpoints": [{"cluster": "claude"}]},
                },
                "rules": [
                    {"name": "over", "when": {"model": "over"}, "targets": ["gone/gpt-4o", "claude/claude-sonnet-4-5", "one/gpt-4o"], "choose": "failover"},
                    {"name": "unpriced", "when": {"model": "unpriced"}, "targets": ["one/made-up"]},
                    {"name": "slow", "when": {"model": "slow"}, "targets": ["one/gpt-4o"], "timeouts": {"answer": "1s", "total": "1s"}},
                ],
                "prices": {
                    "url": {"cluster": "prices", "authority": "prices.test", "path": "/prices.json?a=1", "every": "1s"},
                    "push": {"key": hash_of(PUSH_KEY)},
                },
            }  # fmt: skip
            clusters = [
                Cluster("one", "one", f"127.0.0.1:{port}"),
                Cluster("gone", "gone", f"127.0.0.1:{closed}"),
                Cluster("claude", "claude", f"127.0.0.1:{claude}", key="ANTHROPIC_API_KEY"),
            ]

            def with_prices(config):
                at = {"socket_address": {"address": "127.0.0.1", "port_value": prices.port}}
                endpoints = [{"lb_endpoints": [{"endpoint": {"address": at}}]}]
                load = {"cluster_name": "prices", "endpoints": endpoints}
                config["static_resources"]["clusters"].append({"name": "prices", "connect_timeout": "1s", "load_assignment": load})

            return configuration(gateway, clusters, with_prices)

        with stage(build) as made:
            made.prices = prices
            yield made
    prices.stop()


def becomes(value, wanted, seconds=12):
    deadline = time.monotonic() + seconds
    while value() != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def standing(made):
    return ask(made.gateway.status_port, "GET", "/waypost/status").json()["prices"]


def rates(made, tries=24):
    """What two sizes of requests cost at either worker, as dollars per million tokens in and out: every answer
    that was seen, over as many connections."""
    seen = set()
    for _ in range(tries):
        usage = made.chat("x" * 400, "one/gpt-4o", **INCLUDE).json()["usage"]
        other = made.chat("x", "one/gpt-4o", max_tokens=1, **INCLUDE).json()["usage"]
        a, b, c = usage["prompt_tokens"], usage["completion_tokens"], usage["cost"] * 1e6
        d, e, f = other["prompt_tokens"], other["completion_tokens"], other["cost"] * 1e6
        seen.add((round((c * e - f * b) / (a * e - d * b), 3), round((a * f - d * c) / (a * e - d * b), 3)))
    return seen


def counter(made, outcome):
    name = f"wasmcustom.waypost_prices;outcome={outcome}"
    return made.gateway.stats("wasmcustom.waypost_prices").get(name, 0)


def test_a_client_that_asks_is_told_in_the_answer_and_in_a_header(priced):
    plain = priced.chat("hello", "one/mine")
    assert "cost" not in plain.json()["usage"] and plain.get("x-waypost-cost-usd") is None
    for headers, fields in (({}, INCLUDE), ({"x-waypost-cost": "include"}, {})):
        answer = priced.chat("hello", "one/mine", headers=headers, **fields)
        usage = answer.json()["usage"]
        expected = (usage["prompt_tokens"] * 2.5 + usage["completion_tokens"] * 10) / 1e6
        assert usage["cost"] == pytest.approx(expected, abs=1e-9) and "estimated" not in usage
        assert float(answer["x-waypost-cost-usd"]) == usage["cost"]
        sent = priced.fakes.last(priced.fakes.ports["openai"][0])
        assert b'"usage"' not in json.dumps(sent["body"]).encode() and "x-waypost-cost" not in json.dumps(sent["headers"])


@pytest.mark.parametrize("model", ["one/mine", "claude/claude-sonnet-4-5"])
@pytest.mark.parametrize("asks", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_tells_its_cost_in_the_last_chunk(priced, model, asks):
    answer = priced.chat("hello", model, stream=True, **INCLUDE, **asks)
    *_, last, done = answer.events()
    rate_in, rate_out = (2.5, 10) if "mine" in model else (3, 15)
    usage = last["usage"]
    assert done == "[DONE]" and last["choices"] == [] and answer.get("x-waypost-cost-usd") is None
    expected = (usage["prompt_tokens"] * rate_in + usage["completion_tokens"] * rate_out) / 1e6
    assert usage["cost"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_names_another_listed_model_has_its_price(priced, stream):
    answer = priced.chat("hello", "one/gpt-4o-mini", stream=stream, **INCLUDE)
    last = answer.events()[-2] if stream else answer.json()
    usage = last["usage"]
    assert last["model"] == "gpt-4o-mini-2024-07-18"
    assert usage["cost"] == pytest.approx((usage["prompt_tokens"] * 100 + usage["completion_tokens"] * 1000) / 1e6, abs=1e-9)


def test_a_model_without_a_price_has_no_cost_rather_than_none(priced):
    answer = priced.chat("hello", "unpriced", **INCLUDE)
    assert answer.json()["usage"]["cost"] is None and answer["x-waypost-cost-usd"] == "null"
    record = priced.gateway.audited(answer["x-request-id"])
    assert record["cost_usd"] is None and record["unpriced"] is True


def attempts(made, answer_or_id):
    request_id = answer_or_id if isinstance(answer_or_id, str) else answer_or_id["x-request-id"]
    record = made.gateway.audited(request_id)
    return record, [(one["provider"], one.get("input_tokens", 0), one.get("output_tokens", 0), one.get("estimated", False)) for one in record["attempts"]]


def test_no_connection_costs_nothing_a_reset_its_input_and_the_answer_what_was_counted(priced):
    answer = priced.chat("x" * 400 + "[[anthropic:reset]]", "over", **INCLUDE)
    usage = answer.json()["usage"]
    _, made = attempts(priced, answer)
    assert [one[0] for one in made] == ["gone", "claude", "one"], made
    assert made[0][1:] == (0, 0, False)
    assert made[1][1] >= 100 and made[1][2:] == (0, True)
    assert made[2][1:] == (usage["prompt_tokens"], usage["completion_tokens"], False)
    claude = made[1][1] * 3
    one = usage["prompt_tokens"] * 2.5 + usage["completion_tokens"] * 10
    assert usage["cost"] == pytest.approx((claude + one) / 1e6, abs=1e-9)


def test_a_refusal_costs_nothing(priced):
    answer = priced.chat("hello [[anthropic:status=529]]", "over", **INCLUDE)
    _, made = attempts(priced, answer)
    assert made[1] == ("claude", 0, 0, False)


def test_a_timeout_costs_the_input(priced):
    answer = priced.chat("x" * 400 + "[[openai:slow=5]]", "slow", **INCLUDE)
    assert answer.status == 504
    _, made = attempts(priced, answer)
    assert len(made) == 1 and made[0][1] >= 100 and made[0][2:] == (0, True)


def leave(made, text, model, until, **fields):
    """Sends a request under an id of its own and leaves once `until` bytes of the answer are there."""
    body = request(text, model, **fields)
    with Connection(made.port) as connection:
        connection.send_request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {CLIENT_KEY}"})
        connection.socket.settimeout(10)
        seen = b""
        while until not in seen:
            piece = connection.socket.recv(1 << 16)
            assert piece, seen
            seen += piece
            if not until:
                break
    return seen


def last_record(made, mark, seconds=12):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for record in reversed(made.gateway.audit_log()):
            if record.get("requested_model", record.get("model")) == mark:
                return record
        time.sleep(0.05)
    raise AssertionError("no record")


def test_a_client_that_leaves_a_stream_pays_for_what_was_said(priced):
    before = len(priced.gateway.audit_log())
    leave(priced, "[[openai:slow_chunks=0.3]] " + "word " * 60, "one/gpt-4o", b"word word", stream=True)
    assert becomes(lambda: len(priced.gateway.audit_log()) > before, True)
    attempt = priced.gateway.audit_log()[-1]["attempts"][0]
    assert attempt["estimated"] is True and attempt["input_tokens"] >= 70
    assert 2 <= attempt["output_tokens"] <= 60, attempt


def test_a_client_that_leaves_before_the_answer_pays_for_what_it_would_have_got(priced):
    before = len(priced.gateway.audit_log())
    body = request("[[openai:slow=3]] " + "x" * 400, "one/gpt-4o", max_tokens=9)
    with Connection(priced.port) as connection:
        connection.send_request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {CLIENT_KEY}"})
        time.sleep(0.5)
    assert becomes(lambda: len(priced.gateway.audit_log()) > before, True)
    attempt = priced.gateway.audit_log()[-1]["attempts"][0]
    assert (attempt["estimated"], attempt["output_tokens"]) == (True, 9) and attempt["input_tokens"] >= 100


def test_prices_are_polled_and_hold_at_all_workers(priced):
    assert standing(priced) is None and rates(priced, 4) == {(2.5, 10.0)}
    priced.prices.give(document(7, 70))
    assert becomes(lambda: (standing(priced) or {}).get("number"), 1, 40)
    time.sleep(1.2)
    assert rates(priced) == {(7.0, 70.0)}
    assert counter(priced, "taken") == 1 and standing(priced)["age_s"] <= 30
    said = b"prices: document 1 is taken: 1 models, and 1 that are not configured"
    assert becomes(lambda: said in priced.gateway.log(), True)
    polled = priced.prices.served
    assert becomes(lambda: priced.prices.served >= polled + 2, True)
    assert standing(priced)["number"] == 1


@pytest.mark.parametrize("bad, status, said", [
    (b"garbage", 200, b"the document is not JSON"),
    (json.dumps(document(-1, 1)).encode(), 200, b"input_usd_per_mtok: must be a number from 0 to 100000, but is -1"),
    (json.dumps(document(9, 90)).encode() + b" " * MAX_DOCUMENT, 200, b"the document is longer than"),
    (b" " * (3 << 20), 200, b"the document is longer than"),
])  # fmt: skip
def test_what_is_no_document_is_refused_and_the_last_prices_hold(priced, bad, status, said):
    refused = counter(priced, "refused")
    # A failed poll is tried again within a second, as prices are due each second.
    priced.prices.give(bad, status)
    assert becomes(lambda: counter(priced, "refused") > refused, True)
    assert becomes(lambda: said in priced.gateway.log(), True)
    assert standing(priced)["number"] == 1 and rates(priced, 4) == {(7.0, 70.0)}


def test_an_address_that_fails_is_asked_again(priced):
    asked = priced.prices.give(b"", 500)
    assert becomes(lambda: priced.prices.served >= asked + 2, True)
    assert counter(priced, "failed") >= 1 and rates(priced, 4) == {(7.0, 70.0)}
    priced.prices.give(document(8, 80))
    assert becomes(lambda: standing(priced)["number"], 2)
    time.sleep(1.2)
    assert rates(priced) == {(8.0, 80.0)}


def push(made, body, key=PUSH_KEY, method="POST", path="/waypost/prices"):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return ask(made.gateway.status_port, method, path, body, headers)


def test_prices_are_pushed_with_the_right_key_only(priced):
    # What is polled must not come between.
    priced.prices.give(b"", 500)
    time.sleep(1.5)
    number = standing(priced)["number"]
    new = json.dumps(document(3, 30)).encode()
    for key in (None, "wp-push-price", PUSH_KEY + "s", CLIENT_KEY):
        answer = push(priced, new, key)
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert answer["www-authenticate"] == "Bearer"
    answer = push(priced, new)
    assert (answer.status, answer.json()) == (200, {"number": number + 1})
    time.sleep(1.2)
    assert rates(priced) == {(3.0, 30.0)}
    answer = push(priced, b"{}")
    assert (answer.status, answer.error["code"]) == (400, "invalid_prices")
    assert push(priced, b" " * (MAX_DOCUMENT + 1)).status == 413
    assert push(priced, b" " * (2 << 20)).status == 413
    assert push(priced, None, method="GET").status == 404
    assert push(priced, b"", path="/waypost/status").status == 405
    assert push(priced, b"", path="/waypost/other").status == 404
    assert rates(priced, 4) == {(3.0, 30.0)}
    assert PUSH_KEY.encode() not in priced.gateway.log()
