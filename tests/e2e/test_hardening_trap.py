"""What is left when the module traps: a worker that comes back, and another that never noticed.

Guards: no panic in what ships, and `failure_policy: FAIL_RELOAD` in envoy.yaml. The trap is a feature of a module that is built for these tests alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from client import CLIENT_KEY, Connection, request
from gateway import ROOT, Fakes, Gateway, Stage, configuration

CHAT = "/v1/chat/completions"
TRAP = {"x-waypost-trap": "now"}


def trapping_module() -> Path:
    """`$WAYPOST_TRAP_WASM`, else one built here."""
    if named := os.environ.get("WAYPOST_TRAP_WASM"):
        return Path(named).resolve()
    target = ROOT / "target" / "trap"
    command = "cargo build --quiet --release --lib --target wasm32-wasip1 --features trap --target-dir"
    subprocess.run([*command.split(), str(target)], cwd=ROOT, check=True)
    return target / "wasm32-wasip1/release/waypost.wasm"


@pytest.fixture(scope="module")
def fragile() -> Iterator[Stage]:
    """Two workers, and each new connection goes to the one that has fewer."""

    def balanced(config: dict[str, Any]) -> None:
        listener = config["static_resources"]["listeners"][0]
        listener["connection_balance_config"] = {"exact_balance": {}}

    fakes = Fakes()
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}
    gateway = Gateway(configuration(change=balanced, wasm=str(trapping_module()), **marks))
    gateway.expects_trouble = True
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


def started_stream(port: int) -> Connection:
    connection = Connection(port)
    text = "hi [[*:slow_chunks=0.05,chunks=30]]"
    connection.send_request("POST", CHAT, request(text, stream=True))
    assert connection.receive(head=True).status == 200
    return connection


def both_workers_serve(port: int) -> bool:
    """Whether both workers answer a chat request within ten seconds; until then with our error.

    Each plugin of a worker has its own waiting time before it starts anew, so for a moment the gateway
    role may be back and a provider's not. A connection that was just closed still counts in the balance,
    so two connections may be one worker's; a dozen are not.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with ExitStack() as stack:
            connections = [stack.enter_context(Connection(port)) for _ in range(12)]
            answers = []
            for connection in connections:
                connection.send_request("POST", CHAT, request("hi"))
                answers.append(connection.receive())
        if all(answer.status == 200 for answer in answers):
            return True
        for answer in answers:
            code = answer.error["code"] if answer.status == 503 else answer.status
            assert code in (200, "gateway_error", "all_candidates_failed"), answer
        time.sleep(0.05)
    return False


def test_a_trap_costs_its_own_worker_once_and_the_other_nothing(fragile: Stage) -> None:
    streams = [started_stream(fragile.port) for _ in range(6)]
    with Connection(fragile.port) as connection:
        connection.send_request("GET", "/v1/models", headers=TRAP)
        response = connection.receive()
    assert response.status == 503
    assert (response.error["code"], response.error["type"]) == ("gateway_error", "server_error")
    assert "panicked" not in response.body.decode()

    ends = []
    for stream in streams:
        with stream:
            rest = b""
            while piece := stream.socket.recv(1 << 16):
                rest += piece
                if b"[DONE]" in rest:
                    break
            ends.append(b"[DONE]" in rest)
    assert sorted(ends) == [False] * 3 + [True] * 3, "the streams of one worker are cut, and only those"

    assert both_workers_serve(fragile.port)
    for number in range(200):
        response = fragile.chat(f"after {number}", stream=number % 2 == 1)
        assert response.status == 200, (number, response)
    stats = fragile.gateway.stats("wasm")
    assert stats["wasm.waypost_gateway.vm_reload_success"] == 1, stats


def test_both_workers_come_back_again_and_again(fragile: Stage) -> None:
    for _ in range(3):
        with Connection(fragile.port) as one, Connection(fragile.port) as other:
            for worker in (one, other):
                worker.send_request("GET", "/v1/models", headers=TRAP)
                assert worker.receive().status == 503
        assert both_workers_serve(fragile.port)
        for _ in range(50):
            assert fragile.chat("hi").status == 200
    assert fragile.gateway.trouble(), "nothing trapped, so nothing was shown"


def test_the_module_that_ships_knows_no_such_header(default: Stage) -> None:
    """`unharmed` looks at Envoy's log after this."""
    for body in (None, request("hi")):
        method, path = ("POST", CHAT) if body else ("GET", "/v1/models")
        given = TRAP | {"authorization": f"Bearer {CLIENT_KEY}"}
        assert default.ask(method, path, body, headers=given).status == 200
    assert default.gateway.trouble() == []
    [port] = default.fakes.ports["openai"]
    assert "trap" not in json.dumps(default.fakes.last(port)["headers"])
