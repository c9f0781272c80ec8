"""What a client sees of the gateway: answers, models, errors, headers."""

from __future__ import annotations

import json
import re

import pytest
from client import BUSY_SECONDS, CLIENT_KEY, Connection, request
from gateway import KEYS, Cluster, configuration, reference, stage

CHAT = "/v1/chat/completions"
OF_PROVIDERS = re.compile(
    r"set-cookie|cf-|openai-|anthropic-|x-ratelimit|alt-svc|strict-transport|access-control|"
    r"x-content-type|x-envoy|via$|request-id$|x-should-retry|trailer"
)
"""Headers of providers, or of Envoy, that are not for a client (`x-request-id` is our own)."""


# Answers


@pytest.mark.parametrize(
    ("model", "provider", "said"),
    [
        ("gpt-4o", "openai", "Hello from openai (gpt-4o). You said: hi"),
        ("claude-sonnet-4-5", "claude", "Hello from anthropic (claude-sonnet-4-5). You said: hi"),
    ],
)
def test_a_chat_is_answered_in_openais_shape_by_either_dialect(default, model, provider, said):
    answer = default.chat("hi", model)
    assert answer.status == 200, answer
    assert answer["content-type"] == "application/json"
    assert int(answer["content-length"]) == len(answer.body)
    body = answer.json()
    assert body["object"] == "chat.completion" and body["id"] and body["created"]
    assert [choice["index"] for choice in body["choices"]] == [0]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert answer.text == said
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert (answer["x-waypost-provider"], answer["x-waypost-model"]) == (provider, model)
    assert answer["x-waypost-attempts"] == "1"


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_a_stream_is_openais_events_and_ends_with_done(default, model):
    answer = default.chat("hi", model, stream=True)
    assert answer.status == 200 and answer.ending == "complete", answer
    assert answer["content-type"].startswith("text/event-stream")
    assert answer.get("content-length") is None
    events = answer.events()
    assert events[-1] == "[DONE]" and events.count("[DONE]") == 1
    chunks = events[:-1]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    finishes = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]]
    assert finishes[-1] == "stop" and set(finishes[:-1]) == {None}
    assert answer.text.endswith("You said: hi")
    assert answer["x-waypost-model"] == model


def test_a_tool_call_comes_back_through_either_dialect(default):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}  # fmt: skip
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        answer = default.chat("what weather?", model, tools=[tool])
        choice = answer.json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls", answer
        call = choice["message"]["tool_calls"][0]
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"])["city"] == "Paris"


ODD = 'héllo 😀 日本 "quoted" \\ back\tslash \u2028 \x7f end'


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mark", ["", "[[*:bytewise]]"], ids=["at once", "bytewise"])
def test_any_text_comes_back_as_it_was_said(default, model, stream, mark):
    plain = request(ODD + mark, model, stream=stream)
    escaped = json.dumps(json.loads(plain)).encode()
    assert plain != escaped
    for body in (plain, escaped):
        answer = default.ask("POST", CHAT, body)
        assert answer.status == 200 and answer.text.endswith(f"You said: {ODD}"), answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_provider_cannot_take_is_named_in_a_warning(default, stream):
    answer = default.chat(model="claude-sonnet-4-5", seed=1, temperature=1.7, stream=stream)
    assert answer.status == 200
    warnings = answer["x-waypost-warnings"]
    assert "seed dropped" in warnings and "temperature changed to 1" in warnings
    assert default.chat(model="gpt-4o", seed=1, stream=stream).get("x-waypost-warnings") is None


def test_the_largest_body_fails_over_whole(default):
    """31 MiB; the limit is 32."""
    text = "x" * (31 << 20)
    for model, failing, other in (("gpt-4o", "openai", "claude"), ("claude-sonnet-4-5", "anthropic", "openai")):
        answer = default.chat(text + f"[[{failing}:status=503]]", model, max_tokens=10, timeout=30)
        assert (answer.status, answer["x-waypost-provider"], answer["x-waypost-attempts"]) == (200, other, "2"), answer
    refused = default.chat(text + "x" * (1 << 20), timeout=30)
    assert refused.status == 413 and refused.error["code"] == "request_too_large"


def test_a_chunked_request_with_trailers_is_answered(default):
    body = request("hi")
    with Connection(default.port) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n"
        connection.send(head.encode() + b"%x\r\n%s\r\n0\r\nx-t: 1\r\n\r\n" % (len(body), body))
        answer = connection.receive()
    assert answer.status == 200 and answer.text.endswith("You said: hi")
    last = default.fakes.last(default.fakes.ports["openai"][0])
    assert json.loads(last["body"])["messages"] == [{"role": "user", "content": "hi"}]


def test_a_body_that_comes_byte_by_byte_is_answered(default):
    answer = default.ask("POST", CHAT, request("hi"), chunk=1)
    assert answer.status == 200 and answer.text.endswith("You said: hi")


def test_one_connection_serves_answers_streams_and_errors_in_turn(default):
    with Connection(default.port) as connection:
        for _ in range(3):
            connection.send_request("POST", CHAT, request("one"))
            assert connection.receive().text.endswith("You said: one")
            connection.send_request("POST", CHAT, request("two", stream=True))
            assert connection.receive().text.endswith("You said: two")
            connection.send_request("POST", CHAT, request(model="none-such"))
            assert connection.receive().status == 404
            connection.send_request("POST", CHAT, request("[[*:status=400]]"))
            assert connection.receive().status == 400
            connection.send_request("GET", "/v1/models")
            assert connection.receive().status == 200


# Models


def test_models_are_listed(default):
    answer = default.ask("GET", "/v1/models")
    assert answer.status == 200 and answer["content-type"] == "application/json"
    body = answer.json()
    assert body["object"] == "list"
    ids = [one["id"] for one in body["data"]]
    assert {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"} <= set(ids) and len(ids) == len(set(ids))
    for one in body["data"]:
        assert one["object"] == "model" and one["created"] > 0 and one["owned_by"]


def test_one_model_is_shown(default):
    answer = default.ask("GET", "/v1/models/gpt-4o")
    assert answer.status == 200
    assert (answer.json()["id"], answer.json()["object"]) == ("gpt-4o", "model")


def test_a_model_that_nobody_serves_is_a_404_that_lists_those_there_are(default):
    shown = default.ask("GET", "/v1/models/gpt-4")
    asked = default.chat(model="gpt-4o-mimi")
    for answer in (shown, asked):
        assert answer.status == 404
        assert answer.error["type"] == "invalid_request_error"
        assert (answer.error["code"], answer.error["param"]) == ("model_not_found", "model")
        for model in ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"):
            assert model in answer.error["message"]
    assert default.fakes.seen() == [0, 0]


# What the gateway refuses


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", CHAT),
        ("POST", "/v1/completions"),
        ("DELETE", "/v1/models/gpt-4o"),
        ("POST", "/v1/chat/completions/"),
        ("OPTIONS", CHAT),
    ],
)
def test_any_other_path_or_method_is_a_404_that_says_what_there_is(default, method, path):
    answer = default.ask(method, path, b"{}" if method == "POST" else None)
    assert answer.status == 404
    assert answer.error["code"] == "unknown_url"
    assert CHAT in answer.error["message"] and f"{method} {path}" in answer.error["message"]


def test_a_head_request_is_answered_without_a_body(default):
    with Connection(default.port) as connection:
        connection.send_request("HEAD", "/v1/models")
        assert connection.receive(head=True).status == 404
        connection.send_request("GET", "/v1/models")
        assert connection.receive().status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b'{"model": "gpt-4o",\n "messages": [}', "line 2 column"),
        (b'{"model": "gpt-4o"', "line 1 column"),
        (b'{"model": "gpt-4o"} trailing', "line 1 column"),
        (b'{"model": "\xff"}', "line 1 column"),
    ],
)
def test_broken_json_is_refused_with_its_place(default, body, says):
    answer = default.ask("POST", CHAT, body)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert says in answer.error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "gpt-4o"}, "messages"),
        ({"model": "gpt-4o", "messages": []}, "messages"),
        ({"model": 7, "messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "gpt-4o", "messages": "hi"}, "messages"),
        ({"model": "gpt-4o", "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"model": "gpt-4o", "messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "temperature": 9}, "temperature"),
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "tools": {}}, "tools"),
    ],
)  # fmt: skip
def test_a_missing_or_wrong_field_is_named(default, body, param):
    answer = default.ask("POST", CHAT, json.dumps(body).encode())
    assert answer.status == 400
    assert (answer.error["type"], answer.error["param"]) == ("invalid_request_error", param)
    assert default.fakes.seen() == [0, 0]


@pytest.fixture(scope="module")
def small():
    """Bodies of at most 64 KiB, and half a second for a request."""
    def build(fakes):
        def change(config):
            listener = config["static_resources"]["listeners"][0]
            manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
            value = manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
            value["limits"] = {"body": "64KiB"}
            value["timeouts"] = {"first_token": "500ms", "answer": "500ms", "total": "500ms"}
            for rule in value["rules"]:
                rule.pop("timeouts", None)

        return reference(fakes, change)

    with stage(build) as made:
        yield made


@pytest.mark.parametrize("chunk", [None, 4096])
def test_a_body_over_the_limit_is_a_413_that_names_the_limit(small, chunk):
    answer = small.ask("POST", CHAT, request("x" * 70_000), chunk=chunk)
    assert answer.status == 413, answer
    assert answer.error["code"] == "request_too_large"
    assert "65536" in answer.error["message"] and "limits.body" in answer.error["message"]


@pytest.mark.parametrize("chunk", [None, 4096])
def test_a_body_at_the_limit_passes(small, chunk):
    body = request("")
    body = request("x" * (65536 - len(body)))
    assert len(body) == 65536
    assert small.ask("POST", CHAT, body, chunk=chunk).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_no_answer_within_the_total_time_is_a_504(small, stream):
    answer = small.chat("[[*:silent]]", stream=stream)
    assert answer.status == 504, answer
    assert answer.error["type"] in ("timeout_error", "server_error")
    assert 0.4 < answer.took < BUSY_SECONDS
    assert answer.get("x-request-id")


# What Envoy refuses by itself


def test_malformed_http_is_a_400_in_openais_shape(default):
    for head in (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nbad header line\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ):
        with Connection(default.port) as connection:
            connection.send(head)
            answer = connection.receive()
        assert answer.status == 400, (head, answer)
        assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/models HTTP/1.0\r\nhost: x", 426),
        (b"OPTIONS * HTTP/1.1\r\nhost: x", 404),
        (b"CONNECT a:443 HTTP/1.1\r\nhost: a:443", 404),
        (b"BREW /v1/models HTTP/1.1\r\nhost: x", 400),
        (b"GET /v1/models#x HTTP/1.1\r\nhost: x", 400),
        (b"GET /v1/models?\xff\xfe HTTP/1.1\r\nhost: x", 400),
        (b"GET /v1/models/%ff%00%2e HTTP/1.1\r\nhost: x", 404),
        (b"GET /v1/models HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade", 403),
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x", 431),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_odd_requests_get_an_error_in_openais_shape(default, head, status):
    with Connection(default.port) as connection:
        connection.send(head + b"\r\n\r\n")
        answer = connection.receive()
    assert answer.status == status, answer
    assert answer.error["type"] == "invalid_request_error"


def test_headers_that_are_too_large_are_a_431_in_openais_shape(default):
    answer = default.ask("GET", "/v1/models", headers={"x-large": "x" * 100_000})
    assert answer.status == 431
    assert answer.error["type"] == "invalid_request_error"
    assert "header" in answer.error["message"]


def test_a_host_that_no_route_takes_is_an_error_in_openais_shape(start):
    def change(config):
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"][0]["domains"] = ["only.test"]

    made = start(lambda fakes: reference(fakes, change))
    answer = made.chat()
    assert answer.status in (404, 503), answer
    assert answer.error["message"]
    assert made.chat(headers={"host": "only.test"}).status == 200


def test_a_cluster_without_a_host_is_a_503_in_openais_shape(start):
    def build(fakes):
        empty = {"type": "STATIC", "load_assignment": {"cluster_name": "empty", "endpoints": []}}
        clusters = [Cluster("empty", "p", "127.0.0.1:1", more=empty)]
        gateway = {
            "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "empty"}], "models": {"gpt-4o": {}}}},
            "rules": [{"name": "all", "targets": ["p/gpt-4o"]}],
        }
        return configuration(gateway, clusters)

    made = start(build)
    for stream in (False, True):
        answer = made.chat(stream=stream)
        assert answer.status == 503, answer
        assert answer.error["code"] == "all_candidates_failed"
        assert answer["x-waypost-rule"] == "all"


# Headers and secrets


def test_every_answer_carries_a_request_id(default):
    answers = [
        default.chat(),
        default.chat(stream=True),
        default.chat(model="claude-sonnet-4-5"),
        default.chat(model="none-such"),
        default.chat("[[*:status=400]]"),
        default.chat("[[*:status=500]]"),
        default.chat("[[*:refuse]]"),
        default.ask("POST", CHAT, b"{"),
        default.ask("GET", "/v1/models"),
        default.ask("GET", "/none"),
    ]
    ids = [answer["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)


def test_what_was_decided_stands_on_answers_and_on_providers_errors(default):
    for answer in (
        default.chat(),
        default.chat(stream=True),
        default.chat("[[*:status=400]]"),
        default.chat("[[*:status=500]]"),
        default.chat("[[*:reset]]"),
    ):
        assert answer["x-waypost-rule"] == "default", answer
        assert answer["x-waypost-provider"] in ("openai", "claude")
        assert answer["x-waypost-model"] in ("gpt-4o", "claude-sonnet-4-5")
        assert answer["x-waypost-attempts"] in ("1", "2")


@pytest.mark.parametrize("fault", ["many_headers=3", "status=429", "status=400", "reset", "header_non_utf8"])
@pytest.mark.parametrize("stream", [False, True])
def test_no_header_of_a_provider_or_of_envoy_reaches_a_client(default, fault, stream):
    answer = default.chat(f"[[*:{fault}]]", stream=stream)
    # What a provider says of another try is for the client.
    ours = {"x-request-id", "content-type"} | ({"x-should-retry"} if answer.status >= 400 else set())
    leaked = [n for n, _ in answer.headers if OF_PROVIDERS.search(n) and n not in ours]
    assert leaked == [] and not any(n.startswith("x-fake") for n, _ in answer.headers), answer
    assert answer["server"] == "envoy"
    assert not any(n == "x-waypost-failover" for n, _ in answer.headers)


SENT = {
    "authorization": f"Bearer {CLIENT_KEY}",
    "x-api-key": CLIENT_KEY,
    "api-key": CLIENT_KEY,
    "cookie": f"session={CLIENT_KEY}",
    "x-request-id": "11111111-2222-4333-8444-555555555555",
    "x-forwarded-for": "203.0.113.9",
    "x-tenant": "acme",
    "openai-organization": "org-of-the-client",
    "anthropic-beta": "of-the-client",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-waypost-rule": "small",
    "x-waypost-exchange": "1",
    "x-waypost-cluster": "anthropic",
    "x-envoy-max-retries": "0",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-retry-on": "5xx",
    "user-agent": "the-client/1.0",
}
ALLOWED = {
    "openai": {"host", "accept", "accept-encoding", "authorization", "content-type", "content-length", "user-agent"},
    "anthropic": {"host", "accept", "accept-encoding", "x-api-key", "anthropic-version", "content-type", "content-length", "user-agent"},
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_gets_its_own_headers_and_key_and_nothing_of_the_client(default, stream):
    openai, anthropic = default.fakes.all
    assert default.chat(headers=SENT, stream=stream).status == 200
    assert default.chat(model="claude-sonnet-4-5", headers=SENT, stream=stream).status == 200
    # Behind a failure the headers of the attempt before must be gone too.
    assert default.chat("[[openai:status=500]]", headers=SENT, stream=stream)["x-waypost-attempts"] == "2"
    for dialect, port in (("openai", openai), ("anthropic", anthropic)):
        requests = default.fakes.requests(port)
        assert len(requests) == 2
        for one in requests:
            names = [name.lower() for name, _ in one["headers"]]
            assert set(names) <= ALLOWED[dialect] and len(names) == len(set(names)), names
            text = json.dumps(one)
            assert CLIENT_KEY not in text and "of-the-client" not in text and "203.0.113.9" not in text
            mine, other = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")[:: 1 if dialect == "openai" else -1]
            assert KEYS[mine] in text and KEYS[other] not in text
            host = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}[dialect]
            assert dict(one["headers"])["host"] == host


def test_a_client_chooses_neither_cluster_nor_retries_nor_timeouts(default):
    answer = default.chat("[[openai:status=500]] [[anthropic:slow=0.3]]", headers=SENT)
    assert answer.status == 200, answer
    assert (answer["x-waypost-rule"], answer["x-waypost-attempts"]) == ("default", "2")


def test_keys_stand_in_no_answer_no_log_and_no_dump(default):
    answers = [
        default.chat(headers=SENT),
        default.chat("[[*:status=401]]", headers=SENT),
        default.chat("[[*:status=403]]", headers=SENT),
        default.chat("[[*:status=500]]", headers=SENT),
        default.chat("[[*:refuse]]", headers=SENT),
        default.chat(model="none-such", headers=SENT),
        default.ask("POST", CHAT, b"{", headers=SENT),
        default.gateway.admin("/config_dump?include_eds"),
        default.gateway.admin("/stats"),
        default.gateway.admin("/clusters"),
    ]
    default.gateway.logged(answers[4]["x-request-id"])
    seen = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    seen += default.gateway.log()
    for key in (CLIENT_KEY, *KEYS.values()):
        assert key.encode() not in seen, key


def test_a_refused_credential_is_not_shown_as_the_clients_fault(default):
    answer = default.chat("[[*:status=401]]")
    assert answer.status == 502, answer
    assert answer.error["code"] == "provider_auth_failed"
    assert answer["x-waypost-attempts"] == "2"


def test_a_key_that_is_not_set_fails_over(start):
    made = start(environment={"ANTHROPIC_API_KEY": KEYS["ANTHROPIC_API_KEY"]})
    answer = made.chat()
    assert answer.status == 200 and answer["x-waypost-provider"] == "claude", answer
    assert answer["x-waypost-attempts"] == "2"


def test_the_access_log_tells_who_answered(default):
    answer = default.chat("[[openai:status=503]]", model="gpt-4o")
    line = default.gateway.logged(answer["x-request-id"])
    assert (line["status"], line["attempts"], line["cluster"]) == (200, 2, "anthropic")
    assert (line["provider"], line["model"], line["rule"]) == ("claude", "claude-sonnet-4-5", "default")
    refused = default.ask("POST", CHAT, b"{")
    assert default.gateway.logged(refused["x-request-id"])["details"].startswith("waypost_")
