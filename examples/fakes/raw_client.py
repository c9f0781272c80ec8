"""A client that sees what an ordinary one hides: how a connection ended, and each raw byte."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from native_bodies import NATIVE

Headers = dict[str, str]

KEYS = {"openai": {"authorization": "Bearer sk-test"},
        "anthropic": {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"},
        "gemini": {"x-goog-api-key": "AIza-test"}, "vertex": {"authorization": "Bearer ya29.test"},
        "bedrock": {"authorization": "Bearer bedrock-api-key-test"}}  # fmt: skip
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
KEYS["azure"] = {"api-key": "sk-test"}
PATHS["azure"] = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
PATHS |= {"mistral": "/v1/chat/completions", "cohere": "/v2/chat"}
PATHS |= {"deepseek": "/v1/chat/completions", "groq": "/openai/v1/chat/completions",
          "qwen": "/compatible-mode/v1/chat/completions", "xai": "/v1/chat/completions",
          "openrouter": "/api/v1/chat/completions", "together": "/v1/chat/completions",
          "ollama": "/v1/chat/completions", "vllm": "/v1/chat/completions"}  # fmt: skip
KEYS |= {dialect: KEYS["openai"] for dialect in PATHS if dialect not in KEYS}


@dataclass
class Response:
    """What came back, up to where it ended."""

    ending: str = "complete"
    """`complete`, `cut` (closed too early), `reset`, or `silent` (timed out)."""
    status: int = 0
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    trailers: Headers = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    """The chunks of a chunked body, as they were framed."""

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The JSON of each event, with `[DONE]` as text. For streams in the usual format."""
        blocks = self.body.decode().replace("\r\n", "\n").split("\n\n")
        data = [line[6:] for block in blocks for line in block.split("\n") if line[:6] == "data: "]
        return [one if one == "[DONE]" else json.loads(one) for one in data]


class Client:
    """One connection, kept alive from request to request."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 5) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname="api.fake.test")
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, method: str, path: str, headers: Headers, body: bytes) -> Response:
        lines = [f"{method} {path} HTTP/1.1", "host: fake"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"content-length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.receive()

    def receive(self) -> Response:
        """Reads the next response, however it ends."""
        response = Response()
        try:
            self._read(response)
        except TimeoutError:
            response.ending = "silent"
        except ConnectionResetError:
            response.ending = "reset"
        except EOFError:
            response.ending = "cut"
        return response

    def _read(self, response: Response) -> None:
        response.status = int(self._line().split(b" ")[1])
        response.headers = self._headers()
        if response.headers.get("transfer-encoding") == "chunked":
            while size := int(self._line(), 16):
                piece = self._exactly(size, response)
                response.chunks.append(piece)
                self._line()
            response.trailers = self._headers()
        else:
            self._exactly(int(response.headers.get("content-length", "0")), response)

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise EOFError
        return line.rstrip(b"\r\n")

    def _headers(self) -> Headers:
        headers: Headers = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name] = value
        return headers

    def _exactly(self, size: int, response: Response) -> bytes:
        start = len(response.body)
        while missing := start + size - len(response.body):
            piece = self._file.read1(min(missing, 1 << 20))
            if not piece:
                raise EOFError
            response.body += piece
        return response.body[start:]


def control(port: int, method: str, path: str, body: Any = None) -> Any:
    """Speaks to the control endpoints of a fake provider."""
    with Client(port) as client:
        payload = b"" if body is None else json.dumps(body).encode()
        return client.ask(method, path, {}, payload).json()


def chat(
    dialect: str,
    port: int,
    text: str = "hi",
    *,
    headers: Headers | None = None,
    timeout: float = 5,
    **more: Any,
) -> Response:
    """Sends one user message in a dialect; `more` goes into the request body."""
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    if dialect == "anthropic":
        body |= {"model": "claude-sonnet-4-5", "max_tokens": 4096}
    if dialect in NATIVE:
        path, body = NATIVE[dialect](text, more)
    else:
        path, body = PATHS[dialect], body | more
    with Client(port, timeout=timeout) as client:
        sent = KEYS.get(dialect, {}) | (headers or {})
        return client.ask("POST", path, sent, json.dumps(body).encode())
