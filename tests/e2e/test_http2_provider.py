"""A provider that speaks HTTP/2, as the real ones do: each way in which its streams and connections end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import Connection, ask, request
from gateway import KEYS, Cluster, configuration, stage
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded
from recorder import Recorded, openai
from test_wire import sse

UNUSUAL_KEY = "Zm9vYmFyMTIzNDU2Nzg5"
"""A key that does not look like one, for one of the providers here."""
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


class Provider:
    """Listens on a free port. `script` answers: it is called with the connection, the stream's number
    and the request."""

    def __init__(self, streams: int = 1000) -> None:
        self.script: Script = well
        self.streams = streams
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        wire = Wire(accepted)
        wire.h2.update_settings({3: self.streams})
        arriving: dict[int, Recorded] = {}
        with accepted, contextlib.suppress(OSError, EOFError):
            wire.flush()
            while data := accepted.recv(1 << 16):
                for event in wire.h2.receive_data(data):
                    number = getattr(event, "stream_id", 0) or 0
                    if isinstance(event, RequestReceived):
                        arriving[number] = Recorded(number, "", list(event.headers or []))
                    elif isinstance(event, DataReceived):
                        arriving[number].body += event.data or b""
                        wire.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
                    elif isinstance(event, StreamEnded):
                        self.requests += 1
                        self.script(wire, number, arriving.pop(number))
                wire.flush()


class Wire:
    """One connection, on which a script answers."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self.h2.initiate_connection()

    def flush(self) -> None:
        self.connection.sendall(self.h2.data_to_send())

    def head(self, number: int, status: int = 200, kind: str = "application/json", end: bool = False) -> None:
        self.h2.send_headers(number, [(":status", str(status)), ("content-type", kind)], end_stream=end)

    def close(self) -> None:
        self.flush()
        raise EOFError


Script = Callable[[Wire, int, Recorded], None]


def well(wire: Wire, number: int, asked: Recorded) -> None:
    """A right answer, whole or streamed."""
    if asked.json().get("stream"):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai"), end_stream=True)
    else:
        wire.head(number)
        wire.h2.send_data(number, openai(asked).partition(b"\r\n\r\n")[2], end_stream=True)


def reset(code: ErrorCodes, *, head: bool = False) -> Script:
    def script(wire: Wire, number: int, asked: Recorded) -> None:
        if head:
            begin(wire, number, asked)
        wire.h2.reset_stream(number, code)

    return script


def begin(wire: Wire, number: int, asked: Recorded) -> None:
    """The headers of a good answer."""
    wire.head(number, kind="text/event-stream" if asked.json().get("stream") else "application/json")


def leave(*, head: bool = False, goaway: bool = False) -> Script:
    def script(wire: Wire, number: int, asked: Recorded) -> None:
        if head:
            begin(wire, number, asked)
        if goaway:
            wire.h2.close_connection(last_stream_id=0)
        wire.close()

    return script


def refuse(status: int, body: bytes) -> Script:
    def script(wire: Wire, number: int, _: Recorded) -> None:
        wire.head(number, status, end=not body)
        if body:
            wire.h2.send_data(number, body, end_stream=True)

    return script


def refuse_with_trailers(wire: Wire, number: int, _: Recorded) -> None:
    wire.head(number, 503)
    wire.h2.send_data(number, b'{"error": {"message": "busy"}}')
    wire.h2.send_headers(number, [("x-trailer", "1")], end_stream=True)


def garble(wire: Wire, number: int, _: Recorded) -> None:
    wire.connection.sendall(b"\x00\x00\x05\x2a garbage that is no frame of HTTP/2" * 20)
    wire.close()


def say_nothing(wire: Wire, number: int, _: Recorded) -> None:
    pass


FAILURES: dict[str, Script] = {
    "REFUSED_STREAM": reset(ErrorCodes.REFUSED_STREAM),
    "INTERNAL_ERROR": reset(ErrorCodes.INTERNAL_ERROR),
    "CANCEL": reset(ErrorCodes.CANCEL),
    "ENHANCE_YOUR_CALM": reset(ErrorCodes.ENHANCE_YOUR_CALM),
    "NO_ERROR": reset(ErrorCodes.NO_ERROR),
    "a reset after the headers": reset(ErrorCodes.INTERNAL_ERROR, head=True),
    "a connection closed": leave(),
    "a connection closed after the headers": leave(head=True),
    "GOAWAY": leave(goaway=True),
    "garbage": garble,
    "503 without a body": refuse(503, b""),
    "503": refuse(503, b'{"error": {"message": "busy"}}'),
    "503 with trailers": refuse_with_trailers,
    "429": refuse(429, b'{"error": {"message": "slow down"}}'),
    "200 without a body": refuse(200, b""),
    "silence": say_nothing,
    "silence after the headers": begin,
}


def passing_on(variable):
    """Lets the module see another variable of Envoy's environment."""

    def visit(value):
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            visit(one)
        if isinstance(value, dict) and "host_env_keys" in value and variable not in value["host_env_keys"]:
            value["host_env_keys"].append(variable)

    return visit


@pytest.fixture(scope="module")
def two():
    """An HTTP/2 provider, alone or with a living one behind it, and one that takes few streams at once."""
    with Provider() as provider, Provider(streams=2) as narrow:

        def build(fakes):
            def entry(api, name, model):
                return {"api": api, "endpoints": [{"cluster": name}], "models": {model: {}}}

            quick = {"first_token": "500ms", "answer": "500ms"}
            gateway = {
                "providers": {
                    "modern": entry("openai", "modern", "gpt-4o"),
                    "narrow": entry("openai", "narrow", "gpt-4o"),
                    "alive": entry("anthropic", "alive", "claude-sonnet-4-5"),
                },
                "rules": [
                    {"name": "backed", "when": {"model": "backed"}, "timeouts": quick,
                     "targets": ["modern/gpt-4o", "alive/claude-sonnet-4-5"]},
                    {"name": "alone", "when": {"model": "alone"}, "timeouts": quick | {"idle": "20s"}, "targets": ["modern/gpt-4o"]},
                    {"name": "narrow", "when": {"model": "narrow"}, "targets": ["narrow/gpt-4o"]},
                ],
            }  # fmt: skip
            alive = Cluster("alive", "alive", f"127.0.0.1:{fakes.ports['anthropic'][0]}", "ANTHROPIC_API_KEY")
            clusters = [
                Cluster("modern", "modern", provider.address, "UNUSUAL_KEY", http2=True),
                Cluster("narrow", "narrow", narrow.address, http2=True),
                alive,
            ]
            return configuration(gateway, clusters, passing_on("UNUSUAL_KEY"))

        with stage(build, environment=KEYS | {"UNUSUAL_KEY": UNUSUAL_KEY}) as made:
            made.provider, made.narrow = provider, narrow
            yield made


@pytest.fixture(autouse=True)
def well_again(two):
    two.provider.script = two.narrow.script = well


@STREAM
def test_an_answer_comes_over_http2(two, stream):
    answer = two.chat("hi", "alone", stream=stream)
    assert (answer.status, answer.ending, answer["x-waypost-provider"]) == (200, "complete", "modern")
    assert answer.text == ("scripted" if stream else "hi")


@STREAM
@pytest.mark.parametrize("failure", FAILURES)
def test_the_next_candidate_answers_after(two, failure, stream):
    two.provider.script = FAILURES[failure]
    answer = two.chat("hi", "backed", stream=stream)
    assert (answer.status, answer.ending) == (200, "complete"), answer
    assert (answer["x-waypost-provider"], answer["x-waypost-attempts"]) == ("alive", "2")
    two.provider.script = well
    assert two.chat("hi", "backed", stream=stream)["x-waypost-provider"] == "modern"


@STREAM
@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_arrives_when_there_is_no_next_candidate_after(two, failure, stream):
    two.provider.script = FAILURES[failure]
    answer = two.chat("hi", "alone", stream=stream, timeout=4)
    assert answer.ending == "complete" and 400 <= answer.status < 600, answer
    assert answer.error["message"] and answer["x-waypost-provider"] == "modern"


def test_a_reset_after_content_is_seen_as_a_cut(two):
    def script(wire, number, _):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai", end=False))
        wire.flush()
        time.sleep(0.1)
        wire.h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)

    two.provider.script = script
    answer = two.chat("hi", "backed", stream=True)
    assert (answer.status, answer["x-waypost-provider"]) == (200, "modern")
    assert answer.ending in ("cut", "reset") and answer.text == "scripted" and b"[DONE]" not in answer.body


@pytest.mark.parametrize("key", [KEYS["OPENAI_API_KEY"], UNUSUAL_KEY])
def test_an_error_after_content_does_not_reveal_the_key(two, key):

    def script(wire, number, _):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai", end=False))
        wire.flush()
        time.sleep(0.1)
        error = {"error": {"message": f"What you sent, {key}, has expired", "type": "server_error", "code": key}}
        wire.h2.send_data(number, f"data: {json.dumps(error)}\n\n".encode(), end_stream=True)

    two.provider.script = script
    answer = two.chat("hi", "alone", stream=True)
    assert answer.status == 200 and "expired" in answer.events()[-1]["error"]["message"], answer
    assert key.encode() not in answer.body


def test_a_refusal_does_not_reveal_a_key_that_does_not_look_like_one(two):
    refusal = {"error": {"message": f"You sent {UNUSUAL_KEY} to us", "type": "server_error", "code": UNUSUAL_KEY}}
    for status in (400, 429, 500):
        two.provider.script = refuse(status, json.dumps(refusal).encode())
        for stream in (False, True):
            answer = two.chat("hi", "alone", stream=stream)
            assert answer.status == status and "You sent" in answer.error["message"]
            assert UNUSUAL_KEY.encode() not in answer.body, answer


@pytest.mark.parametrize("trailers", [False, True])
@pytest.mark.parametrize("complete", [False, True])
def test_a_stream_is_complete_by_its_last_event_alone(two, complete, trailers):
    def script(wire, number, _):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai", end=complete))
        wire.flush()
        time.sleep(0.05)
        if trailers:
            wire.h2.send_headers(number, [("x-trailer", "1")], end_stream=True)
        else:
            wire.h2.send_data(number, b"", end_stream=True)

    two.provider.script = script
    answer = two.chat("hi", "backed", stream=True)
    assert answer.status == 200 and answer.text == "scripted"
    if complete:
        assert answer.ending == "complete" and answer.events()[-1] == "[DONE]"
    elif trailers:
        assert answer.ending in ("cut", "reset") and b"[DONE]" not in answer.body
    else:
        assert answer.ending == "complete" and answer.events()[-1]["error"]["code"] == "stream_cut"


def test_a_connection_that_says_goodbye_finishes_what_it_has(two):
    def script(wire, number, asked):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai", end=False))
        # A GOAWAY that still serves this stream; the library could send nothing after its own.
        wire.flush()
        wire.connection.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + number.to_bytes(4, "big") + bytes(4))
        time.sleep(0.1)
        wire.h2.send_data(number, sse("openai")[len(sse("openai", end=False)) :], end_stream=True)

    two.provider.script = script
    answer = two.chat("hi", "backed", stream=True)
    assert answer.ending == "complete" and answer.events()[-1] == "[DONE]", answer
    two.provider.script = well
    assert two.chat("hi", "backed", stream=True)["x-waypost-provider"] == "modern"


def test_a_client_that_leaves_resets_the_stream_and_keeps_the_connection(two):
    left = threading.Event()

    def script(wire, number, _):
        wire.head(number, kind="text/event-stream")
        wire.h2.send_data(number, sse("openai", end=False))
        wire.flush()
        wire.connection.settimeout(10)
        with contextlib.suppress(TimeoutError):
            # Windows and acknowledgements may come before it.
            while not left.is_set() and (data := wire.connection.recv(1 << 16)):
                for event in wire.h2.receive_data(data):
                    if type(event).__name__ == "StreamReset":
                        left.set()
        wire.connection.settimeout(None)

    two.provider.script = script
    with Connection(two.port) as connection:
        connection.send_request("POST", "/v1/chat/completions", request("hi", "backed", stream=True))
        assert connection.receive(head=True).status == 200
    assert left.wait(12)
    two.provider.script = well
    assert two.chat("hi", "backed")["x-waypost-provider"] == "modern"


def test_more_requests_than_a_connection_takes_are_all_answered(two):
    body = request("hi", "narrow", stream=True)
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: ask(two.port, "POST", "/v1/chat/completions", body), range(60)))
    assert {answer.status for answer in answers} == {200}
    assert all(answer.events()[-1] == "[DONE]" for answer in answers)


@pytest.mark.parametrize("failure", ["REFUSED_STREAM", "GOAWAY", "503", "a connection closed after the headers"])
def test_none_of_a_hundred_requests_is_lost(two, failure):
    two.provider.script = FAILURES[failure]
    body = request("hi " + "x" * 2000, "backed", stream=True, max_tokens=20)
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: ask(two.port, "POST", "/v1/chat/completions", body), range(100)))
    lost = [answer for answer in answers if answer.status != 200 or answer.ending != "complete"]
    assert len(lost) == 0, (len(lost), lost[0])
    assert {answer["x-waypost-provider"] for answer in answers} == {"alive"}
