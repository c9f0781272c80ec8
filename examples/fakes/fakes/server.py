"""One listening address of a fake provider: its faults, its counters, its control endpoints."""

from __future__ import annotations

import asyncio
import ssl
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import (
    anthropic,
    azure,
    bedrock,
    cohere,
    compatible_hosts,
    compatible_vendors,
    gemini,
    mistral,
    openai,
    vertex,
)
from .compatible import Compatible
from .faults import NO_FAULTS, BadFault, Faults, from_directives, parse
from .http import (
    BadRequest,
    Connection,
    Gone,
    Hangup,
    Json,
    Reader,
    Request,
    header_block,
    status_line,
)
from .replies import Event, Reply, encode_json, not_an_answer, send

REMEMBERED_REQUESTS = 1000
"""How many requests `/fake/requests` can show."""
REMEMBERED_BYTES = 128 << 20
"""How many bytes of their bodies are kept; the oldest requests go first."""
REFUSAL_PEEK_SECONDS = 0.05
"""How long a refusing address waits for a control request before it hangs up."""


class Dialect(Protocol):
    """What a dialect module provides."""

    NAME: str

    def reply(self, request: Request, faults: Faults) -> Reply: ...

    def stream_error(self) -> Event: ...


DIALECTS: dict[str, Dialect] = {
    openai.NAME: openai,
    anthropic.NAME: anthropic,
    gemini.NAME: gemini,
    vertex.NAME: vertex,
    bedrock.NAME: bedrock,
    azure.NAME: azure,
    mistral.NAME: mistral,
    cohere.NAME: cohere,
    **{row.name: Compatible(row) for row in (*compatible_vendors.ROWS, *compatible_hosts.ROWS)},
}

_server_names: weakref.WeakKeyDictionary[ssl.SSLObject, str] = weakref.WeakKeyDictionary()


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server context that remembers the name each client asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])

    def remember(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None:
            _server_names[connection] = name

    context.sni_callback = remember
    return context


@dataclass
class Counters:
    """What `/fake/state` tells."""

    requests: int = 0
    connections: int = 0
    open_connections: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    aborted: int = 0
    """Requests whose client left before the answer was complete."""
    statuses: dict[int, int] = field(default_factory=dict)

    def begin(self) -> None:
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)


@dataclass(frozen=True)
class Received:
    """A request as `/fake/last` shows it."""

    request: Request
    connection: int
    sni: str | None
    at: float

    def to_json(self, port: int) -> Json:
        return {
            "method": self.request.method, "path": self.request.target,
            "headers": [list(pair) for pair in self.request.headers],
            "body": self.request.body.decode("utf-8", "replace"),
            "connection": self.connection, "sni": self.sni, "at": self.at, "port": port,
            **self.request.notes,
        }  # fmt: skip


class Server:
    """A fake provider on one address. Its siblings can be reached through its control endpoints."""

    def __init__(
        self,
        dialect: str,
        host: str,
        port: int,
        siblings: dict[int, Server],
        *,
        tls: ssl.SSLContext | None = None,
        log: bool = False,
    ) -> None:
        self.dialect = DIALECTS[dialect]
        self.host = host
        self.port = port
        self._siblings = siblings
        self._tls = tls
        self._log = log
        self._faults = NO_FAULTS
        self._fault_text: str | None = None
        self._times: int | None = None
        self._counters = Counters()
        self._received: deque[Received] = deque(maxlen=REMEMBERED_REQUESTS)
        self._received_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens; with port 0, on a port that `port` then tells."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            self._accept, self.host, self.port, ssl=self._tls, backlog=1024
        )
        self.port = listener.sockets[0].getsockname()[1]
        self._siblings[self.port] = self

    def _accept(self) -> asyncio.StreamReaderProtocol:
        reader = Reader()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._serve(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return asyncio.StreamReaderProtocol(reader, connected)

    async def _serve(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self._counters.connections += 1
        self._counters.open_connections += 1
        number = self._counters.connections
        connection = Connection(reader, writer)
        try:
            while await self._serve_one(connection, number):
                pass
        except BadRequest as error:
            await _write_json(connection, error.status, {"error": str(error)}, keep_alive=False)
        except (Gone, Hangup, ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            self._counters.open_connections -= 1
            writer.close()

    async def _serve_one(self, connection: Connection, number: int) -> bool:
        """Answers the next request on a connection. False when there is none."""
        reading = connection.read_request_line()
        if self._faults_in_force().refuse:
            request = await asyncio.wait_for(reading, REFUSAL_PEEK_SECONDS)
        else:
            request = await reading
        if request is None:
            return False
        if request.path.startswith("/fake/"):
            await connection.read_headers(request)
            await connection.read_body(request)
            status, answer = self._control(request)
            await _write_json(connection, status, answer, keep_alive=request.keep_alive)
            return request.keep_alive
        faults = self._take_faults()
        if faults.refuse:
            raise Hangup
        await self._exchange(connection, request, faults, number)
        return not connection.finished

    def _faults_in_force(self) -> Faults:
        """The faults of this address, until they have been used as often as was asked."""
        return NO_FAULTS if self._times == 0 else self._faults

    def _take_faults(self) -> Faults:
        faults = self._faults_in_force()
        if self._times:
            self._times -= 1
        return faults

    async def _exchange(
        self, connection: Connection, request: Request, faults: Faults, number: int
    ) -> None:
        started, outcome = time.monotonic(), "aborted"
        self._counters.begin()
        try:
            if faults.reset:
                connection.reset()
                raise Hangup
            await connection.read_headers(request)
            await connection.read_body(request)
            self._remember(request, connection, number)
            outcome = await self._answer(connection, request, faults)
        except Hangup:
            outcome = "hung up"
            raise
        except (Gone, ConnectionError):
            self._counters.aborted += 1
            raise
        finally:
            self._counters.in_flight -= 1
            if self._log:
                elapsed = (time.monotonic() - started) * 1000
                line = f"{request.method} {request.target} -> {outcome} {elapsed:.0f}ms"
                print(f"{self.dialect.NAME}:{self.port} {line}", flush=True)

    async def _answer(self, connection: Connection, request: Request, faults: Faults) -> str:
        try:
            faults = self._with_directives(request, faults)
        except BadFault as error:
            await _write_json(connection, 400, {"error": str(error)}, keep_alive=True)
            return "400 (bad directive)"
        if faults.reset:
            connection.reset()
            raise Hangup
        if faults.refuse:
            raise Hangup
        if faults.silent:
            await connection.hold()
        if faults.slow is not None:
            await connection.pause(faults.slow)
        try:
            reply = self.dialect.reply(request, faults)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            # The rules do not check every type; what slips through must be seen, not retried.
            message = f"fake provider cannot read this request: {error!r}"
            await _write_json(connection, 400, {"error": {"message": message}}, keep_alive=True)
            return message
        if reply.status == 200:
            reply = not_an_answer(reply, faults)
        statuses = self._counters.statuses
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        await send(connection, request, reply, self.dialect.stream_error(), faults)
        return str(reply.status)

    def _with_directives(self, request: Request, faults: Faults) -> Faults:
        if b"[[" not in request.body:
            return faults
        text, model = request.body.decode("utf-8", "replace"), request.model()
        return from_directives(text, faults, dialect=self.dialect.NAME, port=self.port, model=model)

    def _remember(self, request: Request, connection: Connection, number: int) -> None:
        if len(self._received) == REMEMBERED_REQUESTS:
            self._forget_oldest()
        tls = connection.writer.get_extra_info("ssl_object")
        name = _server_names.get(tls) if tls else None
        self._received.append(Received(request, number, name, time.time()))
        self._received_bytes += len(request.body)
        while self._received_bytes > REMEMBERED_BYTES and len(self._received) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._received_bytes -= len(self._received.popleft().request.body)

    # Control: `/fake/...`

    def _control(self, request: Request) -> tuple[int, Json]:
        """Answers a control request, for this address or for those that `?port=` names."""
        wanted = request.query.get("port", str(self.port))
        servers = [s for s in self._siblings.values() if wanted in ("*", str(s.port))]
        if not servers:
            return 404, {"error": f"no fake provider at port {wanted}"}
        route = f"{request.method} {request.path}"
        try:
            if route == "POST /fake/set":
                for server in servers:
                    server._set(request.json() or {})
            elif route == "POST /fake/reset":
                for server in servers:
                    server._reset()
            elif route == "GET /fake/last":
                return 200, servers[0]._last(1)[0] if servers[0]._received else {}
            elif route == "GET /fake/requests":
                count = int(request.query.get("n", "50"))
                return 200, {"requests": servers[0]._last(count)}
            elif route != "GET /fake/state":
                return 404, {"error": f"no control endpoint {route}"}
        except ValueError as error:
            return 400, {"error": str(error)}
        return 200, servers[0]._state()

    def _set(self, wanted: Json) -> None:
        text, times = wanted.get("fault"), wanted.get("times")
        if not isinstance(text, str | None) or not isinstance(times, int | None):
            raise BadFault('expected {"fault": "name=value,..." or null, "times": number or null}')
        self._faults = parse(text or "")
        self._fault_text, self._times = text or None, times

    def _reset(self) -> None:
        """Forgets everything, except what is still open."""
        old = self._counters
        self._counters = Counters(open_connections=old.open_connections, in_flight=old.in_flight)
        self._received.clear()
        self._received_bytes = 0
        self._set({})

    def _last(self, count: int) -> list[Json]:
        first = max(0, len(self._received) - count)
        return [one.to_json(self.port) for one in list(self._received)[first:]]

    def _state(self) -> Json:
        return {
            "dialect": self.dialect.NAME, "port": self.port, "fault": self._fault_text,
            "times": self._times, **vars(self._counters),
        }  # fmt: skip


async def _write_json(connection: Connection, status: int, value: Any, *, keep_alive: bool) -> None:
    body = encode_json(value)
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "keep-alive" if keep_alive else "close"),
    ]
    await connection.write(status_line(status) + header_block(headers) + body)
