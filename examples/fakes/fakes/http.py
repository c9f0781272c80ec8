"""HTTP/1.1 over asyncio, no more of it than a provider's front door needs.

Requests are read one at a time from a connection, so pipelined ones are answered in order.
Bodies are gathered in pieces and joined once.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Headers = list[tuple[str, str]]
Json = dict[str, Any]

MAX_BODY = 64 << 20
"""Longest request body accepted; beyond it the answer is 413 and the connection closes."""
MAX_HEAD = 256 << 10
"""Longest header block accepted."""
READ_BUFFER = 1 << 20
"""What is buffered for a connection before its peer has to wait."""

REASONS = {
    100: "Continue", 200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    409: "Conflict", 413: "Payload Too Large", 422: "Unprocessable Entity",
    424: "Failed Dependency", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 529: "Site Overloaded",
}  # fmt: skip


_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_MODEL_IN_PATH = re.compile(r"/model/([^/]+)|/(?:models|deployments)/([^/:]+)")


class Gone(Exception):
    """The client left before its answer was complete."""


class Hangup(Exception):
    """This connection is to be closed now, without another byte."""


class BadRequest(Exception):
    """Bytes that are not an HTTP request this server reads."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Request:
    """A request as received: header names keep their case and order."""

    method: str
    target: str
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    notes: Json = field(default_factory=dict)
    """What a dialect found out about it, for `/fake/last`."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def keep_alive(self) -> bool:
        return self.header("connection").lower() != "close"

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, whatever its case; the default when there is none."""
        return next((value for key, value in self.headers if key.lower() == name), default)

    def model(self) -> str | None:
        """The model asked for: in the path, where a dialect keeps it there, or in the body."""
        found = _MODEL_IN_PATH.search(self.path)
        return unquote(found[1] or found[2]) if found else (self.json() or {}).get("model")

    def json(self) -> Json | None:
        """The body as a JSON object, or None if it is not one."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Reader(asyncio.StreamReader):
    """A stream reader that also tells those who are not reading that the peer has left."""

    def __init__(self) -> None:
        super().__init__(limit=READ_BUFFER)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Connection:
    """One accepted connection."""

    def __init__(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.finished = False
        """Carries no further request: the answer being sent is the last."""

    async def read_request_line(self) -> Request | None:
        """The start of the next request, or None when the client is done."""
        line = b"\r\n"
        while line in (b"\r\n", b"\n"):
            line = await self._read_line()
        if not line:
            return None
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise BadRequest(400, "not an HTTP/1 request line")
        return Request(parts[0], parts[1])

    async def read_headers(self, request: Request) -> None:
        size = 0
        while (line := await self._read_line()) not in (b"\r\n", b"\n"):
            size += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or size > MAX_HEAD:
                raise BadRequest(400, "not a header block")
            request.headers.append((name, value.strip()))

    async def read_body(self, request: Request) -> None:
        if request.header("expect").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces: list[bytes] = []
        if "chunked" in request.header("transfer-encoding").lower():
            total = 0
            while size := await self._read_chunk_size():
                total += size
                await self._read_exactly(size, total, pieces)
                await self._read_line()
            while await self._read_line() not in (b"\r\n", b"\n", b""):
                pass
        else:
            length = request.header("content-length", "0")
            if not length.isdecimal():
                raise BadRequest(400, "content-length is not a number")
            await self._read_exactly(int(length), int(length), pieces)
        request.body = b"".join(pieces)

    async def write(self, data: bytes) -> None:
        """Writes, and waits until the peer has taken most of it."""
        if self.writer.is_closing():
            raise Gone
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self, seconds: float) -> None:
        """Sleeps, unless the client leaves first."""
        try:
            await asyncio.wait_for(self.reader.gone.wait(), seconds)
        except TimeoutError:
            return
        raise Gone

    async def hold(self) -> None:
        """Says nothing until the client leaves."""
        await self.reader.gone.wait()
        raise Gone

    def reset(self) -> None:
        """Ends the connection with a TCP reset, dropping whatever was not yet sent."""
        linger_for_nothing = struct.pack("ii", 1, 0)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
        self.writer.transport.abort()

    async def _read_line(self) -> bytes:
        try:
            return await self.reader.readline()
        except ValueError:
            raise BadRequest(400, "line too long") from None

    async def _read_chunk_size(self) -> int:
        line = await self._read_line()
        digits = line.split(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(digits):
            raise BadRequest(400, "not a chunk size")
        return int(digits, 16)

    async def _read_exactly(self, size: int, total: int, pieces: list[bytes]) -> None:
        if total > MAX_BODY:
            raise BadRequest(413, f"body longer than {MAX_BODY} bytes")
        while size:
            piece = await self.reader.read(min(size, READ_BUFFER))
            if not piece:
                raise Gone
            pieces.append(piece)
            size -= len(piece)


class Body:
    """The body of one answer on its way out: compressed, framed and cut as asked."""

    def __init__(
        self, connection: Connection, *, chunked: bool, gzip: bool = False, bytewise: bool = False
    ) -> None:
        self._connection = connection
        self._chunked = chunked
        self._bytewise = bytewise
        self._gzip = zlib.compressobj(wbits=31) if gzip else None

    async def write(self, data: bytes) -> None:
        """Sends a piece so that the peer can read all of it now."""
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        await self._send(data)

    async def finish(self, trailers: Headers | None = None) -> None:
        """Ends the body as its framing demands."""
        if self._gzip:
            await self._send(self._gzip.flush())
        if self._chunked:
            await self._connection.write(b"0\r\n" + header_block(trailers or []))

    async def _send(self, data: bytes) -> None:
        step = 1 if self._bytewise else max(1, len(data))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if self._chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            await self._connection.write(piece)
            if self._bytewise:
                await asyncio.sleep(0)


def status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()


def header_block(headers: Headers) -> bytes:
    """Header lines and the blank line after them. Values are written as latin-1."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return lines.encode("latin-1") + b"\r\n"
