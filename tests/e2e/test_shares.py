"""Who gets how much of 200 requests a second, over two workers: caps, weights, endpoints, and what clients may ask for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from arena import RATE, Arena, Place, assert_served, by_worker, lost, until
from client import Response, request
from crowd import Ask, Heard
from standin import Fault

pytestmark = pytest.mark.alone

CAP = 20
"""Attempts at a time that a capped endpoint takes."""
SLACK = 4
"""How far both workers together may be beyond a cap that each of them keeps: what one begins before it has read what the other
began."""


def rule(name: str, *targets: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "when": {"model": name}, "targets": [f"{target}/gpt-4o" for target in targets]} | more


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """For each test providers of its own."""
    cap = {"max_concurrency": CAP}
    few = {"circuit_breakers": {"thresholds": [{"max_connections": 1000, "max_pending_requests": 1000, "max_requests": 3, "max_retries": 1000}]}}
    places = [
        Place("capped", latency=0.4, settings=cap), Place("spilled"),
        Place("full", latency=0.4, settings=cap), Place("full-too", latency=0.4, settings=cap),
        Place("narrow", latency=0.4, cluster=few), Place("broad"),
        Place("seventy"), Place("thirty"),
        Place("sticky-seventy"), Place("sticky-thirty"),
        Place("many", endpoints=["many-1", "many-2", "many-3"], settings={"balance": "round_robin"}),
        Place("least", latency=0.02, endpoints=["least-quick", "least-slow"], settings={"balance": "least_requests"}),
        Place("weighed", latency=0.02, endpoints=["weighed-quick", "weighed-slow"], settings={"balance": "latency"}),
        Place("eu", region="eu"), Place("us", region="us"), Place("cheap", region="us"), Place("lonely", region="us"),
    ]  # fmt: skip

    def weights(*targets: tuple[str, int]) -> list[dict[str, Any]]:
        return [{"target": f"{target}/gpt-4o", "weight": weight} for target, weight in targets]

    rules = [
        rule("cap", "capped", "spilled"),
        rule("fill", "full", "full-too"),
        rule("overflow", "narrow", "broad"),
        rule("canary", choose="canary") | {"targets": weights(("seventy", 70), ("thirty", 30))},
        rule("sticky", choose="canary", sticky="user") | {"targets": weights(("sticky-seventy", 70), ("sticky-thirty", 30))},
        rule("spread", "many"),
        rule("least", "least"),
        rule("weigh", "weighed"),
        rule("stay", "eu", "us", require={"region": ["eu"]}),
        rule("anywhere", "us", "cheap", "eu"),
        rule("cheap", "cheap", "us"),
        rule("alone", "lonely"),
    ]
    with Arena(places, rules, clients_may=["rule", "target", "models"]) as made:
        made["least-slow"].fault = made["weighed-slow"].fault = Fault(slower=10)
        yield made


@pytest.fixture(scope="module")
def strict(arena: Arena) -> Iterator[Arena]:
    """A gateway whose clients may not ask for anything."""
    with Arena([Place("one"), Place("two")], [rule("r", "one", "two"), rule("other", "two")]) as made:
        yield made


def shares(heard: list[Heard]) -> Counter[str | None]:
    return Counter(one.server for one in heard)


def check_error(answer: Heard, status: int, code: str) -> None:
    assert answer.status == status and answer.ending == "complete", answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.error and answer.error["code"] == code, answer


# Caps


def test_what_is_beyond_a_cap_goes_to_the_next(arena: Arena) -> None:
    capped = arena["capped"]
    heard = arena.all("cap", 4 * RATE)
    assert_served(heard)
    # It could have had eighty at a time.
    assert capped.most_in_flight <= CAP + SLACK
    assert capped.most_in_flight >= CAP - SLACK
    assert {one.attempts for one in heard} == {1}
    # In four seconds ten rounds of twenty, and half as many on a machine that is busy.
    assert shares(heard)["capped"] >= 5 * CAP
    assert shares(heard)["spilled"] >= RATE


def test_when_everybody_is_full_the_client_is_told_to_come_back(arena: Arena) -> None:
    heard = arena.all("fill", 4 * RATE, 1.5 * RATE)
    told = lost(heard)
    assert len(told) >= RATE / 4
    for one in told:
        check_error(one, 503, "all_candidates_saturated")
        assert one.headers["retry-after"] == "1"
        assert one.error and one.error["type"] == "service_unavailable_error"
    for name in ("full", "full-too"):
        assert CAP - SLACK <= arena[name].most_in_flight <= CAP + SLACK, name
    # And once it is over there is room again.
    after = arena.all("fill", 10, 20)
    assert_served(after)
    assert shares(after) == {"full": 10}


def test_an_overflow_of_envoys_own_pool_is_told_and_the_endpoint_left_for_a_second(arena: Arena) -> None:
    narrow = arena["narrow"]
    seconds = 4
    heard = arena.all("overflow", seconds * RATE)
    overflowed = lost(heard)
    # Envoy asks nobody else when a pool of its own overflows.
    assert overflowed
    for one in overflowed:
        assert one.status == 503 and one.ending == "complete" and one.error, one
        assert one.headers["content-type"] == "application/json"
    assert narrow.most_in_flight <= 3
    assert {one.server for one in heard if one.served} == {"narrow", "broad"}
    # Each second one or two meet a full pool before both workers have left it; had they not, it would be nearly all.
    took = heard[-1].due + heard[-1].took - heard[0].due
    when = [round(one.due - heard[0].due, 2) for one in overflowed]
    assert len(overflowed) <= 6 * (took + 1), f"{len(overflowed)} at {when}"
    # A second passes before it is asked again.
    groups = [at for at, before in zip(narrow.arrivals[1:], narrow.arrivals) if at - before > 0.9]
    assert len(groups) >= 2, narrow.histogram(heard[0].due, heard[-1].due)


# Weights


def test_weights_are_kept_over_both_workers(arena: Arena) -> None:
    heard = arena.all("canary", 2000, 2 * RATE)
    assert_served(heard)
    assert all(by_worker(heard))
    # Five standard deviations of 2,000 draws of three in ten.
    assert abs(shares(heard)["thirty"] - 600) <= 103, shares(heard)


def test_the_same_user_gets_the_same_target_from_both_workers(arena: Arena) -> None:
    # Not a divisor of the number of connections, so that each user comes over many of them.
    users = 41
    asks = [Ask(request("hi", "sticky", stream=n % 2 == 1, user=f"user-{n}")) for n in range(users)]
    heard = arena.all(lambda number: asks[number % users], 20 * users, 2 * RATE)
    assert_served(heard)
    targets = [{one.server for one in heard[n::users]} for n in range(users)]
    assert all(len(one) == 1 for one in targets), targets
    workers = [{one.worker for one in heard[n::users]} for n in range(users)]
    assert sum({0, 1} <= one for one in workers) > users / 2
    # Both get some of the users: by weight 12 of 41, and none at all once in two million.
    assert 1 <= sum(one == {"sticky-thirty"} for one in targets) <= 25


# Endpoints


def test_endpoints_in_turn_get_the_same(arena: Arena) -> None:
    heard = arena.all("spread", 600, 1.5 * RATE)
    assert_served(heard)
    for name in ("many-1", "many-2", "many-3"):
        assert abs(shares(heard)[name] - 200) <= 20, shares(heard)


def test_the_endpoints_that_live_take_what_a_dead_one_had(arena: Arena) -> None:
    dead = arena["many-2"]
    with arena.crowd("spread") as crowd:
        until(lambda: dead.between(time.monotonic() - 1) >= RATE / 4, 2)
        died = dead.kill()
        time.sleep(4)
        back = dead.revive()
        until(lambda: dead.between(time.monotonic() - 1) >= RATE / 4, 5)
        heard = crowd.stop()
    held = [one for one in lost(heard) if one.stream and one.due < died and b"Hello from" in one.body]
    assert_served([one for one in heard if one not in held])
    down = crowd.since(died + 2, back)
    assert sum(one.attempts > 1 for one in down) <= 8
    counts = shares(down)
    assert set(counts) == {"many-1", "many-3"}
    assert abs(counts["many-1"] - counts["many-3"]) <= len(down) / 10, counts


def test_least_requests_prefers_the_quick_endpoint(arena: Arena) -> None:
    heard = arena.all("least", 3 * RATE)
    assert_served(heard)
    counts = shares(heard)
    assert counts["least-quick"] >= 2 * counts["least-slow"] > 0, counts


def test_latency_prefers_the_quick_endpoint_and_starves_none(arena: Arena) -> None:
    heard = arena.all("weigh", 6 * RATE)
    assert_served(heard)
    settled = shares(heard[3 * RATE :])
    assert settled["weighed-quick"] >= 2 * settled["weighed-slow"] > 0, settled


# What clients ask for


def server(answer: Response) -> str:
    assert answer.status == 200, answer
    return answer.text.removeprefix("Hello from ").partition(".")[0]


def test_a_client_may_choose_a_rule(arena: Arena) -> None:
    answer = arena.ask("hi", "anywhere", {"x-waypost-rule": "cheap"})
    assert (server(answer), answer["x-waypost-rule"]) == ("cheap", "cheap")


def test_a_client_may_pin_a_target(arena: Arena) -> None:
    assert server(arena.ask("hi", "anywhere", {"x-waypost-target": "eu/gpt-4o"})) == "eu"


def test_a_client_may_bring_its_own_list(arena: Arena) -> None:
    arena["lonely"].kill()
    assert arena.ask("hi", "alone").status >= 500
    assert server(arena.ask("hi", "alone", models=["cheap/gpt-4o", "us/gpt-4o"])) == "cheap"
    arena["lonely"].revive()
    # It comes after the model that is asked for.
    until(lambda: arena.ask("hi", "alone").status == 200, 3)
    assert server(arena.ask("hi", "alone", models=["cheap/gpt-4o", "us/gpt-4o"])) == "lonely"


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"x-waypost-rule": "cheap"}, {}),
        ({"x-waypost-target": "us/gpt-4o"}, {}),
        ({"x-waypost-rule": "cheap"}, {"models": ["us/gpt-4o", "cheap/gpt-4o"]}),
        ({"x-waypost-rule": "cheap", "x-waypost-target": "cheap/gpt-4o"}, {}),
    ],
    ids=["rule", "target", "rule-and-models", "rule-and-target"],
)
def test_no_wish_leads_around_residency(arena: Arena, headers: dict[str, str], fields: dict[str, Any]) -> None:
    before = len(arena["us"].arrivals) + len(arena["cheap"].arrivals)
    answer = arena.ask("hi", "stay", headers, **fields)
    assert answer.status == 503 and answer.error["code"] == "no_candidate_in_region", answer
    assert answer.error["type"] == "service_unavailable_error"
    assert "stay" in answer.error["message"] and "eu" in answer.error["message"]
    assert len(arena["us"].arrivals) + len(arena["cheap"].arrivals) == before
    # A wish that it allows is granted.
    assert server(arena.ask("hi", "stay", {"x-waypost-target": "eu/gpt-4o"})) == "eu"


def test_a_list_of_models_does_not_lead_around_residency(arena: Arena) -> None:
    before = len(arena["us"].arrivals)
    assert server(arena.ask("hi", "stay", models=["us/gpt-4o"])) == "eu"
    arena["eu"].kill()
    answer = arena.ask("hi", "stay", models=["us/gpt-4o"])
    arena["eu"].revive()
    assert answer.status >= 500 and answer.error
    assert len(arena["us"].arrivals) == before


@pytest.mark.parametrize("headers", [{"x-waypost-rule": "other"}, {"x-waypost-target": "two/gpt-4o"}], ids=["rule", "target"])
def test_a_wish_that_nobody_allowed_is_not_granted(strict: Arena, headers: dict[str, str]) -> None:
    assert server(strict.ask("hi", "r")) == "one"
    answer = strict.ask("hi", "r", headers)
    assert answer.status >= 400 or server(answer) == "one", answer


def test_a_list_that_nobody_allowed_is_not_followed(strict: Arena) -> None:
    answer = strict.ask("hi", "r", models=["two/gpt-4o"])
    assert answer.status >= 400 or server(answer) == "one", answer
