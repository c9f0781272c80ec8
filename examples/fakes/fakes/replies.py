"""An answer before it is bytes, and the faults that act on those bytes."""

from __future__ import annotations

import enum
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .faults import Faults
from .http import Body, Connection, Hangup, Headers, Request, header_block, status_line

NOT_UTF8 = "\ue0ff"
"""Stands in a text for the invalid bytes that `non_utf8` puts on the wire."""
_NOT_UTF8_BYTES = b"\xff\xfe\xc3\x28"

_TRAILERS: Headers = [("x-fake-trailer", "after-the-body"), ("server-timing", "total;dur=12")]
_STREAM_LENGTH_GUESS = 1 << 20
"""What `content_length_lie` starts from when the answer is a stream, whose length is not known."""


@dataclass
class Event:
    """One server-sent event. `data` is an object to encode, or text to send as it is."""

    data: Any
    name: str | None = None
    content: bool = False
    """Carries a part of the answer: what `stall_after=N` and its like count."""


@dataclass
class Reply:
    """An answer: either a whole body, or the events of a stream."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    events: list[Event] | None = None
    error: Event | None = None
    """The in-stream error, where it is not the usual one of the dialect."""
    encode: Callable[[Event, Faults], bytes] | None = None
    """How an event becomes bytes, where it is not a plain server-sent event."""


class Ending(enum.Enum):
    """How a body ends."""

    CLEAN = enum.auto()
    CUT = enum.auto()
    STALL = enum.auto()


def encode_json(value: Any, indent: int | None = None) -> bytes:
    """JSON as providers write it: UTF-8, not escaped."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, ensure_ascii=False, separators=separators, indent=indent)
    return text.encode().replace(NOT_UTF8.encode(), _NOT_UTF8_BYTES)


def json_reply(status: int, value: Any, headers: Headers) -> Reply:
    return Reply(status, [("content-type", "application/json"), *headers], encode_json(value))


def html_reply(status: int, title: str, headers: Headers) -> Reply:
    """A page as a CDN in front of a provider sends it."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Reply(status, [("content-type", "text/html; charset=UTF-8"), *headers], page.encode())


def not_an_answer(reply: Reply, faults: Faults) -> Reply:
    """Replaces a good answer by one of the 200s that are none."""
    headers = [(name, value) for name, value in reply.headers if name != "content-type"]
    if faults.html200:
        return html_reply(200, "Welcome", headers)
    if faults.wrong_shape:
        return json_reply(200, {"ok": True, "items": [1, 2, 3]}, headers)
    if faults.empty200:
        return Reply(200, reply.headers)
    return reply


async def send(
    connection: Connection, request: Request, reply: Reply, error: Event, faults: Faults
) -> None:
    """Writes a reply. `error` is the dialect's in-stream error, for the faults that need one.

    Raises `Hangup` when the answer is to be cut off here.
    """
    connection.finished = faults.content_length_lie is not None or not request.keep_alive
    accepted = "gzip" in request.header("accept-encoding").lower()
    compress = faults.gzip or (faults.honour_gzip and accepted)
    headers = list(reply.headers)
    if compress:
        headers.append(("content-encoding", "gzip"))
    if faults.header_non_utf8:
        headers.append(("x-fake-bytes", "\xff\xfe\xe9"))
    headers += [(f"x-fake-{i}", f"value-{i}") for i in range(faults.many_headers or 0)]
    if reply.events is None:
        await _send_whole(connection, request, reply, headers, compress, faults)
    else:
        await _send_stream(connection, request, reply, headers, compress, error, faults)


async def _send_whole(
    connection: Connection,
    request: Request,
    reply: Reply,
    headers: Headers,
    compress: bool,
    faults: Faults,
) -> None:
    payload, ending = reply.body, Ending.CLEAN
    if reply.status == 200 and (faults.malformed or faults.malformed_after is not None):
        payload = payload[: len(payload) * 2 // 3]
    if compress:
        payload = gzip.compress(payload)
    length = len(payload)
    if reply.status == 200:
        if faults.stall_after is not None:
            payload, ending = payload[: length // 2], Ending.STALL
        elif faults.cut_after is not None:
            payload, ending = payload[: length // 2], Ending.CUT
    body = await _send_head(
        connection, request, reply.status, headers, faults, length=length, gzip=False
    )
    await body.write(payload)
    await _end(connection, body, ending, faults)


async def _send_stream(
    connection: Connection,
    request: Request,
    reply: Reply,
    headers: Headers,
    compress: bool,
    error: Event,
    faults: Faults,
) -> None:
    encode = reply.encode or encode_event
    events, ending = _script(reply.events or [], reply.error or error, faults)
    body = await _send_head(connection, request, 200, headers, faults, length=None, gzip=compress)
    for number, event in enumerate(events):
        if number and faults.slow_chunks is not None:
            await connection.pause(faults.slow_chunks)
        data = encode(event, faults)
        await body.write(b"\xef\xbb\xbf" + data if faults.bom and not number else data)
    await _end(connection, body, ending, faults)


async def _send_head(
    connection: Connection,
    request: Request,
    status: int,
    headers: Headers,
    faults: Faults,
    *,
    length: int | None,
    gzip: bool,
) -> Body:
    lie = faults.content_length_lie
    chunked = (length is None and lie is None) or faults.trailers
    if chunked:
        headers = [*headers, ("transfer-encoding", "chunked")]
        if faults.trailers:
            headers.append(("trailer", ", ".join(name for name, _ in _TRAILERS)))
    else:
        honest = _STREAM_LENGTH_GUESS if length is None else length
        headers = [*headers, ("content-length", str(max(0, honest + (lie or 0))))]
    headers.append(("connection", "keep-alive" if request.keep_alive else "close"))
    await connection.write(status_line(status) + header_block(headers))
    if faults.silent_after_headers:
        await connection.hold()
    return Body(connection, chunked=chunked, gzip=gzip, bytewise=faults.bytewise)


async def _end(connection: Connection, body: Body, ending: Ending, faults: Faults) -> None:
    if ending is Ending.STALL:
        await connection.hold()
    if ending is Ending.CUT:
        raise Hangup
    await body.finish(_TRAILERS if faults.trailers else None)


def _script(events: list[Event], error: Event, faults: Faults) -> tuple[list[Event], Ending]:
    """The events that a stream with these faults sends, and how it then ends."""
    broken = Event('{"id":"broken","choices":[{"delta":{"content":"half a')
    if faults.error_first:
        return [error], Ending.CLEAN
    if faults.malformed:
        return [broken, *events[1:]], Ending.CLEAN
    if faults.stall_after is not None:
        return events[: _after(events, faults.stall_after)], Ending.STALL
    if faults.cut_after is not None:
        return events[: _after(events, faults.cut_after)], Ending.CUT
    if faults.end_after is not None:
        return events[: _after(events, faults.end_after)], Ending.CLEAN
    if faults.error_after is not None:
        return [*events[: _after(events, faults.error_after)], error], Ending.CLEAN
    if faults.malformed_after is not None:
        place = _after(events, faults.malformed_after)
        return [*events[:place], broken, *events[place + 1 :]], Ending.CLEAN
    return events, Ending.CLEAN


def _after(events: list[Event], count: int) -> int:
    """The place right after `count` content events; before the first one when it is 0."""
    places = [place for place, event in enumerate(events) if event.content]
    if not places:
        return len(events)
    return places[0] if count == 0 else places[min(count, len(places)) - 1] + 1


def encode_event(event: Event, faults: Faults) -> bytes:
    """An event as server-sent-event lines, in the line format the faults ask for."""
    if isinstance(event.data, str):
        data = event.data.encode()
    else:
        data = encode_json(event.data, indent=1 if faults.multiline else None)
    lines = [b": keep-alive", b""] if faults.comments else []
    if event.name is not None:
        lines.append(b"event: " + event.name.encode())
    lines += [b"data: " + line for line in data.split(b"\n")]
    eol = b"\r\n" if faults.crlf else b"\r" if faults.cr else b"\n"
    return eol.join(lines) + eol + eol
