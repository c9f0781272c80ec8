"""What clients and providers put into headers and paths, and what must not follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client import CLIENT_KEY, Connection, Response, request
from gateway import KEYS, Cluster, Fakes, Gateway, Stage, configuration
from http2 import Http2
from recorder import Recorder, openai

CHAT = "/v1/chat/completions"

CONTROLS = {
    "x-envoy-max-retries": "0",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-upstream-rq-timeout-alt-response": "204",
    "x-envoy-expected-rq-timeout-ms": "1",
    "x-envoy-retry-on": "5xx,retriable-4xx",
    "x-envoy-retry-grpc-on": "cancelled",
    "x-envoy-retriable-status-codes": "200",
    "x-envoy-retriable-header-names": "content-type",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-upstream-alt-stat-name": "evil",
    "x-envoy-upstream-stream-duration-ms": "1",
    "x-envoy-original-path": "/evil",
    "x-envoy-original-host": "evil",
    "x-envoy-decorator-operation": "evil",
    "x-envoy-force-trace": "1",
    "x-envoy-attempt-count": "9",
    "x-envoy-is-timeout-retry": "true",
    "x-envoy-downstream-service-cluster": "evil",
    "x-waypost-cluster": "anthropic",
    "x-waypost-exchange": "1",
    "x-waypost-failover": "1",
    "x-waypost-provider": "claude",
    "x-waypost-model": "evil",
    "x-waypost-attempts": "9",
    "x-waypost-trap": "now",
    "waypost_cluster": "anthropic",
    "waypost_exchange": "1",
}
"""Headers by which a client would steer Envoy or the module."""


@pytest.fixture(scope="module")
def inner() -> Iterator[Stage]:
    """An Envoy for which this machine is internal, as in a mesh: it takes none of those away by itself."""

    def trusting(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        ranges = [{"address_prefix": "127.0.0.1", "prefix_len": 32}]
        manager["internal_address_config"] = {"cidr_ranges": ranges}

    fakes = Fakes()
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}
    gateway = Gateway(configuration(change=trusting, **marks), concurrency=1)
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


@pytest.fixture
def inside(inner: Stage) -> Stage:
    inner.fakes.reset()
    return inner


@pytest.mark.parametrize("name", [*CONTROLS, "all"])
def test_a_control_header_from_a_client_has_no_effect(inside: Stage, name: str) -> None:
    """Guard: the gateway role removes x-envoy-* and x-waypost-* before it sets its own. The first
    provider is slower than the timeout asked for, and fails, so that retries count too."""
    headers = CONTROLS if name == "all" else {name: CONTROLS[name]}
    response = inside.chat("hi [[openai:slow=0.02,status=503]]", headers=headers)
    assert response.status == 200 and "Hello from anthropic" in response.text, response
    assert [response[f"x-waypost-{one}"] for one in ("provider", "attempts")] == ["claude", "2"]
    assert inside.fakes.seen() == [1, 1]
    [port] = inside.fakes.ports["anthropic"]
    received = {key.lower(): value for key, value in inside.fakes.last(port)["headers"]}
    assert not {key for key in received if key.startswith(("x-envoy", "x-waypost"))}
    assert "evil" not in str(received)


@pytest.mark.parametrize("name", [*CONTROLS, "all"])
def test_a_control_header_does_not_disturb_a_request_that_succeeds(inside: Stage, name: str) -> None:
    headers = CONTROLS if name == "all" else {name: CONTROLS[name]}
    response = inside.chat("hi [[openai:slow=0.02]]", headers=headers)
    assert response.status == 200 and response["x-waypost-provider"] == "openai"
    assert inside.fakes.seen() == [1, 0]


STEERING = {
    "a status to try again": (
        "hi [[openai:status=400]]",
        {"x-envoy-retry-on": "retriable-status-codes", "x-envoy-retriable-status-codes": "400"},
    ),
    "a header to try again": (
        "hi", {"x-envoy-retry-on": "retriable-headers", "x-envoy-retriable-header-names": "content-type"},
    ),
    "our own mark": (
        "hi", {"x-envoy-retry-on": "retriable-headers", "x-envoy-retriable-header-names": "x-waypost-provider"},
    ),
    "every refusal": ("hi [[openai:status=409]]", {"x-envoy-retry-on": "retriable-4xx,5xx,gateway-error"}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "headers"), STEERING.values(), ids=STEERING.keys())
def test_a_client_does_not_say_when_envoy_tries_again(inside: Stage, text: str, headers: dict[str, str]) -> None:
    """The same guard. The second candidate is named before the first has answered, so a retry that
    only Envoy knows of would go there: the client would pay twice."""
    first = inside.chat(text)
    seen = inside.fakes.seen()
    inside.fakes.reset()
    response = inside.chat(text, headers=headers)
    assert response.status == first.status
    assert response["x-waypost-provider"] == first["x-waypost-provider"]
    assert inside.fakes.seen() == seen


def test_a_client_does_not_name_statistics(inside: Stage) -> None:
    """The same guard: names of statistics are never freed."""
    for number in range(3):
        assert inside.chat(headers={"x-envoy-upstream-alt-stat-name": f"evil{number}"}).status == 200
    assert inside.gateway.stats("cluster.openai.upstream_rq_total")
    assert inside.gateway.stats("cluster.openai.evil") == {}


def test_the_provider_sees_our_headers_and_no_others(default: Stage) -> None:
    """Guard: the provider role replaces the whole map, so what is not named cannot go."""
    given = {
        "authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY, "api-key": CLIENT_KEY,
        "cookie": "session=1", "openai-organization": "org-client", "user-agent": "client/1",
        "x-forwarded-for": "1.2.3.4", "via": "1.1 other", "referer": "https://secret.test/",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "anthropic-version": "1999-01-01", "anthropic-beta": "evil", "x-stainless-lang": "python",
    }  # fmt: skip
    assert default.chat("hi [[openai:status=503]]", headers=given).status == 200
    expected = {
        "openai": {"host", "accept", "accept-encoding", "content-length", "content-type", "user-agent", "authorization"},
        "anthropic": {"host", "accept", "accept-encoding", "content-length", "content-type", "user-agent", "x-api-key", "anthropic-version"},
    }  # fmt: skip
    for dialect, names in expected.items():
        received = default.fakes.last(default.fakes.ports[dialect][0])
        sent = {key.lower(): value for key, value in received["headers"]}
        assert set(sent) == names
        assert CLIENT_KEY not in str(received)
        others = KEYS["ANTHROPIC_API_KEY" if dialect == "openai" else "OPENAI_API_KEY"]
        assert others not in str(received)
        assert sent["accept-encoding"] == "identity"


def test_bytes_that_are_no_text_do_not_harm_the_module(default: Stage) -> None:
    """Guard: headers are read as bytes. The SDK's own calls trap on them."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
    odd = [b"x-bad: \xff\xfe", b"x-task: \xc3\x28", b"authorization: \xf0\x90", b"x-request-id: \xff",
           b"content-type: \xe2\x82", b"accept: \x80", b"x-waypost-\xff: 1", b"user-agent: \xed\xa0\x80"]  # fmt: skip
    body = request("hi")
    for line in odd:
        with Connection(default.port) as connection:
            connection.send(head + line + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            response = connection.receive()
        # A name that is no token is Envoy's to refuse.
        assert response.status == (400 if b"waypost-" in line else 200), (line, response)
    with Http2(default.port) as client:
        for name, value in [(b"x-bad", b"\xff\xfe"), (b"x-task", b"\xc3\x28"), (b"cookie", b"\xff")]:
            assert client.ask(body, [(name, value)]).status == 200
        assert client.ask(method="GET", path="/v1/models").status == 200
    with Http2(default.port) as client:
        stream = client.ask(method="GET", path="/v1/models/\xff\xfe")
        assert stream.status in (0, 400, 404)


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_whose_headers_are_no_text_is_heard(default: Stage, stream: bool) -> None:
    response = default.chat("hi [[openai:header_non_utf8]]", stream=stream)
    assert response.status == 200 and "Hello from openai" in response.text
    response = default.chat("hi [[openai:header_non_utf8,status=400]]", stream=stream)
    assert response.status == 400 and response.error["message"]


@pytest.mark.parametrize("count", [60, 5000])
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_with_very_many_headers_is_heard_or_left(default: Stage, count: int, stream: bool) -> None:
    response = default.chat(f"hi [[openai:many_headers={count}]]", stream=stream)
    assert response.status == 200
    assert response["x-waypost-provider"] == ("openai" if count < 90 else "claude")
    assert len(response.headers) < 20, "the provider's headers are not for the client"


@pytest.mark.parametrize("accept", ["gzip", "gzip, br, zstd", "*", "identity;q=0"])
@pytest.mark.parametrize("stream", [False, True])
def test_compression_that_the_client_takes_is_not_asked_of_the_provider(
    default: Stage, accept: str, stream: bool
) -> None:
    """Guard: the provider role asks for identity; what is compressed could not be read."""
    text = "hi [[openai:honour_gzip]]"
    response = default.chat(text, headers={"accept-encoding": accept}, stream=stream)
    assert "Hello from openai" in response.text
    assert response.get("content-encoding") is None
    assert default.fakes.seen() == [1, 0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_compresses_unasked_is_left_for_the_next(default: Stage, stream: bool) -> None:
    response = default.chat("hi [[openai:gzip]]", headers={"accept-encoding": "gzip"}, stream=stream)
    assert "Hello from anthropic" in response.text
    assert response.get("content-encoding") is None
    assert default.fakes.seen() == [1, 1]


def lines(count: int, size: int = 10) -> bytes:
    return b"".join(b"x-h%d: %s\r\n" % (number, b"v" * size) for number in range(count))


def raw(stage: Stage | Gateway, more: bytes, path: str = CHAT, body: bytes | None = None) -> Response:
    body = request("hi") if body is None else body
    with Connection(stage.port) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode("latin-1")
        try:
            connection.send(head + more + b"\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return connection.receive()


def test_a_flood_of_headers_is_refused_in_json(default: Stage) -> None:
    assert raw(default, lines(90)).status == 200
    for more in (lines(120), lines(8000), lines(1, 100_000), lines(60, 2000)):
        response = raw(default, more)
        assert response.status == 431, response
        assert response.error["code"] == "request_headers_too_large"
    assert default.fakes.seen() == [1, 0]


@pytest.fixture(scope="module")
def lax() -> Iterator[Stage]:
    """An Envoy that lets nearly any headers through to the module."""

    def more(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["max_request_headers_kb"] = 8000
        manager["common_http_protocol_options"] = {"max_headers_count": 20_000}
        for cluster in config["static_resources"]["clusters"]:
            for options in cluster.get("typed_extension_protocol_options", {}).values():
                options["common_http_protocol_options"] = {"max_headers_count": 20_000, "max_response_headers_kb": 8000}

    fakes = Fakes()
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}
    gateway = Gateway(configuration(change=more, **marks), concurrency=1)
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


def test_eight_thousand_headers_are_read_and_left_behind(lax: Stage) -> None:
    """The host takes no more than 1,024 pairs from us; what we send is ours alone, so it never matters."""
    lax.fakes.reset()
    response = raw(lax, lines(8000))
    assert response.status == 200, response
    received = lax.fakes.last(lax.fakes.ports["openai"][0])
    assert len(received["headers"]) < 12
    assert raw(lax, lines(3000, 1000)).status == 200
    # All of them are control headers, each to be removed.
    spoofed = b"".join(b"x-waypost-%d: 1\r\n" % number for number in range(8000))
    assert raw(lax, spoofed).status == 200
    same = b"x-envoy-max-retries: 0\r\n" * 5000
    assert raw(lax, same).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_eight_thousand_headers_of_a_provider_are_read_and_left_behind(lax: Stage, stream: bool) -> None:
    lax.fakes.reset()
    response = lax.chat("hi [[openai:many_headers=8000]]", stream=stream)
    assert response["x-waypost-provider"] == "openai"
    assert len(response.headers) < 20


def test_a_very_long_path_is_answered_briefly(default: Stage, lax: Stage) -> None:
    for stage, size in ((default, 50_000), (lax, 3_000_000)):
        for path in (f"/v1/models/{'x' * size}", f"/{'é' * (size // 2)}", "/v1/models/" + "%2F" * (size // 3)):
            with Connection(stage.port) as connection:
                connection.send_request("GET", path)
                response = connection.receive()
            # Bytes that are no ASCII are Envoy's to refuse.
            assert response.status == (400 if "é" in path else 404), response
            assert len(response.body) < 1000 and response.error["message"]
        assert raw(stage, b"", f"{CHAT}?{'x' * size}").status == 200
    assert raw(default, b"", f"{CHAT}?{'x' * 70_000}").status == 431


PATHS = ["//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions", "/v1/x/../chat/completions",
         "/v1/chat/completions/", "/v1/chat%2Fcompletions", "/V1/chat/completions", "/v1/chat/completions;a=b",
         "/v1/chat/completions%00", "/", "/v1", "/fake/state", "/v1/messages", "/v1/models/../chat/completions"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_only_looks_like_ours_is_not_found(default: Stage, path: str) -> None:
    response = raw(default, b"", path)
    assert response.status == 404 and response.error["code"] == "unknown_url"
    assert default.fakes.seen() == [0, 0]


def test_the_provider_is_asked_at_its_own_path_whatever_the_clients(default: Stage) -> None:
    assert raw(default, b"", f"http://evil.test{CHAT}?key=evil#x").status in (200, 400)
    assert raw(default, b"", f"{CHAT}?key=evil&beta=true").status == 200
    [port] = default.fakes.ports["openai"]
    last = default.fakes.last(port)
    assert last["path"] == "/v1/chat/completions"
    assert "evil" not in str(last["headers"])
    assert "api.openai.com" in str(last["headers"])


OWN = {
    "an unknown path": ("GET", "/nowhere", None, 404, "unknown_url"),
    "an unknown model": ("POST", CHAT, request("hi", "gpt-4p"), 404, "model_not_found"),
    "a body that is no JSON": ("POST", CHAT, b"{", 400, None),
    "a model that is not listed": ("GET", "/v1/models/gpt-4p", None, 404, "model_not_found"),
}


@pytest.mark.parametrize("case", OWN.values(), ids=OWN.keys())
def test_our_own_answers_are_not_rewritten(default: Stage, case: tuple[Any, ...]) -> None:
    """Guard: the gateway role knows its own replies when they come back through its callbacks, and local_reply_config knows them by their details."""
    method, path, body, status, code = case
    response = default.ask(method, path, body)
    assert (response.status, response.error["code"]) == (status, code)
    assert int(response["content-length"]) == len(response.body)
    line = default.gateway.logged(response["x-request-id"])
    assert line["details"].startswith("waypost_")


def test_a_cluster_that_is_reached_without_the_gateway_answers_403_and_sends_no_key() -> None:
    """Guard: the provider role adds a credential only to an attempt of an exchange. Nor does it
    trap on headers that are out of its phase."""

    def past_the_gateway(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        [host] = manager["route_config"]["virtual_hosts"]
        direct = {"match": {"prefix": "/"}, "route": {"cluster": "p"}}
        second = {"name": "direct", "domains": ["direct.test"], "routes": [direct]}
        second["typed_per_filter_config"] = {
            "waypost_gateway": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "disabled": True,
                "config": {},
            }
        }
        # Both roles are named waypost, and a route switches filters off by name.
        manager["http_filters"][0]["name"] = "waypost_gateway"
        manager["route_config"]["virtual_hosts"] = [second, host]

    with Recorder(openai) as recorder:
        providers = {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"gpt-4o": {}}}}
        clusters = [Cluster("p", "p", recorder.address)]
        gateway = Gateway(configuration({"providers": providers}, clusters, past_the_gateway), concurrency=1)
        try:
            with Connection(gateway.port) as connection:
                spoofed = {"host": "direct.test", "x-waypost-exchange": "1", "waypost_exchange": "1"}
                connection.send_request("POST", CHAT, request("hi"), spoofed)
                response = connection.receive()
            assert response.status == 403 and "through the gateway" in response.error["message"]
            assert recorder.bytes == 0
            with Connection(gateway.port) as connection:
                connection.send_request("POST", CHAT, request("hi"))
                assert connection.receive().text == "hi"
        finally:
            gateway.stop()
