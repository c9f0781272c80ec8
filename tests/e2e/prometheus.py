"""A real Prometheus that scrapes a gateway, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from client import ask
from gateway import ROOT, START_SECONDS

RULES = ROOT / "envoy/prometheus"

Sample = tuple[dict[str, str], float]
"""Labels and a value."""


class Prometheus:
    """Debian's, with the recording rules and alerts of `envoy/prometheus`, once a second."""

    def __init__(self, *targets: int) -> None:
        """Scrapes the admin ports `targets`."""
        binary = shutil.which("prometheus")
        assert binary, "no prometheus: apt-get install prometheus"
        self._directory = tempfile.TemporaryDirectory(prefix="waypost-prometheus-")
        directory = Path(self._directory.name)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "rules.yaml"), str(RULES / "alerts.yaml")],
            "scrape_configs": [{
                "job_name": "envoy", "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}],
            }],
        }  # fmt: skip
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._output = (directory / "output").open("wb")
        self._process = subprocess.Popen(
            [binary, f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=1h"],
            stdout=self._output, stderr=subprocess.STDOUT, env=os.environ | {"TZ": "UTC"},
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if ask(self.port, "GET", "/-/ready").status == 200:
                    return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (directory / "output").read_text()
                self.stop()
                raise RuntimeError(f"Prometheus did not start\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._output.close()
        self._directory.cleanup()

    def api(self, path: str, **query: str) -> Any:
        """`data` of an answer of its API; a query that does not parse is an AssertionError."""
        answer = ask(self.port, "GET", f"/api/v1/{path}?{urlencode(query)}")
        told = json.loads(answer.body)
        assert told["status"] == "success", (query, told)
        return told["data"]

    def query(self, expression: str) -> list[Sample]:
        """The samples of an instant query, which has an instant vector or a scalar as its result."""
        data = self.api("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str) -> float:
        """The one sample of a query."""
        found = self.query(expression)
        assert len(found) == 1, (expression, found)
        return found[0][1]

    def scrapes(self, more: int, seconds: float = 30) -> None:
        """Waits for so many more scrapes of every target, and for the rules to be evaluated after them."""
        begun = time.time()
        deadline = time.monotonic() + seconds
        while True:
            groups = self.api("rules")["groups"]
            last = [value for _, value in self.query("timestamp(up)")]
            evaluated = all(group["lastEvaluation"] > _stamp(begun + more) for group in groups)
            if last and min(last) > begun + more and evaluated:
                return
            assert time.monotonic() < deadline, "Prometheus does not scrape"
            time.sleep(0.1)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
