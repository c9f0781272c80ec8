"""Where a provider's answer ends, and what of it reaches the client.

The guards under test stand in `src/filter/provider.rs`: an answer is judged in the trailers callback as in
the body's, and its headers are replaced by ours with a length that holds.
"""

from __future__ import annotations

import json

import pytest
from client import Connection
from http2 import Http2
from lane import CHAT, Lane, every, lane  # noqa: F401  Fixtures.
from recorder import answer, said


def chunked(whole: bytes, *trailers: bytes) -> bytes:
    """An answer in chunks of 50 bytes, with trailers."""
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    data = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    end = b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
    return b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", b""]) + data + end


@pytest.mark.parametrize("protocol", ["HTTP/1", "HTTP/2"])
def test_response_trailers_end_an_answer_and_go_no_further(lane: Lane, protocol: str) -> None:
    """Guard: the provider role translates in the trailers callback too."""
    usual = lane.recorder.reply
    late = [b"x-late: 1", b"set-cookie: a=b", b"x-bad: \xff\xfe", b"content-length: 2"]
    lane.recorder.reply = lambda one: chunked(usual(one), *late)
    if protocol == "HTTP/1":
        with Connection(lane.port) as connection:
            connection.send_request("POST", CHAT, lane.body("hello"), {"te": "trailers"})
            response = connection.receive()
            assert response.text == "hello" and int(response["content-length"]) == len(response.body)
            connection.send_request("POST", CHAT, lane.body("again"))
            assert connection.receive().text == "again"
    else:
        with Http2(lane.port) as client:
            stream = client.ask(lane.body("hello"), [(b"te", b"trailers")])
        assert (stream.status, stream.ending, stream.trailers) == (200, "complete", [])
        assert json.loads(stream.body)["choices"][0]["message"]["content"] == "hello"


def test_an_error_that_ends_in_trailers_is_translated(lane: Lane) -> None:
    refusal = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
    lane.recorder.reply = lambda _: chunked(answer("400 Bad Request", refusal), b"x-late: 1")
    with Connection(lane.port) as connection:
        connection.send_request("POST", CHAT, lane.body("hello"))
        response = connection.receive()
    assert (response.status, response.error["message"]) == (400, "no")


EMPTY = {
    "a length of none": b"content-length: 0\r\n\r\n",
    "no chunk": b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk but trailers": b"transfer-encoding: chunked\r\n\r\n0\r\nx-late: 1\r\n\r\n",
    "another coding": b"content-encoding: br\r\ncontent-length: 3\r\n\r\nabc",
    "another coding of nothing": b"content-encoding: br\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("rest", EMPTY.values(), ids=EMPTY.keys())
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "503 Busy", "204 No Content", "302 Found"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_a_body_becomes_an_error_that_has_one(
    lane: Lane, status: str, rest: bytes, stream: bool
) -> None:
    """There is no body in which our error could be put, and its length must not be promised."""
    if status.startswith("204"):
        rest = b"\r\n"
    head = f"HTTP/1.1 {status}\r\n".encode()
    usual = lane.recorder.reply
    lane.recorder.reply = lambda one: head + rest if said(one) == "hello" else usual(one)
    with Connection(lane.port, 3) as connection:
        connection.send_request("POST", CHAT, lane.body("hello", stream=stream))
        response = connection.receive()
    assert response.ending == "complete" and response.status >= 400, response
    assert response.error["message"]
    assert response["x-waypost-attempts"] == "1"
    assert lane.works()


def test_an_answer_longer_than_it_says_is_not_the_next_ones_beginning(lane: Lane) -> None:
    """The provider's surplus bytes must not answer another client."""
    usual = lane.recorder.reply
    evil = answer("200 OK", b'{"error":{"message":"stolen"}}')
    lane.recorder.reply = lambda one: usual(one) + (evil if said(one) == "first" else b"")
    for text in ["first", "second", "third"]:
        with Connection(lane.port) as connection:
            connection.send_request("POST", CHAT, lane.body(text))
            assert connection.receive().text == text


def test_early_hints_do_not_disturb_and_do_not_pass(lane: Lane) -> None:
    usual = lane.recorder.reply
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
    lane.recorder.reply = lambda one: b"HTTP/1.1 100 Continue\r\n\r\n" + hint + usual(one)
    with Connection(lane.port) as connection:
        connection.send_request("POST", CHAT, lane.body("hello"))
        response = connection.receive()
    assert response.text == "hello" and response.get("link") is None


BROKEN = {
    "a status that is none": b"HTTP/1.1 99 What\r\ncontent-length: 0\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "both lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
    "a NUL in a header": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
}


@pytest.mark.parametrize("bytes_", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_no_http_becomes_an_error(lane: Lane, bytes_: bytes, stream: bool) -> None:
    usual = lane.recorder.reply
    lane.recorder.reply = lambda one: bytes_ if said(one) == "hello" else usual(one)
    with Connection(lane.port, 8) as connection:
        connection.send_request("POST", CHAT, lane.body("hello", stream=stream))
        response = connection.receive()
    assert response.ending == "complete" and response.status >= 500, response
    assert response.error["message"]
    assert lane.works()


FREE, ASKED, COUNTED, VAIN = (0, 0), (100, 0), (1, 1), (100, 7)

USELESS = {
    "nothing": (answer("200 OK", b""), False, ASKED),
    "nothing where a stream was asked for": (answer("200 OK", b""), True, ASKED),
    "half an answer": (answer("200 OK", b'{"choices": ['), False, ASKED),
    "another coding": (answer("200 OK", b"abc", "content-encoding: br"), False, VAIN),
    "an error with a good status": (answer("200 OK", b'{"error":{"type":"x","message":"no"}}'), False, FREE),
    "an error where a stream was asked for": (answer("200 OK", b'{"error":{"type":"x","message":"no"}}'), True, FREE),
    "a whole answer where a stream was asked for": (None, True, COUNTED),
}


@pytest.mark.parametrize(("useless", "stream", "used"), USELESS.values(), ids=USELESS.keys())
def test_an_answer_that_is_of_no_use_is_charged_all_the_same(lane: Lane, useless: bytes | None, stream: bool, used: tuple[int, int]) -> None:
    """Whoever answers with a good status and says of no error takes it for an answer, and wants money for it."""
    whole = lane.recorder.reply
    lane.recorder.reply = lambda one: whole(one) if useless is None else useless
    with Connection(lane.port) as connection:
        connection.send_request("POST", CHAT, lane.body("abcd" * 100, stream=stream, max_tokens=7))
        response = connection.receive()
    assert response.status >= 500, response
    [attempt] = lane.gateway.audited(response["x-request-id"])["attempts"]
    assert (attempt.get("input_tokens", 0), attempt.get("output_tokens", 0)) == used
