"""New terms while requests and streams are on their way: limits, budgets, time zones, tenants and keys change under load, before an
Envoy with two workers. What was used stays used, what is spent stays spent, and each place is freed once."""

from __future__ import annotations

import copy
import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Any

import pytest
from arena import until
from client import Connection, Response, request
from gateway import Cluster, Fakes, Gateway, Stage, configuration
from test_budgets import PRICE, cost, records, spent
from test_configurations import Gateways
from test_identity import hashed

CHAT = "/v1/chat/completions"
MODEL = "gpt-4o"
KEPT = "10000000"
"""A drain time in which Envoy closes hardly any of a test's connections: it closes them evenly over it."""

TENANTS: dict[str, Any] = {
    "marker": {},
    "busy": {"budget": {"usd_per_day": 1_000_000}, "limits": {"requests_per_minute": 100_000, "concurrent": 100}},
    "lowered": {"limits": {"requests_per_minute": 600}},
    "raised": {"limits": {"requests_per_minute": 2}},
    "tokens": {"limits": {"tokens_per_minute": 100_000}},
    "token-free": {"limits": {"requests_per_minute": 600}},
    "zoned": {"budget": {"usd_per_day": 1_000_000}},
    "leaving": {"budget": {"usd_per_day": 1_000_000}, "limits": {"concurrent": 5}, "team": "old"},
    "slots": {"limits": {"concurrent": 3}},
    "daily": {"limits": {"requests_per_day": 3}, "budget": {"usd_per_day": 1_000_000}},
}  # fmt: skip


def key(name: str) -> str:
    return f"wp-{name}-{'k' * 36}"


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key(name)}"}


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": f"key-of-{name}", "hash": hashed(key(name))} | more


@pytest.fixture
def changing(tmp_path) -> Iterator[Callable[..., Stage]]:
    """Starts a gateway whose configuration can be changed."""
    stack = ExitStack()

    def start(*options: str) -> Stage:
        listeners, fakes = Gateways(tmp_path), Fakes()
        stack.callback(fakes.stop)
        gateway = {
            "tenants": {name: copy.deepcopy(terms) | {"keys": [entry(name)]} for name, terms in TENANTS.items()},
            "teams": {"old": {}},
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {MODEL: {"price": PRICE}}}},
            "rules": [{"name": "configuration-0", "targets": [f"openai/{MODEL}"]}],
        }  # fmt: skip
        clusters = [Cluster("openai", "openai", f"127.0.0.1:{fakes.ports['openai'][0]}")]
        config = configuration(gateway, clusters)
        listeners.take(config)
        stage = Stage(Gateway(config, options=options or ("--drain-time-s", KEPT)), fakes)
        stack.callback(stage.gateway.stop)
        stage.listeners = listeners  # type: ignore[attr-defined]
        stage.number = 0  # type: ignore[attr-defined]
        return stage

    with stack:
        yield start


def role(stage: Stage) -> dict[str, Any]:
    return stage.listeners.gateway  # type: ignore[attr-defined]


def reload(stage: Stage) -> None:
    """Puts the changed configuration in place, and waits until both workers take new connections under it."""
    stage.number += 1  # type: ignore[attr-defined]
    stage.listeners.name(stage.number)  # type: ignore[attr-defined]
    wanted = f"configuration-{stage.number}"  # type: ignore[attr-defined]
    until(lambda: all(chat(stage, "marker").get("x-waypost-rule") == wanted for _ in range(10)), 20)


def chat(stage: Stage, name: str, text: str = "hi", **fields: Any) -> Response:
    return stage.chat(text, MODEL, headers=bearer(name), timeout=20, **fields)


def on(connection: Connection, name: str, text: str = "hi", **fields: Any) -> Response:
    """Asks on a connection that is kept."""
    connection.send_request("POST", CHAT, request(text, MODEL, **fields), bearer(name))
    return connection.receive()


def opened(stack: ExitStack, stage: Stage, name: str, seconds: float, **fields: Any) -> Connection:
    """A stream that lasts about so long, up to its headers."""
    connection = stack.enter_context(Connection(stage.port, 20))
    text = f"hi [[*:slow_chunks=0.1,chunks={round(seconds * 10)}]]"
    connection.send_request("POST", CHAT, request(text, MODEL, stream=True, **fields), bearer(name))
    assert connection.receive(head=True).status == 200
    return connection


def rest(connection: Connection) -> bytes:
    """What is left of a stream, up to its end."""
    read = b""
    while b"[DONE]" not in read:
        more = connection.socket.recv(1 << 16)
        assert more, "the stream was cut"
        read += more
    return read


@contextmanager
def under_load(stage: Stage, name: str = "busy") -> Iterator[list[Response]]:
    """Requests and streams without end, on new connections and on kept ones. None of them may fail."""
    over, answers = Event(), list[Response]()

    def ask_on(number: int) -> None:
        with ExitStack() as stack:
            kept = stack.enter_context(Connection(stage.port, 20)) if number % 2 else None
            while not over.is_set():
                fields = {"stream": True} if number > 1 else {}
                answers.append(on(kept, name, **fields) if kept else chat(stage, name, **fields))
                if kept and answers[-1].get("connection") == "close":
                    kept = stack.enter_context(Connection(stage.port, 20))
                time.sleep(0.02)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask_on, number) for number in range(4)]
        try:
            yield answers
        finally:
            over.set()
        for one in asking:
            one.result()
    lost = [answer for answer in answers if answer.status != 200 or answer.ending != "complete"]
    assert lost == [] and len(answers) > 4, (len(lost), len(answers), lost[:1])


def counted(stage: Stage, name: str) -> int:
    """What the counter of money says of a tenant."""
    return sum(stage.gateway.stats(f"wasmcustom.waypost_spend_nano_usd;tenant={name};").values())


def agree(stage: Stage, name: str) -> int:
    """Waits until records, counter and gauge say the same of a tenant's spend; gives that."""
    told = [0, 0, 0]

    def alike() -> bool:
        told[:] = cost(stage, name), counted(stage, name), spent(stage, name)
        return told[0] > 0 and len(set(told)) == 1

    try:
        until(alike, 3)
    except AssertionError:
        raise AssertionError(f"{name}: {told[0]} in records, {told[1]} in the counter, {told[2]} in the gauge") from None
    return told[0]


def test_a_lowered_limit_holds_at_once_on_new_connections_and_on_those_that_are_drained(changing) -> None:
    stage = changing()
    with Connection(stage.port, 20) as kept, under_load(stage):
        assert on(kept, "lowered").status == 200
        role(stage)["tenants"]["lowered"]["limits"]["requests_per_minute"] = 20
        reload(stage)
        answers = [chat(stage, "lowered")]
        began = time.monotonic()
        while time.monotonic() - began < 5:
            answers += [on(kept, "lowered"), chat(stage, "lowered")]
            time.sleep(0.1)
        passed = Counter(answer.status for answer in answers)
        most = 20 + (time.monotonic() - began) / 3
        assert passed[200] <= most and passed[429] > 20, (passed, most)
        for answer in answers:
            assert answer["x-ratelimit-limit-requests"] == "20", answer
        assert "20 requests a minute" in on(kept, "lowered").error["message"]
    agree(stage, "busy")


def test_a_raised_limit_knows_what_was_used_under_the_old_one(changing) -> None:
    stage = changing()
    with Connection(stage.port, 20) as kept, under_load(stage):
        assert [on(kept, "raised").status for _ in range(3)] == [200, 200, 429]
        used = time.monotonic()
        role(stage)["tenants"]["raised"]["limits"]["requests_per_minute"] = 30
        reload(stage)
        answers = [chat(stage, "raised")]
        while answers[-1].status == 200 and len(answers) < 100:
            answers.append(chat(stage, "raised") if len(answers) % 2 else on(kept, "raised"))
        assert 28 <= len(answers) - 1 <= 29 + (time.monotonic() - used) / 2
        assert "30 requests a minute" in answers[-1].error["message"]


def test_tokens_that_an_old_stream_reserved_are_corrected_once_and_only_where_they_were_taken(changing) -> None:
    stage = changing()

    def left(name: str) -> int:
        return int(chat(stage, name, max_tokens=10)["x-ratelimit-remaining-tokens"])

    with ExitStack() as stack, under_load(stage):
        names = ("tokens", "token-free")
        streams = [opened(stack, stage, name, 8, max_tokens=15_000) for name in names for _ in range(2)]
        role(stage)["tenants"]["tokens"]["limits"]["tokens_per_minute"] = 40_000
        role(stage)["tenants"]["token-free"]["limits"]["tokens_per_minute"] = 2_000
        reload(stage)
        assert 7_000 < left("tokens") < 25_000
        assert 1_900 < left("token-free") < 2_000
        for stream in streams:
            rest(stream)
        until(lambda: left("tokens") > 35_000, 3)
        assert 1_900 < left("token-free") < 2_000
        # All of it may be used, and not more: nothing was given back that was never taken.
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: chat(stage, "token-free", "hi [[*:slow=2]]", max_tokens=900), range(4)))
        assert Counter(answer.status for answer in answers) == {200: 2, 429: 2}


def test_a_new_budget_or_time_zone_forgets_nothing_and_counts_nothing_twice(changing) -> None:
    stage = changing()
    # Where it is another day than in UTC.
    other = "-12:00" if datetime.datetime.now(datetime.timezone.utc).hour < 12 else "+14:00"
    seen = [0]

    def grows() -> None:
        now = spent(stage, "zoned")
        assert now >= seen[-1], f"{seen[-1]}, then {now}"
        seen.append(now)

    with ExitStack() as stack, under_load(stage, "zoned"), Connection(stage.port, 20) as kept:
        assert on(kept, "zoned").status == 200
        streams = [opened(stack, stage, "zoned", 6) for _ in range(4)]
        for zone, budget in [(other, 2_000_000), ("UTC", 1_000_000), (other, 3_000_000)]:
            role(stage)["time_zone"] = zone
            role(stage)["tenants"]["zoned"]["budget"]["usd_per_day"] = budget
            reload(stage)
            for _ in range(20):
                assert on(kept, "zoned").status == 200
                grows()
                time.sleep(0.05)
        for stream in streams:
            rest(stream)
    total = agree(stage, "zoned")
    assert total >= seen[-1] > 0
    # What is spent is too much for this one, also on a connection that is drained, and not for the next.
    with Connection(stage.port, 20) as kept:
        assert on(kept, "zoned").status == 200
        for budget, status in [(agree(stage, "zoned") / 1e9, 402), (1_000_000, 200)]:
            role(stage)["tenants"]["zoned"]["budget"]["usd_per_day"] = budget
            reload(stage)
            assert chat(stage, "zoned").status == status
            assert on(kept, "zoned").status == status
    agree(stage, "zoned")


def test_a_tenant_that_is_removed_is_nobody_at_once_and_its_streams_end_and_are_charged(changing) -> None:
    stage = changing("--drain-time-s", "8")
    gauges = ("tenant_info;tenant=leaving;", "budget_limit_nano_usd;name=leaving;", "budget_spent_nano_usd;name=leaving;")

    def shown() -> list[int]:
        return [sum(stage.gateway.stats(f"wasmcustom.waypost_{gauge}").values()) for gauge in gauges]

    with ExitStack() as stack:
        streams = [opened(stack, stage, "leaving", 4) for _ in range(4)]
        until(lambda: shown()[:2] == [1, 10**15], 3)
        gone = role(stage)["tenants"].pop("leaving")
        reload(stage)
        for _ in range(8):
            assert chat(stage, "leaving").status == 401
        assert chat(stage, "busy").status == 200
        for stream in streams:
            rest(stream)
    until(lambda: cost(stage, "leaving") == counted(stage, "leaving") > 0, 3)
    total = cost(stage, "leaving")
    assert len([one for one in records(stage) if one.get("tenant") == "leaving"]) == 4
    until(lambda: shown() == [0, 0, 0], 20)
    role(stage)["tenants"]["leaving"] = gone
    reload(stage)
    assert chat(stage, "leaving").status == 200
    assert agree(stage, "leaving") > total


def test_keys_are_rotated_by_overlap_and_no_request_is_lost(changing) -> None:
    stage = changing("--drain-time-s", KEPT, "--drain-strategy", "immediate")

    def all_of(name: str) -> set[int]:
        with ThreadPoolExecutor(4) as pool:
            return {answer.status for answer in pool.map(lambda _: chat(stage, name), range(12))}

    assert all_of("successor") == {401}
    tenant = role(stage)["tenants"]["busy"]
    with ThreadPoolExecutor(1) as pool:
        over = Event()

        def ask_on() -> Counter[int]:
            answers = []
            while not over.is_set():
                answers.append(chat(stage, "busy").status)
            return Counter(answers)

        asking = pool.submit(ask_on)
        tenant["keys"].append(entry("successor"))
        reload(stage)
        assert all_of("successor") == {200}
        over.set()
        assert set(asking.result()) == {200}
    with Connection(stage.port) as kept:
        assert on(kept, "busy").status == 200
        tenant["keys"][0] |= {"revoked": True}
        reload(stage)
        assert all_of("busy") == {401} and all_of("successor") == {200}
        # A connection from before is under the old configuration until it is closed: told at once with this strategy.
        last = on(kept, "busy")
        assert (last.status, last["connection"]) == (200, "close")
        assert kept.socket.recv(1) == b""
    agree(stage, "busy")


def test_a_stream_keeps_its_place_over_configurations_and_frees_it_once(changing) -> None:
    stage = changing()
    with ExitStack() as stack, under_load(stage):
        old = [opened(stack, stage, "slots", 7) for _ in range(3)]
        assert chat(stage, "slots").status == 429
        reload(stage)
        assert chat(stage, "slots").status == 429
        role(stage)["tenants"]["slots"]["limits"]["concurrent"] = 4
        reload(stage)
        new = opened(stack, stage, "slots", 14)
        assert "4 requests at a time" in chat(stage, "slots").error["message"]
        for stream in old:
            rest(stream)
        until(lambda: chat(stage, "slots").status == 200, 2)
        time.sleep(0.5)
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: chat(stage, "slots", "hi [[*:slow=3]]"), range(12)))
        assert Counter(answer.status for answer in answers) == {200: 3, 429: 9}
        rest(new)
    agree(stage, "busy")


def test_a_configuration_that_is_refused_changes_no_account(changing) -> None:
    stage = changing()
    with ExitStack() as stack, under_load(stage):
        assert [chat(stage, "daily").status for _ in range(2)] == [200, 200]
        stream = opened(stack, stage, "slots", 3)
        before = agree(stage, "daily")
        good = dict(role(stage)["tenants"])
        role(stage)["tenants"] = {name: terms for name, terms in good.items() if name not in ("daily", "slots")}
        role(stage)["rules"][0]["targets"] = ["openai/gpt-4o-mimi"]
        stage.listeners.write()
        stat = "listener_manager.lds.update_rejected"
        until(lambda: stage.gateway.stats(stat)[stat] == 1, 10)
        trouble = stage.gateway.trouble()
        assert trouble and all("failed to load" in line for line in trouble), trouble
        assert spent(stage, "daily") == before
        assert [chat(stage, "daily").status for _ in range(3)] == [200, 429, 429]
        rest(stream)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: chat(stage, "slots", "hi [[*:slow=3]]"), range(8)))
        assert Counter(answer.status for answer in answers) == {200: 3, 429: 5}
    agree(stage, "busy")
    agree(stage, "daily")
