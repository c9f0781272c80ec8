"""A client that hides nothing: when each byte came, and how the answer ended."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events

CLIENT_KEY = "sk-client-of-the-gateway-0123456789"
"""What the client sends as its own key. No provider may ever see it."""

BUSY_SECONDS = 8
"""How much longer than it should anything may take on a busy machine. What a test tells apart by time
lies further apart than this, or is told by the lower bound."""


@dataclass
class Response:
    """What came back, up to where it ended."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ending: str = "complete"
    """`complete`, `cut` (closed too early), `reset`, or `silent` (the client gave up)."""
    sent: float = 0.0
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    """Seconds since the request was sent, and what came then."""
    took: float = 0.0

    def __getitem__(self, name: str) -> str:
        """The only value of a header."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) == 1, f"{name}: {values} in {self}"
        return values[0]

    def get(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, which must have OpenAI's shape and nothing else."""
        assert self["content-type"] == "application/json", self
        value = self.json()
        assert list(value) == ["error"], self
        assert sorted(value["error"]) == ["code", "message", "param", "type"], self
        assert isinstance(value["error"]["message"], str) and value["error"]["message"], self
        return value["error"]

    @property
    def text(self) -> str:
        """The content of an answer, whole or streamed."""
        if self["content-type"].startswith("text/event-stream"):
            return "".join(
                choice["delta"].get("content") or ""
                for event in self.events()
                if event != "[DONE]"
                for choice in event.get("choices", [])
            )
        return self.json()["choices"][0]["message"]["content"]

    def events(self) -> list[Any]:
        """The JSON of each event of a stream, with `[DONE]` as text."""
        blocks = self.body.decode().split("\n\n")
        if self.ending == "complete":
            assert blocks[-1] == "", self
        events = []
        for block in blocks[:-1]:
            lines = [line for line in block.split("\n") if not line.startswith(":")]
            if not lines:
                continue
            assert len(lines) == 1 and lines[0].startswith("data: "), block
            data = lines[0][6:]
            events.append(data if data == "[DONE]" else json.loads(data))
        return events

    def first_content(self) -> float:
        """When the first content of a stream came, in seconds."""
        seen = b""
        for at, piece in self.arrivals:
            seen += piece
            if b'"content":"' in seen.replace(b'"content":""', b""):
                return at
        raise AssertionError(f"no content in {self}")


class Connection:
    """One HTTP/1.1 connection, kept alive from request to request."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._response = Response()
        self._asked = ""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        chunk: int | None = None,
    ) -> None:
        """Sends a request; with `chunk` the body is chunked, so many bytes at a time."""
        self._asked = method
        given = {"host": "gateway.test"} | (headers or {})
        if body is not None:
            given.setdefault("content-type", "application/json")
            if chunk:
                given["transfer-encoding"] = "chunked"
            else:
                given.setdefault("content-length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items())]
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if body is not None and chunk:
            for start in range(0, len(body), chunk):
                piece = body[start : start + chunk]
                data += b"%x\r\n%s\r\n" % (len(piece), piece)
            data += b"0\r\n\r\n"
        elif body is not None:
            data += body
        # A gateway that refuses early closes before all of a long body is written.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send(data)

    def receive(self, head: bool = False) -> Response:
        """Reads the next response, however it ends. `head` stops after the headers."""
        response = self._response = Response(sent=time.monotonic())
        try:
            self._read_head(response)
            # The answer to a HEAD has the length of a body, and none.
            if not head and self._asked != "HEAD":
                self._read_body(response)
        except TimeoutError:
            response.ending = "silent"
        except ConnectionResetError:
            response.ending = "reset"
        except EOFError:
            response.ending = "cut"
        response.took = time.monotonic() - response.sent
        return response

    def _read_head(self, response: Response) -> None:
        response.status = int(self._line().split(b" ")[1])
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            response.headers.append((name.lower(), value.strip()))
        if 100 <= response.status < 200:
            response.headers.clear()
            self._read_head(response)

    def _read_body(self, response: Response) -> None:
        if response.get("transfer-encoding") == "chunked":
            while size := int(self._line(), 16):
                self._exactly(size, response)
                self._line()
            while self._line():
                pass
        elif response.get("content-length") is not None:
            self._exactly(int(response["content-length"]), response)
        else:
            with contextlib.suppress(EOFError):
                while True:
                    self._exactly(1, response)

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError
        self._buffer += data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            self._more()
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.rstrip(b"\r")

    def _exactly(self, size: int, response: Response) -> None:
        while size:
            if not self._buffer:
                self._more()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            response.body += piece
            response.arrivals.append((time.monotonic() - response.sent, piece))


class Http2:
    """One HTTP/2 connection, without TLS and known to be one."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        self._h2.initiate_connection()
        self._responses: dict[int, Response] = {}
        self._flush()

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        return self.receive(self.send_request(method, path, body, headers))

    def send_request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> int:
        """Sends a request and gives the number of its stream."""
        stream = self._h2.get_next_available_stream_id()
        response = self._responses[stream] = Response(ending="", sent=time.monotonic())
        given = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "gateway.test")]
        given += list((headers or {}).items())
        self._h2.send_headers(stream, given, end_stream=body is None)
        rest = body or b""
        while body is not None and not response.ending:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if not room and rest:
                self._receive_some()
                continue
            piece, rest = rest[:room], rest[room:]
            self._h2.send_data(stream, piece, end_stream=not rest)
            self._flush()
            if not rest:
                break
        self._flush()
        return stream

    def receive(self, stream: int, head: bool = False) -> Response:
        """Reads until the answer of a stream has ended; `head` stops after the headers."""
        response = self._responses[stream]
        while not response.ending and not (head and response.status):
            try:
                self._receive_some()
            except TimeoutError:
                response.ending = "silent"
            except (EOFError, ConnectionResetError):
                response.ending = "cut"
        response.took = time.monotonic() - response.sent
        return response

    def leave(self, stream: int) -> None:
        """Resets a stream, as a client does that no longer wants its answer."""
        self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def _receive_some(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise EOFError
        for event in self._h2.receive_data(data):
            response = self._responses.get(getattr(event, "stream_id", None) or 0)
            if response is None:
                continue
            if isinstance(event, h2.events.ResponseReceived):
                for name, value in event.headers:
                    if name == ":status":
                        response.status = int(value)
                    else:
                        response.headers.append((name, value))
            elif isinstance(event, h2.events.DataReceived):
                response.body += event.data
                response.arrivals.append((time.monotonic() - response.sent, event.data))
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                response.ending = response.ending or "complete"
            elif isinstance(event, h2.events.StreamReset):
                response.ending = response.ending or "reset"
        self._flush()


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    chunk: int | None = None,
    timeout: float = 10,
) -> Response:
    """One request on a connection of its own."""
    with Connection(port, timeout) as connection:
        connection.send_request(method, path, body, headers, chunk)
        return connection.receive()


def request(text: str = "hi", model: str = "gpt-4o", **fields: Any) -> bytes:
    """The body of a chat request with one user message."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return json.dumps(body | fields, ensure_ascii=False).encode()
