"""Where one request ends and the next begins.

The guards under test stand in `src/filter/`: the content-length that the provider role writes itself,
the headers that are held until the whole body has been judged, the trailers that end a body and go
no further.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from client import CLIENT_KEY, Connection, request
from gateway import Cluster, Fakes, Gateway, Stage, configuration
from http2 import Http2, Http2Recorder
from lane import CHAT, Lane, every, lane  # noqa: F401  Fixtures.
from recorder import Recorder, answer, said

def sent_raw(lane: Lane, data: bytes, timeout: float = 5) -> Any:
    with Connection(lane.port, timeout) as connection:
        connection.send(data)
        return connection.receive()


def test_bodies_that_grow_and_shrink_never_run_into_the_next_request(lane: Lane) -> None:
    """Guard: the provider role replaces content-length with the length it will send. With the client's
    own, what is longer would be read as another client's request."""
    sizes = [1, 5_000, 3, 70_000, 2, 300_000, 1, 900, 1]
    with Connection(lane.port) as connection:
        for number, size in enumerate(sizes * 3):
            text = f"{number:03d} " + "é\\n\"" * size
            # White space and escapes that a translation takes out or leaves in.
            body = json.dumps(json.loads(lane.body(text)), indent=number % 3 or None).encode()
            chunk = [None, 1000, 7777][number % 3]
            connection.send_request("POST", CHAT, body, chunk=chunk)
            response = connection.receive()
            assert response.status == 200, response
            assert response.text == text[:40]
    assert lane.recorder.misread == []
    assert [int(said(one)[:3]) for one in lane.recorder.requests] == list(range(len(sizes) * 3))
    for one in lane.recorder.requests:
        assert int(one["content-length"]) == len(one.body)
        assert "transfer-encoding" not in one.names
    assert len({one.connection for one in lane.recorder.requests}) == 1, "connections were not kept"


def test_nothing_reaches_the_provider_before_the_whole_body_is_here(lane: Lane) -> None:
    """Guard: every body callback of the gateway role returns Pause until the verdict; one Continue
    lets the held headers go."""
    body = lane.body("slowly", metadata={"k": "v" * 5000})
    pieces = [body[:10], body[10:3000], body[3000:-1], body[-1:]]
    with Connection(lane.port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        for piece in pieces:
            assert lane.recorder.bytes == 0
            time.sleep(0.05)
            connection.send(piece)
        assert connection.receive().text == "slowly"
    assert len(lane.recorder.requests) == 1


def test_a_body_that_never_ends_reaches_nobody(lane: Lane) -> None:
    """The same guard, and the client leaves half way."""
    with Connection(lane.port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n{{".encode())
        time.sleep(0.1)
    assert lane.recorder.bytes == 0
    assert lane.works()


def test_request_trailers_end_a_chunked_body_and_go_no_further(lane: Lane) -> None:
    """Guard: the gateway role decides in the trailers callback too; no body callback says end there. Trailers are removed: a credential in them must not reach the provider."""
    body = lane.body("with trailers")
    raw = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n".encode()
    raw += b"%x\r\n%s\r\n0\r\nx-late: 1\r\nauthorization: Bearer late\r\nx-api-key: late\r\n\r\n" % (len(body), body)
    assert sent_raw(lane, raw).text == "with trailers"
    assert lane.works()
    assert lane.recorder.misread == []
    first = lane.recorder.requests[0]
    assert (first.trailers, "trailer" in first.names) == ([], False)
    assert int(first["content-length"]) == len(first.body)


def test_request_trailers_over_http2_end_the_body_too(lane: Lane) -> None:
    with Http2(lane.port) as client:
        trailers = [(b"x-late", b"1"), (b"authorization", b"Bearer late"), (b"x-bad", b"\xff\xfe")]
        stream = client.ask(lane.body("with trailers"), trailers=trailers)
    assert (stream.status, stream.ending) == (200, "complete")
    assert b"with trailers" in stream.body
    [one] = lane.recorder.requests
    assert one.trailers == [] and b"late" not in one.body + str(one.headers).encode()
    assert lane.recorder.misread == []


def test_request_trailers_do_not_reach_a_provider_that_speaks_http2() -> None:
    """HTTP/1 drops trailers after a content-length; HTTP/2 would carry them to the provider."""
    with Http2Recorder() as recorder:
        providers = {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"gpt-4o": {}}}}
        config = configuration({"providers": providers}, [Cluster("p", "p", recorder.address, http2=True)])
        gateway = Gateway(config, concurrency=1)
        try:
            with Http2(gateway.port) as client:
                late = [(b"x-late", b"1"), (b"authorization", b"Bearer late")]
                stream = client.ask(request("hello"), trailers=late)
                assert (stream.status, stream.ending) == (200, "complete"), stream
                assert client.ask(request("again")).status == 200
            assert [one.trailers for one in recorder.requests] == [[], []]
            assert [json.loads(one.body)["messages"][0]["content"] for one in recorder.requests] == ["hello", "again"]
        finally:
            gateway.stop()


def test_trailers_without_a_body_are_an_empty_request(lane: Lane) -> None:
    raw = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-late: 1\r\n\r\n".encode()
    assert sent_raw(lane, raw).error["type"] == "invalid_request_error"
    with Http2(lane.port) as client:
        stream = client.ask(trailers=[(b"x-late", b"1")])
    assert stream.status == 400 and json.loads(stream.body)["error"]["type"] == "invalid_request_error"
    assert lane.recorder.bytes == 0


def test_pipelined_requests_are_answered_in_order(lane: Lane) -> None:
    texts = ["one", "two", "three"]
    with Connection(lane.port) as connection:
        for text in texts:
            connection.send_request("POST", CHAT, lane.body(text))
        connection.send_request("GET", "/nowhere")
        connection.send_request("POST", CHAT, lane.body("last"))
        assert [connection.receive().text for _ in texts] == texts
        assert connection.receive().error["code"] == "unknown_url"
        assert connection.receive().text == "last"
    assert [said(one) for one in lane.recorder.requests] == [*texts, "last"]


def test_a_client_that_waits_for_leave_to_send_gets_it(lane: Lane) -> None:
    body = lane.body("polite")
    with Connection(lane.port) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.send(head.encode())
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        assert connection.receive().text == "polite"
    assert "expect" not in lane.recorder.requests[0].names


def test_chunk_extensions_are_not_part_of_the_body(lane: Lane) -> None:
    body = lane.body("extended")
    raw = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    raw += b"%x;a=b;c=\"d\"\r\n%s\r\n%x ; e\r\n%s\r\n0;last\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    response = sent_raw(lane, raw)
    # Envoy may refuse white space there. What counts is that nothing is misread.
    assert response.status in (200, 400)
    assert lane.recorder.misread == []
    assert lane.works()


def test_an_upgrade_is_not_made(lane: Lane) -> None:
    body = lane.body("hello")
    for wanted in ("websocket", "h2c", "TLS/1.0"):
        with Connection(lane.port) as connection:
            given = {"connection": "upgrade", "upgrade": wanted}
            connection.send_request("POST", CHAT, body, given)
            response = connection.receive()
        assert response.status in (200, 400, 403), response
        assert response.text == "hello" if response.status == 200 else response.error["message"]
    assert all("upgrade" not in one.names for one in lane.recorder.requests)
    assert lane.recorder.misread == []
    assert lane.works()


AMBIGUOUS = {
    "both lengths": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    "a length with a sign": b"content-length: +5\r\n\r\n12345",
    "a length of letters": b"content-length: five\r\n\r\n12345",
    "a length beyond 64 bits": b"content-length: 99999999999999999999999\r\n\r\n12345",
    "chunked twice": b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a coding nobody knows": b"transfer-encoding: cow\r\n\r\n12345",
    "chunked, but not last": b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": b"transfer-encoding: chunked\r\n\r\nxyz\r\n12345\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n12345",
    "a chunk longer than it says": b"transfer-encoding: chunked\r\n\r\n2\r\n12345\r\n0\r\n\r\n",
    "a space before the colon": b"content-length : 5\r\n\r\n12345",
    "a NUL in a value": b"x-nul: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "a carriage return in a value": b"x-cr: a\rb\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_two_servers_could_read_differently_is_refused(lane: Lane, rest: bytes) -> None:
    with Connection(lane.port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n".encode() + rest)
        connection.send_request("POST", CHAT, lane.body("the next"))
        response = connection.receive()
    assert response.status in (400, 413, 501), response
    if response.status != 501:
        assert response.error["type"] == "invalid_request_error"
    assert lane.recorder.bytes == 0
    assert lane.works()


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PUT", "DELETE", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_refused_in_json(lane: Lane, method: str) -> None:
    with Connection(lane.port) as connection:
        connection.send_request(method, CHAT)
        response = connection.receive(head=method == "HEAD")
        assert response.status in (400, 404), response
        if method == "HEAD":
            assert response["content-type"] == "application/json"
        else:
            assert response.error["type"] == "invalid_request_error"
    assert lane.recorder.bytes == 0


def test_a_get_with_a_body_leaves_the_connection_in_order(lane: Lane) -> None:
    """The body of a request that was answered at its headers belongs to nobody."""
    with Connection(lane.port) as connection:
        connection.send_request("GET", "/v1/models", b"x" * 100_000)
        assert connection.receive().json()["object"] == "list"
        # Envoy may close rather than read what nobody wants. Then the next one goes elsewhere.
    assert lane.works()
    assert len(lane.recorder.requests) == 1


@pytest.mark.parametrize("rest", [b"content-length: 0\r\n\r\n", b"\r\n", b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_an_empty_body_is_a_bad_request(lane: Lane, rest: bytes) -> None:
    response = sent_raw(lane, f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n".encode() + rest)
    assert (response.status, response.error["type"]) == (400, "invalid_request_error")
    # Envoy ends a connection whose request was refused before it counted as read. It must say so.
    assert response["connection"] == "close"
    assert lane.recorder.bytes == 0


def test_an_empty_body_over_http2_is_a_bad_request(lane: Lane) -> None:
    with Http2(lane.port) as client:
        assert client.ask().status == 400
        assert client.ask(lane.body("then")).status == 200


def test_a_body_in_single_bytes_is_read(lane: Lane) -> None:
    with Connection(lane.port) as connection:
        connection.send_request("POST", CHAT, lane.body("bit by bit"), chunk=1)
        assert connection.receive().text == "bit by bit"


def test_a_body_that_stalls_is_given_up_in_json() -> None:
    """Envoy's request_timeout; its answer passes our own callbacks and local_reply_config."""

    def shorter(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        listener["filter_chains"][0]["filters"][0]["typed_config"]["request_timeout"] = "0.5s"

    fakes = Fakes()
    gateway = Gateway(configuration(change=shorter), concurrency=1)
    try:
        stage = Stage(gateway, fakes)
        with Connection(gateway.port, 5) as connection:
            connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{{".encode())
            response = connection.receive()
        assert response.status == 408 and response.error["message"]
        assert stage.ask("GET", "/v1/models").status == 200
    finally:
        gateway.stop()
        fakes.stop()


def test_the_clients_key_is_never_sent_on(lane: Lane) -> None:
    given = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY, "cookie": CLIENT_KEY}
    with Connection(lane.port) as connection:
        connection.send_request("POST", CHAT, lane.body("hello"), given)
        assert connection.receive().status == 200
    [one] = lane.recorder.requests
    assert CLIENT_KEY not in str(one.headers)


def test_without_the_flag_of_the_host_no_body_ever_comes() -> None:
    """A fact of the host that envoy.yaml answers with allow_on_headers_stop_iteration; every other test here would fail without it."""

    def without(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        del filters[0]["typed_config"]["config"]["allow_on_headers_stop_iteration"]

    gateway = Gateway(configuration(change=without), concurrency=1)
    try:
        with Connection(gateway.port, 1) as connection:
            connection.send_request("POST", CHAT, request("hello"))
            assert connection.receive().ending == "silent"
    finally:
        gateway.stop()


def test_a_surplus_byte_does_not_escape_the_recorder() -> None:
    """The instrument itself."""
    with Recorder(lambda _: answer("200 OK", b"{}")) as recorder, Connection(recorder.port) as connection:
        connection.send(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}}\r\n\r\n")
        assert connection.receive().status == 200
        deadline = time.monotonic() + 2
        while not recorder.misread and time.monotonic() < deadline:
            time.sleep(0.01)
        assert recorder.misread == ["connection 1: no request line: '}'"]
