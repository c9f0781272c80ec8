"""Answers that the fake providers never give: scripted, byte for byte."""

from __future__ import annotations

import json

import pytest
from gateway import KEYS, Cluster, closed_port, configuration, stage
from recorder import Recorder, answer, anthropic, openai

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
CREDENTIALS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
EVENTS = {
    "openai": [
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
         "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in (({"role": "assistant", "content": ""}, None), ({"content": "scripted"}, None), ({}, "stop"))
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
         "model": "claude-sonnet-4-5", "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "scripted"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ],
}  # fmt: skip


def sse(dialect, *, end=True):
    """The events of a short answer."""
    events = EVENTS[dialect] if end else EVENTS[dialect][:-1]
    data = [(event.get("type"), json.dumps(event)) for event in events]
    if dialect == "openai" and end:
        data.append((None, "[DONE]"))
    return b"".join((f"event: {kind}\n" if kind else "").encode() + f"data: {text}\n\n".encode() for kind, text in data)


def head(status, *headers):
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def scripted(request):
    """A recorder that speaks a dialect, alone or with a living provider behind it."""
    dialect = request.param
    with Recorder() as recorder, closed_port() as closed:

        def build(fakes):
            target = f"script/{MODELS[dialect]}"
            alive = {"api": "anthropic", "endpoints": [{"cluster": "alive"}], "models": {"claude-haiku-4-5": {}}}
            gateway = {
                "providers": {
                    "script": {"api": dialect, "endpoints": [{"cluster": "script"}], "models": {MODELS[dialect]: {}}},
                    "alive": alive,
                    "dead": {"api": "openai", "endpoints": [{"cluster": "dead"}], "models": {"gpt-4o": {}}},
                },
                "rules": [
                    {"name": "alone", "when": {"model": "alone"}, "targets": [target]},
                    {"name": "then-dead", "when": {"model": "then-dead"}, "targets": [target, "dead/gpt-4o"]},
                    {"name": "backed", "when": {"model": "backed"}, "targets": [target, "alive/claude-haiku-4-5"]},
                ],
            }  # fmt: skip
            clusters = [
                Cluster("dead", "dead", f"127.0.0.1:{closed}"),
                Cluster("script", "script", recorder.address, CREDENTIALS[dialect]),
                Cluster("alive", "alive", f"127.0.0.1:{fakes.ports['anthropic'][0]}", "ANTHROPIC_API_KEY"),
            ]
            return configuration(gateway, clusters)

        with stage(build) as made:
            made.recorder, made.dialect = recorder, dialect
            yield made


def plain(dialect):
    return {"openai": openai, "anthropic": anthropic}[dialect]


BODILESS = {
    "503 without a body": head("503 Service Unavailable", "content-length: 0"),
    "429 without a body": head("429 Too Many Requests", "content-length: 0", "retry-after: 2"),
    "401 without a body": head("401 Unauthorized", "content-length: 0"),
    "500 without a body or type": head("500 Internal Server Error", "content-length: 0"),
    "200 without a body": head("200 OK", "content-type: application/json", "content-length: 0"),
    "204": head("204 No Content"),
    "304": head("304 Not Modified"),
}
NO_ANSWER = BODILESS | {
    "garbage": b"\x00\x01\x02 this is not HTTP\r\n\r\n",
    "an endless status line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "a redirect": head("307 Temporary Redirect", "location: http://elsewhere.test/", "content-length: 0"),
    "101": head("101 Switching Protocols", "upgrade: h2c", "connection: upgrade"),
    "a number": answer("200 OK", b"7"),
    "null": answer("200 OK", b"null"),
    "an empty object": answer("200 OK", b"{}"),
    "deep nesting": answer("200 OK", b"[" * 100_000 + b"]" * 100_000),
    "an error with a 200": answer("200 OK", b'{"error": {"message": "no", "type": "server_error"}}'),
    "headers beyond the limit": head("200 OK", "x-large: " + "x" * 100_000, "content-length: 0"),
    "an unknown encoding": answer("200 OK", b"xyz", "content-encoding: zstd"),
}  # fmt: skip


@STREAM
@pytest.mark.parametrize("what", NO_ANSWER)
def test_the_next_candidate_answers_after(scripted, what, stream):
    scripted.recorder.reply = lambda _: NO_ANSWER[what]
    answered = scripted.chat(model="backed", stream=stream, timeout=4)
    assert answered.status == 200 and answered.ending == "complete", answered
    assert (answered["x-waypost-provider"], answered["x-waypost-attempts"]) == ("alive", "2")


@STREAM
@pytest.mark.parametrize("what", NO_ANSWER)
def test_an_error_arrives_when_there_is_no_next_candidate_after(scripted, what, stream):
    scripted.recorder.reply = lambda _: NO_ANSWER[what]
    answered = scripted.chat(model="alone", stream=stream, timeout=4)
    assert answered.ending == "complete" and 400 <= answered.status < 600, answered
    assert answered.error["message"] and answered["x-waypost-provider"] == "script"
    if what.startswith("429"):
        assert (answered.status, answered["retry-after"]) == (429, "2")


def test_a_providers_header_neither_retries_nor_speaks_for_the_gateway(scripted):
    forged = ["x-waypost-failover: 1", "x-waypost-provider: forged", "x-waypost-attempts: 9", "x-envoy-overloaded: true"]
    whole = plain(scripted.dialect)
    scripted.recorder.reply = lambda r: whole(r).replace(b"\r\n", b"\r\n" + "\r\n".join(forged).encode() + b"\r\n", 1)
    answered = scripted.chat("hi", "backed")
    assert (answered.status, answered["x-waypost-provider"], answered["x-waypost-attempts"]) == (200, "script", "1")
    events = sse(scripted.dialect)
    assert answered.get("x-waypost-failover") is None and answered.get("x-envoy-overloaded") is None
    scripted.recorder.reply = lambda _: head("200 OK", "content-type: text/event-stream", *forged, f"content-length: {len(events)}") + events
    answered = scripted.chat("hi", "alone", stream=True)
    assert (answered.status, answered["x-waypost-provider"]) == (200, "script")


def test_hints_before_the_answer_are_passed_over(scripted):
    whole = plain(scripted.dialect)
    hints = head("103 Early Hints", "link: </x>; rel=preload") + head("100 Continue")
    scripted.recorder.reply = lambda r: hints + whole(r)
    answered = scripted.chat("hi", "alone")
    assert (answered.status, answered.text) == (200, "hi"), answered


@STREAM
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "429 Too Many Requests", "500 Internal Server Error", "200 OK"])
@pytest.mark.parametrize("model", ["alone", "then-dead", "backed"])
def test_a_provider_that_repeats_the_key_does_not_reveal_it(scripted, status, model, stream):
    """Whether its refusal is the last word, or one of the failures that are told together."""

    def script(asked):
        key = next(value for name, value in asked.headers if name.lower() in ("authorization", "x-api-key"))
        said = f"Incorrect API key provided: {key.removeprefix('Bearer ')}. You sent {key}."
        error = {"error": {"message": said, "type": "invalid_request_error", "param": key, "code": key}}
        return answer(status, json.dumps({"type": "error"} | error).encode(), f"x-key: {key}", f"retry-after: {key}", f"x-request-id: {key}")

    scripted.recorder.reply = script
    answered = scripted.chat("hi", model, stream=stream)
    assert answered.ending == "complete" and answered["x-request-id"]
    key = KEYS[CREDENTIALS[scripted.dialect]]
    seen = repr(answered.headers).encode() + answered.body
    scripted.gateway.logged(answered["x-request-id"])
    assert key.encode() not in seen, answered
    assert key.encode() not in scripted.gateway.log()


OF_PROVIDERS = [
    # OpenAI and Azure
    "x-request-id", "apim-request-id", "x-ms-request-id", "x-ms-client-request-id", "x-ms-region", "x-ms-rai-invoked",
    "x-ms-deployment-name", "azureml-model-session", "openai-organization", "openai-project", "openai-version",
    "openai-model", "openai-processing-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests", "cf-ray", "cf-cache-status", "set-cookie", "alt-svc", "strict-transport-security",
    # Anthropic
    "request-id", "anthropic-organization-id", "anthropic-ratelimit-requests-limit", "x-robots-tag",
    # Google
    "x-goog-request-id", "x-goog-generation", "server-timing", "x-gemini-service-tier", "x-frame-options", "x-xss-protection",
    # AWS
    "x-amzn-requestid", "x-amzn-errortype", "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-invocation-latency",
    "x-amzn-trace-id", "x-amz-cf-id",
    # Mistral and Cohere
    "mistral-correlation-id", "x-kong-request-id", "x-kong-upstream-latency", "ratelimitbysize-limit", "x-debug-trace-id",
    "x-endpoint-monthly-call-limit", "num_chars", "num_tokens",
    # Groq, xAI, OpenRouter, Together, DashScope, DeepSeek, vLLM
    "x-groq-region", "x-metrics-e2e-ms", "x-generation-id", "x-openrouter-provider", "x-together-traceid",
    "x-dashscope-call-gateway", "req-cost-time", "req-arrive-time", "resp-start-time", "x-ds-trace-id", "x-envoy-upstream-service-time",
    "via", "x-powered-by", "x-cache", "access-control-allow-origin",
]  # fmt: skip
"""Headers that providers send for themselves and for their own debugging."""

OURS = {
    "content-type", "content-length", "cache-control", "transfer-encoding", "date", "server", "connection",
    "x-request-id", "x-waypost-rule", "x-waypost-attempts", "x-waypost-provider", "x-waypost-model", "x-waypost-warnings",
    "retry-after", "retry-after-ms", "x-should-retry",
}  # fmt: skip
"""All that a client may see."""


@STREAM
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "429 Too Many Requests", "500 Internal Server Error"])
def test_no_debugging_header_of_any_provider_reaches_a_client(scripted, status, stream):
    debugging = [f"{name}: of-a-provider" for name in OF_PROVIDERS]
    body = b'{"error": {"message": "no", "type": "server_error"}}'

    def script(asked):
        if status != "200 OK":
            return answer(status, body, *debugging)
        if not stream:
            return answer(status, plain(scripted.dialect)(asked).partition(b"\r\n\r\n")[2], *debugging)
        events = sse(scripted.dialect)
        return head(status, "content-type: text/event-stream", f"content-length: {len(events)}", *debugging) + events

    scripted.recorder.reply = script
    answered = scripted.chat("hi", "alone", stream=stream)
    assert answered.status == int(status[:3]) or (answered.status, status[:3]) == (502, "500"), answered
    assert {name for name, _ in answered.headers} <= OURS, answered
    assert "of-a-provider" not in repr(answered.headers)


@pytest.mark.parametrize("said", ["true", "false", "nonsense", None])
def test_what_a_provider_says_of_another_try_reaches_the_client(scripted, said):
    body = b'{"error": {"message": "busy", "type": "server_error"}}'
    more = [f"x-should-retry: {said}"] if said else []
    date = ["date: Sat, 21 Nov 2026 10:00:00 GMT", "retry-after: Sat, 21 Nov 2026 10:00:07 GMT"]
    scripted.recorder.reply = lambda _: answer("429 Too Many Requests", body, *more, *date)
    answered = scripted.chat("hi", "alone")
    assert (answered.status, answered["retry-after"], answered["retry-after-ms"]) == (429, "7", "7000")
    assert answered.get("x-should-retry") == (said if said in ("true", "false") else None)


def test_a_refusal_that_the_provider_calls_passing_moves_on(scripted):
    body = b'{"error": {"message": "locked", "type": "invalid_request_error"}}'
    scripted.recorder.reply = lambda _: answer("409 Conflict", body, "x-should-retry: true")
    answered = scripted.chat("hi", "backed")
    assert (answered.status, answered["x-waypost-attempts"]) == (200, "2"), answered


@pytest.mark.parametrize("model", ["alone", "then-dead"])
def test_a_stream_that_repeats_the_key_in_an_error_does_not_reveal_it(scripted, model):
    def script(asked):
        key = next(value for name, value in asked.headers if name.lower() in ("authorization", "x-api-key"))
        error = {"type": "error", "error": {"message": f"The key {key} is bad", "type": "api_error", "code": key}}
        events = f"event: error\ndata: {json.dumps(error)}\n\n".encode()
        return head("200 OK", "content-type: text/event-stream", f"content-length: {len(events)}") + events

    scripted.recorder.reply = script
    answered = scripted.chat("hi", model, stream=True)
    assert answered.status >= 400 and answered.error["message"]
    assert KEYS[CREDENTIALS[scripted.dialect]].encode() not in answered.body, answered


@pytest.mark.parametrize("kind", ["text/event-stream", "text/event-stream;charset=utf-8", "Text/Event-Stream; charset=UTF-8"])
def test_a_stream_is_known_by_its_type_however_it_is_written(scripted, kind):
    events = sse(scripted.dialect)
    scripted.recorder.reply = lambda _: head("200 OK", f"content-type: {kind}", f"content-length: {len(events)}") + events
    answered = scripted.chat("hi", "alone", stream=True)
    assert answered.status == 200 and answered.text == "scripted" and answered.events()[-1] == "[DONE]", answered


def test_an_answer_in_place_of_a_stream_is_no_stream(scripted):
    """A client that asked for events cannot read a whole answer."""
    scripted.recorder.reply = plain(scripted.dialect)
    answered = scripted.chat("hi", "backed", stream=True)
    assert (answered.status, answered["x-waypost-provider"]) == (200, "alive")
    assert answered.events()[-1] == "[DONE]"


def test_a_stream_in_place_of_an_answer_is_no_answer(scripted):
    events = sse(scripted.dialect)
    scripted.recorder.reply = lambda _: head("200 OK", "content-type: text/event-stream", f"content-length: {len(events)}") + events
    answered = scripted.chat("hi", "backed")
    assert (answered.status, answered["x-waypost-provider"]) == (200, "alive")


@pytest.mark.parametrize("end", [True, False])
def test_a_stream_of_a_stated_length_ends_by_its_last_event_alone(scripted, end):
    events = sse(scripted.dialect, end=end)
    framing = ["content-type: text/event-stream", f"content-length: {len(events)}"]
    scripted.recorder.reply = lambda _: head("200 OK", *framing) + events
    answered = scripted.chat("hi", "backed", stream=True)
    assert (answered.status, answered["x-waypost-provider"]) == (200, "script")
    assert answered.text == "scripted" and answered.ending == "complete"
    if end:
        assert answered.events()[-1] == "[DONE]"
    else:
        assert answered.events()[-1]["error"]["code"] == "stream_cut" and b"[DONE]" not in answered.body
