"""A crowd of clients: requests that begin when they are due, whatever became of those before them.

It keeps its connections as real clients do, and uses all of them in turn, so that each of Envoy's workers gets its part. Every
request leaves a record. It runs in the thread of the stand-ins: 200 requests a second, both ends of them, take about a fifth of
a core.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from client import CLIENT_KEY, request
from standin import Loop, Wire

CONNECTIONS = 24
"""Opened before the first request. The kernel deals them to Envoy's two workers by chance: that one gets none of them happens
once in eight million runs."""

MAX_REQUESTS = 20_000
"""Most requests of one crowd."""


@dataclass(frozen=True)
class Ask:
    """A request of the crowd."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    leaves_after: float | None = None
    """Seconds after which the client hangs up, if it has no whole answer by then."""

    def message(self) -> bytes:
        given = {
            "host": "gateway.test", "authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json",
            "content-length": str(len(self.body)),
        } | self.headers  # fmt: skip
        return "".join(["POST /v1/chat/completions HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in given.items()), "\r\n"]).encode() + self.body


@dataclass
class Heard:
    """A request, and what became of it."""

    number: int
    due: float
    """When it should have been sent, as `time.monotonic` tells it: how long it took counts from there."""
    stream: bool
    worker: int | None = None
    """Which of Envoy's workers had the connection, if that is known."""
    sent: float = 0.0
    took: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: str = "unanswered"
    """`complete`, `cut` (closed too early), `refused` (no connection), `left` (by the client's own will), `unanswered`."""

    @property
    def provider(self) -> str | None:
        return self.headers.get("x-waypost-provider")

    @property
    def attempts(self) -> int:
        return int(self.headers.get("x-waypost-attempts", 0))

    @property
    def error(self) -> dict[str, Any] | None:
        """The error, in the place of an answer or at the end of a stream; it must have OpenAI's shape."""
        if self.status != 200:
            error = json.loads(self.body)
        else:
            last = self.body.rstrip().rpartition(b"\n\n")[2]
            if not last.startswith(b'data: {"error"'):
                return None
            error = json.loads(last[6:])
        assert list(error) == ["error"] and sorted(error["error"]) == ["code", "message", "param", "type"], self
        return error["error"]

    @property
    def server(self) -> str | None:
        """The stand-in that answered."""
        _, found, after = self.body.partition(b"Hello from ")
        return after.partition(b".")[0].decode() if found else None

    @property
    def served(self) -> bool:
        """Whether it has a whole answer."""
        whole = self.status == 200 and self.ending == "complete" and self.server is not None
        return whole and (not self.stream or b"data: [DONE]" in self.body)


def chat(model: str, text: str = "hi", headers: dict[str, str] | None = None, **fields: Any) -> Callable[[int], Ask]:
    """Requests for a model, every other one of them for a stream."""
    asks = [Ask(request(text, model, stream=stream, **fields), headers or {}) for stream in (False, True)]
    return lambda number: asks[number % 2]


class Crowd:
    """So many requests a second, until it is stopped. `make` gives the request of a number; `placed` is called after each of the
    first connections has been opened and tells which worker has it."""

    def __init__(
        self,
        loop: Loop,
        port: int,
        per_second: float,
        make: Callable[[int], Ask],
        seconds: float = 60,
        placed: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.placed = placed
        self.loop, self.port, self.per_second, self.make = loop, port, per_second, make
        self.heard: list[Heard] = []
        self.limit = min(MAX_REQUESTS, int(per_second * seconds))
        self._idle: deque[_Client] = deque()
        self._all: set[_Client] = set()
        self._stopping = False
        self._under_way = 0
        self._finished: Future[None] = asyncio.run_coroutine_threadsafe(self._run(), loop.loop)

    def stop(self, patience: float = 30) -> list[Heard]:
        """Sends no more, waits for the answers that are under way, and gives all records."""
        self._stopping = True
        return self.wait(patience)

    def wait(self, patience: float = 60) -> list[Heard]:
        """Waits for the last answer and gives all records."""
        self._finished.result(patience)
        return self.heard

    def since(self, start: float, end: float = float("inf")) -> list[Heard]:
        """The records of those requests that were due in that time."""
        return [one for one in list(self.heard) if start <= one.due < end]

    async def _run(self) -> None:
        for _ in range(CONNECTIONS):
            if client := await self._open():
                client.worker = self.placed()
                self._idle.append(client)
        began = time.monotonic()
        for number in range(self.limit):
            due = began + number / self.per_second
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if self._stopping:
                break
            self._begin(number, due)
        last = time.monotonic() + 20
        while self._under_way and time.monotonic() < last:
            await asyncio.sleep(0.02)
        for client in list(self._all):
            client.transport.abort()

    def _begin(self, number: int, due: float) -> None:
        ask = self.make(number)
        heard = Heard(number, due, b'"stream": true' in ask.body)
        self.heard.append(heard)
        self._under_way += 1
        if self._idle:
            self._idle.popleft().ask(ask, heard)
        else:
            asyncio.ensure_future(self._begin_anew(ask, heard))

    async def _begin_anew(self, ask: Ask, heard: Heard) -> None:
        if client := await self._open():
            client.ask(ask, heard)
        else:
            heard.ending = "refused"
            self._under_way -= 1

    async def _open(self) -> _Client | None:
        try:
            _, client = await self.loop.loop.create_connection(lambda: _Client(self), "127.0.0.1", self.port)
            return client
        except OSError:
            return None

    def ended(self, client: _Client, keep: bool) -> None:
        self._under_way -= 1
        if keep:
            self._idle.append(client)


class _Client(asyncio.Protocol):
    """A connection of the crowd."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.wire = Wire()
        self.heard: Heard | None = None
        self.worker: int | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.crowd._all.add(self)

    def ask(self, ask: Ask, heard: Heard) -> None:
        self.heard = heard
        heard.sent = time.monotonic()
        heard.worker = self.worker
        self.wire.next()
        self.transport.write(ask.message())
        if ask.leaves_after is not None:
            self.timer = self.crowd.loop.loop.call_later(ask.leaves_after, self._leave)

    def data_received(self, data: bytes) -> None:
        if self.heard and self.wire.feed(data):
            self._end("complete", keep=self.wire.headers.get("connection") != "close")

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd._all.discard(self)
        if self in self.crowd._idle:
            self.crowd._idle.remove(self)
        if self.heard:
            self._end("cut", keep=False)

    def _leave(self) -> None:
        self._end("left", keep=False)
        self.transport.abort()

    def _end(self, ending: str, keep: bool) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None
        heard, self.heard = self.heard, None
        if heard is None:
            return
        heard.took = time.monotonic() - heard.due
        heard.status = int(self.wire.start.split(" ")[1]) if self.wire.start else 0
        heard.headers, heard.body, heard.ending = self.wire.headers, self.wire.body, ending
        if not keep:
            self.transport.close()
        self.crowd.ended(self, keep)


def summary(heard: list[Heard]) -> str:
    """Who answered how often and how quickly, for whoever looks at a failed test."""
    counts = Counter((one.server, one.status, one.ending, one.attempts) for one in heard)
    times = sorted(one.took for one in heard) or [0.0]
    late = max((one.sent - one.due for one in heard if one.sent), default=0.0)
    quantiles = " ".join(f"p{q}={times[min(len(times) - 1, len(times) * q // 100)] * 1000:.0f}ms" for q in (50, 95, 99, 100))
    lines = [f"{len(heard)} requests, {quantiles}, sent at most {late * 1000:.0f}ms late"]
    return "\n".join(lines + [f"  {n} x server={k[0]} status={k[1]} {k[2]} attempts={k[3]}" for k, n in counts.most_common()])
