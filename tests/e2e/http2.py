"""HTTP/2 that can do what libraries forbid: a client with trailers, resets and odd bytes, and a provider."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from recorder import Recorded, openai

Pairs = list[tuple[bytes, bytes]]


@dataclass
class Stream:
    """What came back on a stream, up to where it ended."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    ending: str = "open"
    """`complete`, `reset`, or `closed` with the connection."""

    @property
    def status(self) -> int:
        return int(self.headers.get(b":status", b"0"))


class Http2:
    """A connection with prior knowledge."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        # What this library would refuse to send is what must be tried.
        config = H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self._flush()
        self.streams: dict[int, Stream] = {}

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def start(
        self,
        body: bytes = b"",
        headers: Pairs | None = None,
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        trailers: Pairs | None = None,
        end: bool = True,
    ) -> int:
        """Sends a request, or with `end=False` the beginning of one."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        pseudo = [(b":method", method.encode()), (b":path", path.encode("latin-1")),
                  (b":scheme", b"http"), (b":authority", b"gateway.test")]  # fmt: skip
        given = [*pseudo, (b"content-type", b"application/json"), *(headers or [])]
        self.h2.send_headers(number, given, end_stream=end and not body and not trailers)
        while body:
            size = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if size == 0:
                self._flush()
                self._read()
                continue
            piece, body = body[:size], body[size:]
            self.h2.send_data(number, piece, end_stream=end and not body and not trailers)
        if trailers:
            self.h2.send_headers(number, trailers, end_stream=True)
        self._flush()
        return number

    def reset(self, number: int) -> None:
        """Leaves a stream as a client does that has lost interest."""
        self.h2.reset_stream(number, 8)
        self._flush()

    def finish(self, number: int) -> Stream:
        """Reads until the stream has ended, however it does."""
        stream = self.streams[number]
        while stream.ending == "open" and self._read():
            pass
        if stream.ending == "open":
            stream.ending = "closed"
        return stream

    def first_bytes(self, number: int) -> Stream:
        """Reads until some of the body is here."""
        stream = self.streams[number]
        while not stream.body and stream.ending == "open" and self._read():
            pass
        return stream

    def ask(self, body: bytes = b"", headers: Pairs | None = None, **more: object) -> Stream:
        return self.finish(self.start(body, headers, **more))  # type: ignore[arg-type]

    def _flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def _read(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        if not data:
            return False
        for event in self.h2.receive_data(data):
            self._take(event)
        self._flush()
        return True

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            for stream in self.streams.values():
                stream.ending = "closed" if stream.ending == "open" else stream.ending
            return
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        match event:
            case ResponseReceived():
                stream.headers = dict(event.headers or [])
            case DataReceived():
                stream.body += event.data or b""
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case TrailersReceived():
                stream.trailers = list(event.headers or [])
            case StreamEnded():
                stream.ending = "complete"
            case StreamReset():
                stream.ending = "reset"
            case _:
                pass


class Http2Recorder:
    """A provider with prior knowledge that keeps what it is sent, and answers as OpenAI's."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Http2Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        h2.initiate_connection()
        arriving: dict[int, Recorded] = {}
        with accepted:
            accepted.sendall(h2.data_to_send())
            while data := accepted.recv(1 << 16):
                for event in h2.receive_data(data):
                    number = getattr(event, "stream_id", 0) or 0
                    match event:
                        case RequestReceived():
                            arriving[number] = Recorded(number, "", list(event.headers or []))
                        case DataReceived():
                            arriving[number].body += event.data or b""
                            h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
                        case TrailersReceived():
                            arriving[number].trailers = list(event.headers or [])
                        case StreamEnded():
                            one = arriving.pop(number)
                            self.requests.append(one)
                            _, _, body = openai(one).partition(b"\r\n\r\n")
                            fields = [(":status", "200"), ("content-type", "application/json")]
                            h2.send_headers(number, fields)
                            h2.send_data(number, body, end_stream=True)
                accepted.sendall(h2.data_to_send())
