"""A provider that believes nothing: it keeps every byte, and reads requests without mercy.

The fake providers read as a server does. This one finds what a lenient server hides: a body that is
longer than was said, a second request inside the first, a field that nobody asked for.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Pairs = list[tuple[str, str]]


@dataclass
class Recorded:
    """A request as it stood on the wire."""

    connection: int
    line: str
    headers: Pairs
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        """The only value of a header."""
        values = [value for known, value in self.headers if known.lower() == name]
        assert len(values) == 1, f"{name}: {values} in {self.headers}"
        return values[0]

    @property
    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.headers]

    def json(self) -> Any:
        return json.loads(self.body)


def said(request: Recorded) -> str:
    """The text of the last message, in either dialect."""
    content = request.json()["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def answer(status: str, body: bytes, *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "content-type: application/json", *more]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body


def openai(request: Recorded) -> bytes:
    """An answer that repeats the beginning of what was said."""
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": said(request)[:40]},
            "finish_reason": "stop", "logprobs": None,
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    return answer("200 OK", json.dumps(body).encode())


def anthropic(request: Recorded) -> bytes:
    """An answer that repeats the beginning of what was said."""
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": said(request)[:40]}],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    return answer("200 OK", json.dumps(body).encode())


class Recorder:
    """Listens on a free port until it is closed."""

    def __init__(self, reply: Callable[[Recorded], bytes | Iterable[bytes]] = openai) -> None:
        self.reply = reply
        self.requests: list[Recorded] = []
        self.bytes = 0
        """All that arrived, in whatever form."""
        self.misread: list[str] = []
        """What could not be a request."""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(accepted, self.connections), daemon=True).start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        with accepted, contextlib.suppress(ConnectionError):
            wire = _Wire(accepted, self)
            while True:
                try:
                    request = wire.request(number)
                except EOFError:
                    return
                except ValueError as problem:
                    self.misread.append(f"connection {number}: {problem}")
                    return
                self.requests.append(request)
                reply = self.reply(request)
                for piece in [reply] if isinstance(reply, bytes) else reply:
                    accepted.sendall(piece)


class _Wire:
    """The bytes of one connection, read as strictly as HTTP/1.1 is written."""

    def __init__(self, connection: socket.socket, recorder: Recorder) -> None:
        self._connection = connection
        self._recorder = recorder
        self._rest = b""

    def request(self, number: int) -> Recorded:
        line = self._line(first=True).decode("latin-1")
        if line.count(" ") != 2 or not line.endswith(" HTTP/1.1"):
            raise ValueError(f"no request line: {line[:200]!r}")
        request = Recorded(number, line, self._fields())
        lengths = [v for k, v in request.headers if k.lower() == "content-length"]
        codings = [v for k, v in request.headers if k.lower() == "transfer-encoding"]
        if len(lengths) + len(codings) > 1:
            raise ValueError(f"two lengths: {request.headers}")
        if codings:
            while size := int(self._line().split(b";")[0], 16):
                request.body += self._exactly(size)
                if self._line() != b"":
                    raise ValueError("a chunk is longer than it says")
            request.trailers = self._fields()
        elif lengths:
            request.body = self._exactly(int(lengths[0]))
        return request

    def _fields(self) -> Pairs:
        fields = []
        while line := self._line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or name != name.strip():
                raise ValueError(f"no header: {line[:200]!r}")
            fields.append((name, value.strip()))
        return fields

    def _line(self, first: bool = False) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if not self._more():
                if first and not self._rest:
                    raise EOFError
                raise ValueError(f"cut in a line: {self._rest[:200]!r}")
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            if not self._more():
                raise ValueError(f"{size - len(self._rest)} of {size} bytes missing")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _more(self) -> bool:
        piece = self._connection.recv(1 << 16)
        self._recorder.bytes += len(piece)
        self._rest += piece
        return bool(piece)
