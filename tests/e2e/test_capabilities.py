"""Who can serve a request is decided before it is sent, and the access log's record tells it all."""

from __future__ import annotations

import json
import time

import pytest
from client import BUSY_SECONDS
from gateway import Cluster, configuration, stage

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "s", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
STREAM = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def able():
    """Five candidates that differ in what they can do, and rules over them."""

    def build(fakes):
        openai, anthropic = fakes.all
        gateway = {
            "providers": {
                "plain": {
                    "api": "openai",
                    "endpoints": [{"cluster": "plain"}],
                    "models": {
                        "blind": {"capabilities": []},
                        "gpt-4o-mini": {},
                        "short": {"model": "gpt-4o", "context_window": 1000},
                        "gpt-4o": {},
                        "text-embedding-3-small": {},
                    },
                },
                "claude": {
                    "api": "anthropic",
                    "endpoints": [{"cluster": "claude"}],
                    "models": {
                        "claude-sonnet-4-5": {},
                        "no-schema": {"model": "claude-sonnet-4-5", "capabilities": ["tools", "vision"]},
                    },
                },
            },
            "rules": [
                {"name": "all", "when": {"model": "all"}, "targets": ["plain/blind", "plain/gpt-4o-mini", "claude/claude-sonnet-4-5"]},
                {"name": "few", "when": {"model": "few"}, "targets": ["plain/blind", "plain/gpt-4o-mini"]},
                {"name": "long", "when": {"model": "long"}, "targets": ["plain/short", "plain/gpt-4o"]},
                {"name": "too-long", "when": {"model": "too-long"}, "targets": ["plain/short"]},
                {"name": "emulated", "when": {"model": "emulated"}, "targets": ["claude/no-schema"]},
            ],
        }  # fmt: skip
        clusters = [
            Cluster("plain", "plain", f"127.0.0.1:{openai}"),
            Cluster("claude", "claude", f"127.0.0.1:{anthropic}", "ANTHROPIC_API_KEY"),
        ]
        return configuration(gateway, clusters)

    with stage(build) as made:
        yield made


@pytest.fixture(autouse=True)
def faultless(able):
    able.fakes.reset()


def saying(*parts):
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, *parts]}]


def record(able, answer):
    """The record of the request in its line of the access log, which is that of the audit log."""
    audited = able.gateway.audited(answer["x-request-id"])
    assert audited == json.loads(able.gateway.logged(answer["x-request-id"])["record"])
    return json.loads(able.gateway.logged(answer["x-request-id"])["record"])


@STREAM
@pytest.mark.parametrize(
    ("fields", "lacking", "answered_by"),
    [
        ({"messages": saying(IMAGE)}, "vision", "gpt-4o-mini"),
        ({"tools": [TOOL]}, "tools", "gpt-4o-mini"),
        ({"response_format": SCHEMA}, "json_schema", "gpt-4o-mini"),
    ],
)
def test_a_candidate_that_cannot_is_not_asked(able, fields, lacking, answered_by, stream):
    answer = able.chat(model="all", stream=stream, **fields)
    assert (answer.status, answer["x-waypost-model"], answer["x-waypost-attempts"]) == (200, answered_by, "1")
    said = record(able, answer)
    assert said["skipped"] == [
        {
            "provider": "plain", "model": "blind", "endpoint": "plain", "why": "capability",
            "reason": f"{lacking} is not a capability of this model",
        }
    ]  # fmt: skip
    assert [one["model"] for one in said["attempts"]] == [answered_by]
    assert able.fakes.seen() == [1, 0]


def test_a_failure_moves_on_among_those_that_can(able):
    able.fakes.set(able.fakes.all[0], "status=503")
    answer = able.chat(model="all", messages=saying(IMAGE))
    assert (answer.status, answer["x-waypost-model"], answer["x-waypost-attempts"]) == (200, "claude-sonnet-4-5", "2")


def test_when_nobody_can_the_client_is_told_what_is_missing_where(able):
    answer = able.chat(model="few", messages=saying(SOUND))
    assert answer.status == 400
    error = answer.error
    assert (error["type"], error["code"]) == ("invalid_request_error", "unsupported_capability")
    assert error["param"] == "messages[0].content[1]"
    for model in ["plain/blind", "plain/gpt-4o-mini"]:
        assert f"{model}: audio is not a capability of this model" in error["message"]
    assert able.fakes.seen() == [0, 0]
    said = record(able, answer)
    assert said["refused"] == {
        "status": 400, "class": "client", "code": "unsupported_capability", "param": "messages[0].content[1]",
    }  # fmt: skip
    assert (said["route"], [one["model"] for one in said["skipped"]]) == ("few", ["blind", "gpt-4o-mini"])


def test_an_effort_is_a_hint_that_only_changes_the_order(able):
    answer = able.chat(model="all", reasoning_effort="low")
    assert answer["x-waypost-model"] == "claude-sonnet-4-5"
    answer = able.chat(model="few", reasoning_effort="low")
    assert (answer.status, answer["x-waypost-model"]) == (200, "blind")
    assert "reasoning_effort" in answer["x-waypost-warnings"]


def test_a_conversation_that_cannot_fit_goes_to_a_larger_window(able):
    answer = able.chat("abcdefgh" * 2000, model="long")
    assert (answer.status, answer["x-waypost-model"], answer["x-waypost-attempts"]) == (200, "gpt-4o", "1")
    assert "do not fit into its window of 1000" in record(able, answer)["skipped"][0]["reason"]
    refused = able.chat("abcdefgh" * 2000, model="too-long")
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "context_length_exceeded", "messages")
    assert able.chat("abcd" * 1000, model="too-long").status == 200


def test_what_a_dialect_emulates_is_not_refused(able):
    answer = able.chat("json please", model="emulated", response_format=SCHEMA)
    assert (answer.status, answer["x-waypost-model"]) == (200, "no-schema")
    assert json.loads(answer.json()["choices"][0]["message"]["content"])


def test_a_model_for_vectors_does_not_chat(able):
    answer = able.chat(model="text-embedding-3-small")
    assert (answer.status, answer.error["param"]) == (400, "model")


@STREAM
def test_the_record_tells_every_attempt_and_the_providers_ids(able, stream):
    able.fakes.set(able.fakes.all[0], "status=503")
    answer = able.chat(model="all", stream=stream)
    assert answer.status == 200
    said = record(able, answer)
    assert (said["v"], said["route"], said["operation"], said["stream"]) == (2, "all", "chat", stream)
    assert (said["requested_model"], said["provider_chosen"], said["model"]) == ("all", "claude", "claude-sonnet-4-5")
    assert said["fallback_used"] and said["status"] == 200
    first, second, last = said["attempts"]
    assert (first["model"], second["model"]) == ("blind", "gpt-4o-mini")
    assert (first["outcome"], first["status"], first["class"]) == ("failed", 503, "overloaded")
    assert first["reason"].startswith("503 ")
    assert (last["provider"], last["endpoint"], last["outcome"]) == ("claude", "claude", "answered")
    assert last["provider_request_id"].startswith("req_") and first["provider_request_id"]
    assert last["warnings"] == 1 and "max_tokens" in answer["x-waypost-warnings"]
    assert "skipped" not in said
    # The providers' ids are not the client's business.
    everything = str(answer.headers) + answer.body.decode()
    for one in said["attempts"]:
        assert one["provider_request_id"] not in everything


def test_a_request_that_is_none_has_a_record_too(able):
    answer = able.chat(model="no-such-model")
    assert answer.status == 404
    refused = {"status": 404, "class": "not_found", "code": "model_not_found", "param": "model"}
    said = record(able, answer)
    assert (said["v"], said["refused"], said["status"]) == (2, refused, 404)
    assert "attempts" not in said and said["answer_bytes"] == len(answer.body)


def test_a_client_that_leaves_has_an_attempt_that_did_not_end(able):
    able.fakes.set(able.fakes.all[0], "silent")
    able.chat(model="few", timeout=1)
    deadline = time.monotonic() + BUSY_SECONDS
    left = []
    while not left and time.monotonic() < deadline:
        left = [line for line in able.gateway.access_log() if "DC" in line["flags"]]
        time.sleep(0.05)
    (attempt,) = json.loads(left[-1]["record"])["attempts"]
    assert (attempt["model"], attempt["outcome"]) == ("blind", "unfinished")
