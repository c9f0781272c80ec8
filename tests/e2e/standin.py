"""Providers that are quick enough to stand under load, and whose faults change in the middle of it.

The fake providers of `examples/fakes` answer as the real ones do, in thirty ways. These answer in one way, OpenAI's, for a tenth
of the price: two cores are shared by Envoy, the crowd and all providers. They run in this process, in a thread of their own, so
that a test changes a fault by an assignment and reads what came without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

MAX_HEAD = 1 << 16
"""Longest head of a message that is read, in bytes."""


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        """Does it there and gives what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def do(self, act: Callable[[], Any]) -> Any:
        """Calls it there and gives what it gives."""

        async def work() -> Any:
            return act()

        return self.run(work())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@dataclass(frozen=True)
class Fault:
    """What a stand-in does wrong, to a share of its requests. With none of it said it only is slow."""

    share: float = 1.0
    """How many of all requests; evenly, not by chance."""
    status: int | None = None
    """Answers an error."""
    retry_after: int | None = None
    """Seconds, told with an error."""
    hang: bool = False
    """Reads the request and never answers."""
    silence: bool = False
    """200 and the head of an answer, then nothing."""
    cut_after: int | None = None
    """Closes the connection after so many pieces of a stream; an answer that is none is cut half way."""
    slower: float = 1.0
    """How many times as long everything takes."""


FINE = Fault()


class Standin:
    """One provider at an address that it keeps, whether it listens there or not."""

    def __init__(self, loop: Loop, name: str, latency: float = 0.005, pieces: int = 4, pause: float = 0.003) -> None:
        self.name, self.latency, self.pieces, self.pause = name, latency, pieces, pause
        """Seconds before an answer begins; pieces of a stream, and seconds between two of them."""
        self.fault = FINE
        self.arrivals: list[float] = []
        """When each request came, as `time.monotonic` tells it."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.left = 0
        """Requests whose client was gone before they were answered."""
        self.befallen = 0.0
        self.connections: set[_Served] = set()
        self.loop = loop
        # Holds the port while nobody listens: connections are refused, and nobody else gets it.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port = self._holder.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._server: asyncio.Server | None = None
        self.revive()

    def revive(self) -> float:
        """Listens (again); tells since when."""
        self._server = self.loop.run(self._listen())
        return time.monotonic()

    def kill(self) -> float:
        """As when the process dies: every connection is reset, and new ones are refused. Tells since when."""
        self.loop.do(self._die)
        return time.monotonic()

    def stop(self) -> None:
        self.kill()
        self._holder.close()

    def reset(self) -> None:
        """No fault, nothing seen, listening."""
        self.fault = FINE
        if self._server is None:
            self.revive()
        self.loop.do(self._forget)

    def between(self, start: float, end: float = float("inf")) -> int:
        """How many requests came in that time."""
        return sum(start <= at < end for at in list(self.arrivals))

    def busiest(self, start: float, width: float = 0.1) -> int:
        """Most requests in any stretch of that many seconds since `start`."""
        recent: deque[float] = deque()
        most = 0
        for at in list(self.arrivals):
            if at < start:
                continue
            recent.append(at)
            while recent[0] <= at - width:
                recent.popleft()
            most = max(most, len(recent))
        return most

    def histogram(self, start: float, end: float, width: float = 0.1) -> list[int]:
        """Requests in each stretch of that many seconds, for whoever looks at a failed test."""
        counts = [0] * (int((end - start) / width) + 1)
        for at in list(self.arrivals):
            if start <= at < end:
                counts[int((at - start) / width)] += 1
        return counts

    async def _listen(self) -> asyncio.Server:
        # asyncio sends small writes at once only on a socket whose protocol is named.
        listening = socket.socket(proto=socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        return await self.loop.loop.create_server(lambda: _Served(self), sock=listening, backlog=1024)

    def _die(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for one in list(self.connections):
            one.transport.abort()

    def _forget(self) -> None:
        self.arrivals.clear()
        self.most_in_flight = self.in_flight
        self.left = 0
        self.befallen = 0.0

    def befalls(self) -> Fault:
        """The fault of the next request."""
        fault = self.fault
        if fault is FINE:
            return fault
        self.befallen += fault.share
        if self.befallen >= 0.999999:
            self.befallen -= 1
            return fault
        return FINE


class Wire:
    """Reads HTTP/1.1 messages as the bytes come, with as little work as will do."""

    def __init__(self) -> None:
        self.rest = b""
        self.start = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self._left: int | None = None
        """Bytes of the body to come; None before the head has come, -1 while chunked."""

    def feed(self, data: bytes) -> bool:
        """Takes bytes; true when a whole message has come. The rest stays for the next."""
        self.rest += data
        if self._left is None and not self._head():
            return False
        if self._left == -1:
            return self._chunks()
        assert self._left is not None
        self.body += self.rest[: self._left]
        taken = min(self._left, len(self.rest))
        self.rest, self._left = self.rest[taken:], self._left - taken
        return self._left == 0

    def next(self) -> None:
        """Makes ready for the next message."""
        self.start, self.headers, self.body, self._left = "", {}, b"", None

    def _head(self) -> bool:
        head, found, rest = self.rest.partition(b"\r\n\r\n")
        if not found:
            if len(head) > MAX_HEAD:
                raise ValueError("a head without end")
            return False
        self.rest = rest
        lines = head.decode("latin-1").split("\r\n")
        self.start = lines[0]
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        chunked = self.headers.get("transfer-encoding") == "chunked"
        self._left = -1 if chunked else int(self.headers.get("content-length", 0))
        return True

    def _chunks(self) -> bool:
        while True:
            line, found, rest = self.rest.partition(b"\r\n")
            if not found:
                return False
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                trailers, found, after = self.rest.partition(b"\r\n\r\n")
                if not found:
                    return False
                self.rest = after
                return True
            if len(rest) < size + 2:
                return False
            self.body += rest[:size]
            self.rest = rest[size + 2 :]


class _Served(asyncio.Protocol):
    """A connection of a stand-in."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.wire = Wire()
        self.busy = False
        self.timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.standin.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.standin.connections.discard(self)
        if self.timer:
            self.timer.cancel()
        if self.busy:
            self.standin.left += 1
            self._rest()

    def data_received(self, data: bytes) -> None:
        if self.wire.feed(data):
            self._serve()

    def _serve(self) -> None:
        standin, wire = self.standin, self.wire
        if wire.start.startswith("GET "):
            self._write(_message(200, json.dumps({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})))
            wire.next()
            return
        asked = json.loads(wire.body)
        wire.next()
        standin.arrivals.append(time.monotonic())
        standin.in_flight += 1
        standin.most_in_flight = max(standin.most_in_flight, standin.in_flight)
        self.busy = True
        fault = standin.befalls()
        if fault.hang:
            return
        self._later(standin.latency * fault.slower, lambda: self._answer(asked, fault))

    def _answer(self, asked: dict[str, Any], fault: Fault) -> None:
        if fault.status:
            more = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            error = {"message": f"{self.standin.name} fails", "type": "error", "param": None, "code": None}
            self._done(_message(fault.status, json.dumps({"error": error}), more))
        elif asked.get("stream"):
            self._write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                + (b"" if fault.silence else _event({"role": "assistant", "content": ""}))
            )
            if not fault.silence:
                self._piece(0, fault, bool((asked.get("stream_options") or {}).get("include_usage")))
        else:
            whole = _message(200, _whole(self.standin.name))
            if fault.silence or fault.cut_after is not None:
                self._write(whole[: len(whole) - 40])
                if fault.cut_after is not None:
                    self._cut()
            else:
                self._done(whole)

    def _piece(self, number: int, fault: Fault, usage: bool) -> None:
        if fault.cut_after is not None and number >= fault.cut_after:
            self._cut()
        elif number < self.standin.pieces:
            text = f"Hello from {self.standin.name}." if number == 0 else f" {number}"
            self._write(_event({"content": text}))
            self._later(self.standin.pause * fault.slower, lambda: self._piece(number + 1, fault, usage))
        else:
            told = _chunk(json.dumps(_event_body([]) | {"usage": USAGE})) if usage else b""
            self._done(_event({}, "stop") + told + _chunk("[DONE]") + b"0\r\n\r\n")

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        if seconds:
            self.timer = self.standin.loop.loop.call_later(seconds, act)
        else:
            act()

    def _write(self, data: bytes) -> None:
        self.transport.write(data)

    def _done(self, data: bytes) -> None:
        self._write(data)
        self._rest()

    def _cut(self) -> None:
        self._rest()
        self.transport.close()

    def _rest(self) -> None:
        self.busy = False
        self.standin.in_flight -= 1


USAGE = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
REASONS = {200: "OK", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


def _message(status: int, body: str, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", body]).encode()


def _whole(name: str) -> str:
    message = {"role": "assistant", "content": f"Hello from {name}.", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    known = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return json.dumps(known | {"choices": [choice], "usage": USAGE})


def _event_body(choices: list[Any]) -> dict[str, Any]:
    known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    return known | {"choices": choices}


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _chunk(json.dumps(_event_body([{"index": 0, "delta": delta, "finish_reason": finish}])))


def _chunk(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


@contextlib.contextmanager
def standins(loop: Loop, **latencies: float):
    """Some of them, by name (`_` for `-`) with their latencies, until it is closed."""
    made = {name.replace("_", "-"): Standin(loop, name.replace("_", "-"), latency) for name, latency in latencies.items()}
    try:
        yield made
    finally:
        for one in made.values():
            one.stop()
