"""Bodies that are absurd, too large, or too many."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client import Response, ask, request
from gateway import Fakes, Gateway, Stage, configuration

CHAT = "/v1/chat/completions"
DEEP = 1_000_000
"""Levels of nesting: a parser that recurses ends its stack long before."""


def body(field: str, value: str, **more: Any) -> bytes:
    """A request with one field written out as it stands."""
    whole = request("hi", **more).decode()
    return f'{whole[:-1]},"{field}":{value}}}'.encode()


def said(content: str) -> bytes:
    """A request whose one message has this content, written out."""
    return b'{"model":"gpt-4o","messages":[{"role":"user","content":%s}]}' % content.encode("utf-8", "surrogatepass")


REFUSED = {
    "nothing": b"",
    "white space": b" " * 100_000,
    "a NUL": b"\0",
    "a NUL at the end": request("hi") + b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + request("hi"),
    "UTF-16": request("hi").decode().encode("utf-16"),
    "bytes that are no text": request("hi").replace(b"hi", b"\xff\xfe"),
    "a surrogate in UTF-8": said('"x"').replace(b"x", b"\xed\xa0\x80"),
    "overlong UTF-8": said('"x"').replace(b"x", b"\xc0\xaf"),
    "null": b"null",
    "a number": b"1",
    "a list": b"[]",
    "an empty object": b"{}",
    "two values": request("hi") + request("hi"),
    "a trailing comma": b'{"model":"gpt-4o","messages":[],}',
    "a comment": b'{"model":"gpt-4o"/**/,"messages":[{"role":"user","content":"x"}]}',
    "NaN": body("temperature", "NaN"),
    "Infinity": body("temperature", "1e400"),
    "a digit too many": body("max_tokens", "9" * 100_000),
    "a negative count": body("max_tokens", "-1"),
    "a fraction of a token": body("n", "1.5"),
    "messages twice": body("messages", "[]"),
    "the model twice": body("model", '"gpt-4o-mini"'),
    "the model twice, once escaped": body("mod\\u0065l", '"gpt-4o-mini"'),
    "stream twice": body("stream", "true", stream=False),
    "the role twice": b'{"model":"gpt-4o","messages":[{"role":"user","role":"system","content":"x"}]}',
    "too many messages": b'{"model":"gpt-4o","messages":[' + b'{"role":"user","content":"x"},' * 65_536 + b'{"role":"user","content":"x"}]}',
    "too many fields": body("x", "1").replace(b'"x":1', b",".join(b'"f%d":1' % n for n in range(300))),
    "lists without end": b"[" * DEEP,
    "objects without end": b'{"a":' * DEEP,
    "messages without end": b'{"messages":' + b"[" * DEEP,
    "content that is nested": said("[" * DEEP + "]" * DEEP),
    "parts that are nested": said('[{"type":"text","text":' * 1000 + '"x"' + "}]" * 1000),
    "a control character in a string": said('"a\nb"'),
    "an escape that is none": said(r'"\x41"'),
    "half an escape": said(r'"\u12"'),
    "a model with a very long name": request("hi", "m" * 1_000_000),
    "a model that is a list": request("hi").replace(b'"gpt-4o"', b'["gpt-4o"]'),
    "a key of a megabyte": body("k" * 1_000_000, "1", n=0),
}  # fmt: skip


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_a_body_that_is_no_request_is_refused_by_the_gateway_itself(default: Stage, data: bytes) -> None:
    response = default.ask("POST", CHAT, data)
    assert response.status in (400, 404), response
    assert response.error["type"] == "invalid_request_error"
    assert len(response.body) < 2000, "what was sent is not to be repeated at length"
    assert default.fakes.seen() == [0, 0]


PASSED = {
    "an escaped NUL": said(r'"a\u0000b"'),
    "every control character": said('"' + "".join(f"\\u{n:04x}" for n in range(32)) + '"'),
    "a million escapes": said('"' + "\\n" * 1_000_000 + '"'),
    "non-characters": said('"\ufffe\uffff\U0010ffff"'),
    "a long text in one line": request("x" * 5_000_000),
    "many messages": b'{"model":"gpt-4o","messages":[' + b'{"role":"user","content":"x"},' * 20_000 + b'{"role":"user","content":"x"}]}',
    "white space everywhere": json.dumps(json.loads(request("hi")), indent=2000).encode(),
    "a number with many digits": body("temperature", "0." + "1" * 10_000),
}  # fmt: skip


@pytest.mark.parametrize("data", PASSED.values(), ids=PASSED.keys())
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_a_body_that_is_odd_and_allowed_reaches_the_provider(default: Stage, data: bytes, model: str) -> None:
    response = ask(default.port, "POST", CHAT, data.replace(b'"gpt-4o"', f'"{model}"'.encode()), timeout=30)
    assert response.status == 200, response
    assert response["x-waypost-attempts"] == "1"
    assert isinstance(response.text, str)


@pytest.mark.parametrize("text", [r"\ud800 alone", r"\udc00\ud800", r"\ud83d cut"])
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_a_lone_surrogate_is_passed_on_as_it_was_written(default: Stage, text: str, model: str) -> None:
    """JSON allows it, and a decoder would change it. What a provider makes of it is its own business."""
    data = said(f'"{text}"').replace(b'"gpt-4o"', f'"{model}"'.encode())
    response = default.ask("POST", CHAT, data)
    assert response.status in (200, 400) and response["x-waypost-attempts"] == "1"
    [port] = default.fakes.ports["openai" if model == "gpt-4o" else "anthropic"]
    assert text in default.fakes.last(port)["body"]


UNKNOWN = {
    "lists": "[" * DEEP + "]" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a string": '"' + "x" * 1_000_000 + '"',
    "a number": "1" * 1_000_000,
}


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN.keys())
@pytest.mark.parametrize("field", ["metadata", "x_unknown", "tools", "response_format", "stop"])
def test_a_field_of_any_depth_is_no_danger(default: Stage, field: str, value: str) -> None:
    """Whoever judges it, the gateway or a provider that cannot read it: an answer comes, and the
    module lives (`unharmed` looks at Envoy's log)."""
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        response = ask(default.port, "POST", CHAT, body(field, value, model=model), timeout=30)
        assert response.ending == "complete" and response.status in (200, 400), response
        if response.status != 200:
            assert response.error["message"]


@pytest.fixture(scope="module")
def small() -> Iterator[Stage]:
    """A gateway with one worker and little room: bodies of 1 MiB, 4 MiB in all."""
    fakes = Fakes()
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}

    def change(config: dict[str, Any]) -> None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        plugin = manager["typed_config"]["http_filters"][0]["typed_config"]["config"]
        plugin["configuration"]["value"]["limits"] = {"body": 1 << 20, "held": 4 << 20}

    gateway = Gateway(configuration(change=change, **marks), concurrency=1)
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


def of_size(size: int, text: str = "") -> bytes:
    """A request of exactly that many bytes."""
    empty = request(text)
    return request(text + "x" * (size - len(empty)))


@pytest.mark.parametrize("chunk", [None, 50_000])
def test_a_body_may_have_its_limit_and_not_a_byte_more(small: Stage, chunk: int | None) -> None:
    small.fakes.reset()
    fits = ask(small.port, "POST", CHAT, of_size(1 << 20), chunk=chunk)
    assert fits.status == 200, fits
    seen = small.fakes.seen()
    for size in ((1 << 20) + 1, 30 << 20):
        response = ask(small.port, "POST", CHAT, of_size(size), chunk=chunk)
        assert (response.status, response.error["code"]) == (413, "request_too_large"), response
    assert small.fakes.seen() == seen


def test_beyond_the_room_for_bodies_requests_are_put_off_and_the_others_go_on(small: Stage) -> None:
    """Guard: `limits.held`. The memory of a module only grows, and its end cuts every stream of the
    worker."""
    small.fakes.reset()
    started = threading.Barrier(12)

    def one(number: int) -> Response:
        started.wait()
        return ask(small.port, "POST", CHAT, of_size(900_000, "[[*:slow=0.7]] hi"), timeout=20)

    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(one, number) for number in range(12)]
        time.sleep(0.5)
        # A small one still finds room.
        assert ask(small.port, "POST", CHAT, request("small")).status == 200
        responses = [answer.result() for answer in answers]
    accepted = [one for one in responses if one.status == 200]
    put_off = [one for one in responses if one.status == 503]
    assert len(accepted) == 4 and len(put_off) == 8, [one.status for one in responses]
    for response in put_off:
        assert response.error["code"] == "gateway_overloaded"
        assert (response["retry-after"], response["retry-after-ms"]) == ("1", "1000")
    # And the room is there again.
    for _ in range(6):
        assert ask(small.port, "POST", CHAT, of_size(900_000)).status == 200


def resident(gateway: Gateway) -> int:
    """Envoy's resident memory in MiB."""
    with open(f"/proc/{gateway._process.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) >> 10


def test_memory_does_not_grow_with_the_number_of_large_requests(small: Stage) -> None:
    """The same requests again find the memory that the first ones left."""

    def round_of(count: int) -> int:
        for number in range(count):
            data = of_size(700_000 + number % 7 * 40_000)
            assert ask(small.port, "POST", CHAT, data).status == 200
            assert ask(small.port, "POST", CHAT, b"[" * 900_000).status == 400
        return resident(small.gateway)

    before = round_of(25)
    assert round_of(50) - before < 24
