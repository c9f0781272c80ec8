"""Places of `max_concurrency`: however a request ends, it gives its own back once, and soon.

One that is lost is missed for ever, and one that is given back twice lets more through than a provider can take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from client import Connection, ask, request
from gateway import START_SECONDS, Cluster, Fakes, Gateway, Stage, configuration
from h2.exceptions import StreamClosedError
from test_hardening_bodies import of_size
from test_hardening_departures import CHAT, MOMENTS
from test_hardening_trap import TRAP, trapping_module

MODEL, CAP = "gpt-4o", 2
PROVIDERS = ("a", "b", "claude")
FAULTS = [
    "status=503", "status=429,retry_after=0", "status=400", "status=401", "huge_error=200000", "reset", "refuse", "silent",
    "silent_after_headers", "stall_after=2", "cut_after=2", "end_after=2", "error_first", "error_after=2", "malformed",
    "malformed_after=2", "html200", "empty200", "wrong_shape", "gzip", "trailers", "content_length_lie", "content_length_lie=-5",
    "big=2000000", "slow=0.2", "slow_chunks=0.4,chunks=20",
]  # fmt: skip
SLOW = 0.5
"""Seconds that an answer takes which holds a place: half of the time that it may take, for a machine that stalls."""
SOON = 6
"""Seconds in which all places are back, those of a worker that died too."""


def capped(fakes: Fakes, **marks: str) -> dict[str, Any]:
    a, b = fakes.ports["openai"]
    [claude] = fakes.ports["anthropic"]
    entry = {"models": {MODEL: {}}, "max_concurrency": CAP}
    gateway = {
        "limits": {"body": 1 << 20, "held": 64 << 20},
        "timeouts": {"first_token": "1s", "answer": "1s", "idle": "1s", "total": "2500ms"},
        "providers": {
            "a": entry | {"api": "openai", "endpoints": [{"cluster": "a"}]},
            "b": entry | {"api": "openai", "endpoints": [{"cluster": "b"}]},
            "claude": entry | {"api": "anthropic", "models": {"claude-sonnet-4-5": {}}, "endpoints": [{"cluster": "claude"}]},
        },
        "rules": [
            {"name": "alone", "when": {"model": "claude-alone"}, "targets": ["claude/claude-sonnet-4-5"]},
            {"name": "mixed", "when": {"model": "mixed"}, "targets": ["claude/claude-sonnet-4-5", f"a/{MODEL}"]},
            {"name": "all", "targets": [f"a/{MODEL}", f"b/{MODEL}"]},
        ],
    }
    clusters = [
        Cluster("a", "a", f"127.0.0.1:{a}"),
        Cluster("b", "b", f"127.0.0.1:{b}"),
        Cluster("claude", "claude", f"127.0.0.1:{claude}", key="ANTHROPIC_API_KEY"),
    ]
    return configuration(gateway, clusters, **marks)


@pytest.fixture(scope="module")
def places() -> Iterator[Stage]:
    fakes = Fakes(openai=2)
    gateway = Gateway(capped(fakes))
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


def in_flight(stage: Stage) -> dict[str, int]:
    told = ask(stage.gateway.status_port, "GET", "/waypost/status").json()
    return {one["name"]: one["endpoints"][0]["in_flight"] for one in told["providers"]}


def assert_all_back(stage: Stage) -> None:
    """All places are free, and no more than there are."""
    nobody = dict.fromkeys(PROVIDERS, 0)
    deadline = time.monotonic() + SOON
    while (now := in_flight(stage)) != nobody:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    stage.fakes.reset()
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(stage.chat, f"hi [[*:slow={SLOW}]]", MODEL) for _ in range(8)]
        answers = [one.result() for one in slow]
    served = sorted(one["x-waypost-provider"] for one in answers if one.status == 200)
    assert served == ["a"] * CAP + ["b"] * CAP, answers
    refused = {(one.status, one.error["code"]) for one in answers if one.status != 200}
    assert refused == {(503, "all_candidates_saturated")}
    for port in stage.fakes.ports["openai"]:
        assert stage.fakes.state(port)["max_in_flight"] <= CAP


@pytest.mark.parametrize("moment", MOMENTS)
def test_clients_that_leave_leave_no_place_behind(places: Stage, moment: Callable[[int, bool], None]) -> None:
    def leave(number: int) -> None:
        try:
            moment(places.port, number % 2 == 1)
        except (AssertionError, StreamClosedError):
            pass  # There was no place for this one.

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(leave, range(40)))
    assert_all_back(places)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_providers_do_all_places_come_back(places: Stage, fault: str, stream: bool) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: places.chat(f"hi [[*:{fault}]]", MODEL, stream=stream), range(8)))
    for port in places.fakes.all:
        places.fakes.set(port, fault)
    places.chat("hi", MODEL, stream=stream)
    places.chat("hi", "mixed", stream=stream)
    places.fakes.reset()
    assert_all_back(places)


def test_requests_that_reach_nobody_hold_no_place(places: Stage) -> None:
    for body in [
        of_size((1 << 20) + 1),
        b"{",
        request("hi", "no-such-model"),
        request("hi", "claude-alone", n=2),
        request("hi", "mixed", n=2),
        request("hi", MODEL, messages=[]),
    ]:
        for _ in range(6):
            ask(places.port, "POST", CHAT, body)
    assert_all_back(places)


def test_places_of_a_worker_whose_module_died_come_back() -> None:
    fakes = Fakes(openai=2)
    gateway = Gateway(capped(fakes, wasm=str(trapping_module())))
    gateway.expects_trouble = True
    stage = Stage(gateway, fakes)
    try:
        with ExitStack() as stack:
            for _ in range(2 * CAP):
                connection = stack.enter_context(Connection(stage.port))
                connection.send_request("POST", CHAT, request("hi [[*:slow_chunks=0.1,chunks=200]]", MODEL, stream=True))
                assert connection.receive(head=True).status == 200
            assert in_flight(stage) == {"a": CAP, "b": CAP, "claude": 0}
            died = 0
            for _ in range(40):
                died += ask(stage.port, "GET", "/v1/models", headers=TRAP).status == 503
            assert died >= 2
        deadline = time.monotonic() + START_SECONDS
        served = 0
        while served < 16:
            assert time.monotonic() < deadline
            # The status has its own waiting time before it starts anew.
            told = ask(stage.gateway.status_port, "GET", "/waypost/status")
            served = served + 1 if stage.chat("hi", MODEL).status == told.status == 200 else 0
            time.sleep(0.02)
        assert_all_back(stage)
    finally:
        gateway.stop()
        fakes.stop()
