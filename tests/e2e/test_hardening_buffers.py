"""Answers beyond Envoy's buffers and the module's memory.

A held body that is made longer than its buffer may be ends its stream while the module is in a call:
Envoy 1.40 then calls the module again, and ends itself with a segmentation fault. So these tests run with
a buffer of 4 MiB. (With Envoy's own 1 MiB a single read can be longer; Envoy then refuses it itself.) Guards: `MAX_BUFFERED_BYTES`, `MAX_ANSWER_BYTES` and `MAX_ANSWERS_BYTES` in
`src/filter/provider.rs`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client import Connection, Response, ask, request
from gateway import Cluster, Gateway, configuration
from http2 import Http2
from recorder import Recorded, Recorder, anthropic, openai, said

CHAT = "/v1/chat/completions"
MIB = 1 << 20
AT_ONCE = 36
"""Answers of 31 MiB that together are longer than 1 GiB."""

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}


def whole(dialect: str, size: int) -> bytes:
    """An answer whose text has that many bytes."""
    usual = {"openai": openai, "anthropic": anthropic}[dialect]
    asked = Recorded(1, "", [], json.dumps({"messages": [{"content": "TEXT"}]}).encode())
    body = usual(asked).partition(b"\r\n\r\n")[2].replace(b"TEXT", b"x" * size)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def streamed(dialect: str, sizes: list[int]) -> bytes:
    """A stream of pieces of these sizes."""
    if dialect == "openai":
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}

        def chunk(delta: Any, finish: str | None = None) -> tuple[str, Any]:
            return "", head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        events = [chunk({"role": "assistant", "content": ""})]
        events += [chunk({"content": "x" * size}) for size in sizes]
        events.append(chunk({}, "stop"))
        end = b"data: [DONE]\n\n"
    else:
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
                   "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
        block = {"type": "text", "text": ""}
        events = [("message_start", {"message": message}), ("content_block_start", {"index": 0, "content_block": block})]
        events += [("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "x" * size}}) for size in sizes]
        stop = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}
        events += [("content_block_stop", {"index": 0}), ("message_delta", stop), ("message_stop", {})]
        events = [(name, {"type": name} | data) for name, data in events]
        end = b""
    lines = [(f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n" for name, data in events]
    body = "".join(lines).encode() + end
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class Narrow:
    """A gateway with a small buffer, before a recorder."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.model = MODELS[dialect]
        self.answer: bytes | Callable[[], Iterable[bytes]] = b""
        usual = {"openai": openai, "anthropic": anthropic}[dialect]

        def reply(one: Recorded) -> bytes | Iterable[bytes]:
            if said(one) == "small":
                return usual(one)
            return self.answer() if callable(self.answer) else self.answer

        self.recorder = Recorder(reply)

        def small(config: dict[str, Any]) -> None:
            manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
            [host] = manager["typed_config"]["route_config"]["virtual_hosts"]
            host["routes"][0]["request_body_buffer_limit"] = 4 * MIB

        providers = {"p": {"api": dialect, "endpoints": [{"cluster": "p"}], "models": {self.model: {}}}}
        config = configuration({"providers": providers}, [Cluster("p", "p", self.recorder.address)], small)
        self.gateway = Gateway(config, concurrency=1)

    def ask(self, text: str = "hi", **fields: Any) -> Response:
        return ask(self.gateway.port, "POST", CHAT, request(text, self.model, **fields), timeout=30)


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def narrow(request: pytest.FixtureRequest) -> Iterator[Narrow]:
    made = Narrow(request.param)
    yield made
    made.gateway.stop()


@pytest.mark.parametrize("size", [700_000, 800_000, 3 * MIB, 5 * MIB, 12 * MIB])
def test_an_answer_longer_than_envoys_buffer_is_whole(narrow: Narrow, size: int) -> None:
    narrow.answer = whole(narrow.dialect, size)
    with Connection(narrow.gateway.port, 30) as connection:
        for _ in range(2):
            connection.send_request("POST", CHAT, request("hi", narrow.model))
            response = connection.receive()
            assert response.status == 200 and response.text == "x" * size
            assert response["content-type"] == "application/json"
            told = [response[f"x-waypost-{what}"] for what in ("provider", "model", "attempts", "rule")]
            assert told == ["p", narrow.model, "1", "model"]
            assert response["x-request-id"]
    with Http2(narrow.gateway.port, 30) as client:
        stream = client.ask(request("hi", narrow.model))
    assert (stream.status, stream.ending) == (200, "complete")
    assert json.loads(stream.body)["choices"][0]["message"]["content"] == "x" * size


@pytest.mark.parametrize("size", [32 * MIB + 1, 70 * MIB])
def test_an_answer_longer_than_its_limit_is_an_error(narrow: Narrow, size: int) -> None:
    narrow.answer = whole(narrow.dialect, size)
    response = narrow.ask()
    assert response.status == 502 and "longer than 32 MiB" in response.error["message"]
    assert narrow.ask("small").text == "small"


@pytest.mark.parametrize("sizes", [[900_000], [10, 5 * MIB], [5 * MIB, 10], [7 * MIB, 7 * MIB], [5 * MIB, 0], [MIB] * 12])
def test_a_stream_whose_first_content_is_longer_than_envoys_buffer_is_whole(narrow: Narrow, sizes: list[int]) -> None:
    narrow.answer = streamed(narrow.dialect, sizes)
    for _ in range(2):
        response = narrow.ask(stream=True)
        assert response.status == 200 and response["content-type"] == "text/event-stream"
        assert response.text == "x" * sum(sizes)
        assert response.events()[-1] == "[DONE]"
        assert response["x-waypost-provider"] == "p"


def test_a_first_content_longer_than_an_event_may_be_is_an_error(narrow: Narrow) -> None:
    narrow.answer = streamed(narrow.dialect, [9 * MIB])
    response = narrow.ask(stream=True)
    assert response.status >= 500 and response.error["message"]
    assert narrow.ask("small").text == "small"


def test_more_long_answers_at_once_than_the_memory_holds_are_refused_and_the_rest_go_on(narrow: Narrow) -> None:
    """The module's memory ends at 1 GiB; without a limit on all of them together it trapped."""
    answer = whole(narrow.dialect, 31 * MIB)
    together = threading.Barrier(AT_ONCE)

    def in_step() -> Iterator[bytes]:
        """All but the last bytes; those when every other answer has come as far."""
        yield answer[:-100]
        together.wait(20)
        yield answer[-100:]

    narrow.answer = in_step
    with ThreadPoolExecutor(AT_ONCE) as pool:
        responses = [one.result() for one in [pool.submit(narrow.ask) for _ in range(AT_ONCE)]]
    narrow.answer = answer
    good = [one for one in responses if one.status == 200]
    assert good and all(len(one.body) > 31 * MIB for one in good)
    for one in responses:
        assert one.status == 200 or one.error["code"] == "gateway_overloaded", one
    # The room is there again.
    for _ in range(3):
        assert narrow.ask().status == 200
        assert narrow.ask("small").text == "small"
    assert narrow.gateway.trouble() == []
