"""Mirrored requests: the copy arrives as its target speaks, and the client cannot tell that there is one."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import BUSY_SECONDS, CLIENT_KEY, Connection, request
from gateway import KEYS, Cluster, configuration, stage
from recorder import Recorder, answer

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
MAX_MIRRORS = 64
"""`filter::mirror::MAX_MIRRORS`, for each of two workers."""
MAX_MIRRORED_BYTES = 1 << 20
"""`filter::mirror::MAX_MIRRORED_BYTES`."""


def rule(name, **more):
    """A rule for a model of its name."""
    return {"name": name, "when": {"model": name}, "targets": ["first/gpt-4o"]} | more


@pytest.fixture(scope="module")
def mirrored():
    """A rule for each kind of mirror. The answers come from the first fake, the copies go to the second."""
    with Recorder(lambda _: answer("200 OK", b'{"id": "' + b"x" * 5_000_000 + b'"}')) as large:

        def build(fakes):
            first, second = fakes.all
            gateway = {
                "loopback": "waypost_loopback",
                "timeouts": {"answer": "3s", "first_token": "3s"},
                "providers": {
                    "first": {"api": "openai", "endpoints": [{"cluster": "first"}], "models": {"gpt-4o": {}, "text-embedding-3-small": {}}},
                    "second": {
                        "api": "anthropic", "endpoints": [{"cluster": "second"}], "models": {"claude-haiku-4-5": {}},
                        # What fails here is to fail again: a target whose breaker is open gets no copies.
                        "breaker": {"consecutive_failures": 1000, "min_requests": 10000},
                    },
                    "large": {"api": "openai", "endpoints": [{"cluster": "large"}], "models": {"gpt-4o-mini": {}}},
                    "again": {"api": "openai", "endpoints": [{"cluster": "again"}], "models": {"text-embedding-3-small": {}}},
                },
                "rules": [
                    rule("plain"),
                    rule("mirrored", mirror={"target": "second/claude-haiku-4-5", "share": "100%"}),
                    rule("large", mirror={"target": "large/gpt-4o-mini", "share": "100%"}),
                    {
                        "name": "vectors", "when": {"model": "text-embedding-3-small"}, "targets": ["first/text-embedding-3-small"],
                        "mirror": {"target": "again/text-embedding-3-small", "share": "100%"},
                    },
                ],
            }  # fmt: skip
            return configuration(
                gateway,
                [
                    Cluster("first", "first", f"127.0.0.1:{first}"),
                    Cluster("second", "second", f"127.0.0.1:{second}", "ANTHROPIC_API_KEY"),
                    Cluster("large", "large", large.address),
                    Cluster("again", "again", f"127.0.0.1:{first}"),
                ],
            )

        with stage(build) as made:
            made.first, made.second = made.fakes.all
            made.large = large
            yield made


@pytest.fixture(autouse=True)
def unseen(mirrored):
    assert mirrored.fakes.idle(mirrored.second)
    mirrored.fakes.reset()
    mirrored.large.requests.clear()


def copies(stage, count, seconds=BUSY_SECONDS):
    """The requests of the second fake, once there are `count`."""
    deadline = time.monotonic() + seconds
    while stage.fakes.state(stage.second)["requests"] < count and time.monotonic() < deadline:
        time.sleep(0.02)
    found = stage.fakes.requests(stage.second)
    assert len(found) == count, found
    return found


def records(stage, of, seconds=BUSY_SECONDS):
    """The access log's line of the copy of a request, and its record."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in stage.gateway.access_log():
            record = json.loads(line["record"] or "{}")
            if record.get("mirror_of") == of:
                return line, record
        time.sleep(0.02)
    raise AssertionError(f"no copy of {of} in the access log")


def counted(stage, provider):
    """The copies to a provider, by what became of them."""
    found = {"sent": 0, "dropped": 0, "failed": 0}
    for name, value in stage.gateway.stats("wasmcustom.waypost_mirrors").items():
        labels = dict(label.split("=") for label in name.split(";")[1:])
        if labels["provider"] == provider:
            found[labels["outcome"]] += value
    return found


def told(response):
    """What a client sees of an answer, but for ids, dates and who waited how long for it."""
    varying = ("date", "x-request-id", "x-waypost-rule")
    headers = [(name, value) for name, value in response.headers if name not in varying]
    return response.status, headers, re.sub(rb"chatcmpl-\w+|\"created\": ?\d+", b"", response.body), response.ending


@STREAM
def test_a_copy_arrives_as_its_target_speaks_with_that_providers_key(mirrored, stream):
    private = {"cookie": "session=secret-of-the-client", "x-private": "secret-of-the-client", "x-api-key": CLIENT_KEY}
    answered = mirrored.chat("hello", "mirrored", stream=stream, headers=private)
    assert answered.text.startswith("Hello from openai"), answered
    (copy,) = copies(mirrored, 1)
    assert (copy["method"], copy["path"]) == ("POST", "/v1/messages")
    headers = dict(copy["headers"])
    assert headers["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]
    assert CLIENT_KEY not in str(copy) and "secret-of-the-client" not in str(copy)
    assert not any(name.startswith(("x-waypost", "x-envoy", "x-forwarded")) for name in headers), headers
    body = json.loads(copy["body"])
    assert body["model"] == "claude-haiku-4-5"
    assert body.get("stream", False) == stream
    assert body["messages"] == [{"role": "user", "content": "hello"}], body


def test_the_record_of_a_copy_names_the_request_that_it_is_of(mirrored):
    mine = mirrored.chat("hello", "mirrored")["x-request-id"]
    line, record = records(mirrored, mine)
    assert line["request_id"] != mine
    assert (record["purpose"], record["route"], record["requested_model"]) == ("mirror", "mirrored", "mirrored")
    (attempt,) = record["attempts"]
    assert (attempt["provider"], attempt["model"], attempt["outcome"]) == ("second", "claude-haiku-4-5", "answered")
    assert "mirror" not in mirrored.gateway.logged(mine)["record"].replace("mirrored", "")


def test_every_request_is_mirrored_and_no_other_rules(mirrored):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: mirrored.chat(f"number {n}", "mirrored" if n % 2 else "plain"), range(40)))
    assert all(one.status == 200 for one in answers)
    said = sorted(json.loads(one["body"])["messages"][0]["content"] for one in copies(mirrored, 20))
    assert said == sorted(f"number {n}" for n in range(1, 40, 2))


FATES = ["", "status=500", "status=429", "refuse", "reset", "silent", "malformed", "cut_after=1", "big=300000"]


@STREAM
@pytest.mark.parametrize("fate", FATES)
def test_an_answer_is_the_same_whatever_becomes_of_its_copy(mirrored, fate, stream):
    without = mirrored.chat("hello", "plain", stream=stream)
    mirrored.fakes.set(mirrored.second, fate or None)
    with_copy = mirrored.chat("hello", "mirrored", stream=stream)
    assert told(with_copy) == told(without)
    assert with_copy.took < 2.5, "it waited for its copy"


def test_a_copys_answer_of_five_megabytes_is_thrown_away(mirrored):
    before = mirrored.chat("hello", "plain")
    for _ in range(3):
        assert told(mirrored.chat("hello", "large")) == told(before)
    deadline = time.monotonic() + BUSY_SECONDS
    while len(mirrored.large.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(mirrored.large.requests) == 3
    last = mirrored.chat("hello", "large")["x-request-id"]
    line, _ = records(mirrored, last)
    assert line["bytes_out"] == 0


def test_a_client_that_leaves_does_not_take_its_copy_along(mirrored):
    mirrored.fakes.set(mirrored.first, "silent")
    mirrored.fakes.set(mirrored.second, "slow=1")
    with Connection(mirrored.port) as connection:
        connection.send_request("POST", "/v1/chat/completions", request("bye", "mirrored"))
        copies(mirrored, 1)
    assert mirrored.fakes.idle(mirrored.first)
    assert mirrored.fakes.idle(mirrored.second)
    assert mirrored.fakes.state(mirrored.second)["aborted"] == 0


def test_vectors_are_mirrored_too(mirrored):
    body = json.dumps({"model": "text-embedding-3-small", "input": "x"}).encode()
    answered = mirrored.ask("POST", "/v1/embeddings", body, headers={"content-type": "application/json"})
    assert answered.status == 200
    _, record = records(mirrored, answered["x-request-id"])
    assert (record["operation"], record["attempts"][0]["outcome"]) == ("embeddings", "answered")


def test_what_the_target_cannot_express_is_not_sent_to_it(mirrored):
    answered = mirrored.chat("hello", "mirrored", n=2)
    assert answered.status == 200
    _, record = records(mirrored, answered["x-request-id"])
    assert record["refused"]["status"] == 400
    copies(mirrored, 0)


def test_a_long_body_is_not_mirrored(mirrored):
    fits = MAX_MIRRORED_BYTES - len(request("", "mirrored"))
    assert mirrored.chat("x" * (fits + 1), "mirrored").status == 200
    assert mirrored.chat("y" * fits, "mirrored").status == 200
    (copy,) = copies(mirrored, 1)
    assert '"yyy' in copy["body"]


def test_copies_beyond_the_limit_are_left_out_and_clients_wait_for_none(mirrored):
    mirrored.fakes.set(mirrored.second, "silent")
    before = counted(mirrored, "second")
    asked = 2 * MAX_MIRRORS + 60
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: mirrored.chat(f"number {n}", "mirrored"), range(asked)))
    assert all(one.status == 200 and one.took < 2.5 for one in answers)
    assert mirrored.fakes.idle(mirrored.second)
    seen = mirrored.fakes.state(mirrored.second)["requests"]
    assert MAX_MIRRORS <= seen <= 2 * MAX_MIRRORS
    grown = {name: value - before[name] for name, value in counted(mirrored, "second").items()}
    assert grown == {"sent": seen, "dropped": asked - seen, "failed": seen}
    # What was given up makes room.
    mirrored.fakes.reset()
    assert mirrored.chat("after", "mirrored").status == 200
    copies(mirrored, 1)


@pytest.mark.parametrize("purpose", ["mirror", "probe"])
def test_control_headers_of_a_client_have_no_effect(mirrored, purpose):
    before = mirrored.chat("hello", "plain")
    for number in range(1, 5):
        headers = {"x-waypost-call": str(number), "x-waypost-purpose": purpose, "x-waypost-cluster": "second"}
        assert told(mirrored.chat("hello", "plain", headers=headers)) == told(before)
    copies(mirrored, 0)


def test_the_way_back_in_has_no_address_outside(mirrored):
    statuses = mirrored.gateway.admin("/listeners?format=json").json()["listener_statuses"]
    inside = [one["name"] for one in statuses if "socket_address" not in one["local_address"]]
    assert inside == ["waypost_loopback"], statuses
