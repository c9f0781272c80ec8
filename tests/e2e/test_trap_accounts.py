"""What a worker's module held of accounts when it trapped is given back; what the other one holds stays; what is used and spent is known to
both. Takes as long as a reservation may outlive its holder: a minute and a half."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from arena import until
from client import Connection, Response, ask, request
from gateway import Cluster, Fakes, Gateway, Stage, configuration
from test_budgets import PRICE, cost, spent
from test_hardening_trap import TRAP, trapping_module

CHAT = "/v1/chat/completions"
MODEL = "gpt-4o"
LEASE = 60
"""Seconds for which a reservation that nobody renews lasts at least; at most half as long again."""

TENANTS: dict[str, Any] = {
    "other": {},
    "held": {"limits": {"concurrent": 4}, "budget": {"usd_per_day": 1_000_000}},
    "spent": {"limits": {"requests_per_day": 3}, "budget": {"usd_per_day": 1_000_000}},
}


@pytest.fixture(scope="module")
def fragile():
    """Two workers; each new connection goes to the one that has fewer."""

    def balanced(config: dict[str, Any]) -> None:
        config["static_resources"]["listeners"][0]["connection_balance_config"] = {"exact_balance": {}}

    fakes = Fakes()
    gateway = {
        "identity": [{"headers": {"tenant": "x-tenant"}}],
        "anonymous": "other",
        "tenants": TENANTS,
        "timeouts": {"total": "300s"},
        "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {MODEL: {"price": PRICE}}}},
    }  # fmt: skip
    clusters = [Cluster("openai", "openai", f"127.0.0.1:{fakes.ports['openai'][0]}")]
    made = Gateway(configuration(gateway, clusters, balanced, wasm=str(trapping_module())))
    made.expects_trouble = True
    yield Stage(made, fakes)
    made.stop()
    fakes.stop()


def test_reservations_of_a_module_that_trapped_end_with_their_lease_and_no_other_does(fragile: Stage) -> None:
    def asks(tenant: str, text: str = "hi", **fields: Any) -> Response:
        while True:
            answer = fragile.chat(text, MODEL, headers={"x-tenant": tenant}, timeout=20, **fields)
            # A worker whose module is not back yet answers 503 for it.
            if answer.status != 503:
                return answer

    assert [asks("spent").status for _ in range(4)] == [200, 200, 200, 429]
    with ExitStack() as stack:
        streams = []
        for _ in range(4):
            connection = stack.enter_context(Connection(fragile.port, 200))
            body = request("hi [[*:slow_chunks=0.5,chunks=240]]", MODEL, stream=True)
            connection.send_request("POST", CHAT, body, {"x-tenant": "held"})
            assert connection.receive(head=True).status == 200
            streams.append(connection)
        assert asks("held").status == 429
        assert ask(fragile.port, "GET", "/v1/models", headers=TRAP).status == 503
        died = time.monotonic()
        # The streams of one worker are cut, with what comes next of them.
        until(lambda: sum(map(ended, streams)) == 2, 5)
        # Nobody gives their places back before the lease is over: who died may only be slow.
        while time.monotonic() - died < LEASE - 5:
            assert asks("held").status == 429
            time.sleep(2)
        until(lambda: asks("held").status == 200, LEASE / 2 + 6)
        # The two of the worker that lives are still under way, and two places are free.
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: asks("held", "hi [[*:slow=3]]"), range(8)))
        assert Counter(answer.status for answer in answers) == {200: 2, 429: 6}
        assert [asks("spent").status for _ in range(4)] == [429] * 4
        assert spent(fragile, "spent") == cost(fragile, "spent") > 0
        for stream in streams:
            stream.close()
    until(lambda: all(asks("held").status == 200 for _ in range(4)), 5)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asks("held", "hi [[*:slow=3]]"), range(8)))
    assert Counter(answer.status for answer in answers) == {200: 4, 429: 4}
    until(lambda: spent(fragile, "held") == cost(fragile, "held") > 0, 8)


def ended(connection: Connection) -> bool:
    """Whether a stream was cut; reads what there is of it."""
    connection.socket.settimeout(0.05)
    while True:
        try:
            piece = connection.socket.recv(1 << 16)
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        if not piece:
            return True
