"""A real OpenTelemetry collector, and what it was told: Envoy → rotel → here, OTLP all the way."""

from __future__ import annotations

import gzip
import importlib.util
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclass
class Span:
    """A span as the collector passed it on."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    failed: bool
    """Whether its status is an error."""
    began: int
    ended: int
    """In nanoseconds since 1970."""
    tags: dict[str, Any]
    service: str


@dataclass
class Log:
    """A log record as the collector passed it on."""

    body: str
    trace_id: str
    span_id: str
    tags: dict[str, Any]


@dataclass
class Collector:
    """Takes OTLP over gRPC at `grpc_port` and over HTTP at `http_port`."""

    spans: list[Span] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        collector = self

        class Sink(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                answer = collector._take(self.path, body).SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=self._sink.serve_forever, daemon=True).start()
        self._directory = tempfile.TemporaryDirectory(prefix="waypost-otlp-")
        self._output = (Path(self._directory.name) / "output").open("wb")
        # Somebody else may have taken a port that was free.
        for _ in range(3):
            self._start()
            if self._wait_ready(self.grpc_port) and self._wait_ready(self.http_port):
                return
            self._process.kill()
            self._process.wait()
        self.stop()
        raise RuntimeError("the collector was not ready")

    def _start(self) -> None:
        self.grpc_port, self.http_port = free_ports(2)
        specification = importlib.util.find_spec("rotel")
        assert specification and specification.origin, "no collector: pip install rotel"
        command = [str(Path(specification.origin).parent / "rotel-agent"), "start"]
        command += ["--pid-file", f"{self._directory.name}/pid", "--log-file", f"{self._directory.name}/log"]
        command += ["--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc_port}"]
        command += ["--otlp-http-endpoint", f"127.0.0.1:{self.http_port}"]
        command += ["--exporter", "otlp", "--otlp-exporter-protocol", "http"]
        command += ["--otlp-exporter-endpoint", f"http://127.0.0.1:{self._sink.server_port}", "--disable-batching"]
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT)

    def _wait_ready(self, port: int) -> bool:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def tail(self) -> str:
        return (Path(self._directory.name) / "output").read_text(encoding="utf-8", errors="replace")[-2000:]

    def _take(self, path: str, body: bytes) -> Any:
        if path == "/v1/traces":
            told = ExportTraceServiceRequest.FromString(body)
            new = [_span(span, of.resource) for of in told.resource_spans for scope in of.scope_spans for span in scope.spans]
            with self._changed:
                self.spans += new
                self._changed.notify_all()
            return ExportTraceServiceResponse()
        told = ExportLogsServiceRequest.FromString(body)
        logs = [_log(log) for of in told.resource_logs for scope in of.scope_logs for log in scope.log_records]
        with self._changed:
            self.logs += logs
            self._changed.notify_all()
        return ExportLogsServiceResponse()

    def trace(self, trace_id: str, spans: int, seconds: float = 20) -> list[Span]:
        """The spans of a trace, the request's first, once there are so many of them."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self._of(trace_id)) >= spans, seconds)
            found = self._of(trace_id)
        assert done and len(found) == spans, f"{spans} spans wanted: {found}\n{self.tail()}"
        return sorted(found, key=lambda span: (span.kind != SERVER, span.began))

    def _of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def log(self, trace_id: str, seconds: float = 20) -> Log:
        """The log record that belongs to a trace."""
        with self._changed:
            done = self._changed.wait_for(lambda: any(log.trace_id == trace_id for log in self.logs), seconds)
        assert done, f"no log record of {trace_id}: {self.logs}\n{self.tail()}"
        return next(log for log in self.logs if log.trace_id == trace_id)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._sink.shutdown()
        self._sink.server_close()
        self._output.close()
        self._directory.cleanup()


SERVER, CLIENT = 2, 3
"""Kinds of span."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody had a moment ago: the collector cannot say which it took."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _tags(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in attributes}


def _span(span: Any, resource: Any) -> Span:
    return Span(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.kind, span.status.code == 2,
        span.start_time_unix_nano, span.end_time_unix_nano, _tags(span.attributes), _tags(resource.attributes).get("service.name", ""),
    )  # fmt: skip


def _log(log: Any) -> Log:
    return Log(log.body.string_value, log.trace_id.hex(), log.span_id.hex(), _tags(log.attributes))
