"""Providers that go wrong in the middle of 200 requests a second, and come back: who notices, how soon, and who pays for it.

Envoy has two workers, and the crowd's connections are dealt to both. What a fact counts is seen at the provider or by the
client, over both workers: had one of them not noticed, half of the requests would tell. Numbers of requests and lower bounds of
time do not depend on how busy the machine is; upper bounds of time have room (`until`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from arena import RATE, Arena, Place, assert_served, by_worker, lost, moved, until
from client import request
from crowd import Ask, Heard
from standin import FINE, Fault, Standin

pytestmark = pytest.mark.alone

NOTICED = 2.0
"""Seconds within which both workers must have left a provider."""
TRIALS = 8
"""More half-open trials than there can be in the few seconds of an outage: each that fails doubles the time to the next. Had a
worker not noticed, it would be a hundred a second."""
BRISK = {"breaker": {"open_for": "1s", "max_open": "2s"}}
"""A breaker that comes back soon, so that a test does not wait long for it."""
BACKOFF = 2.0 * 1.2
"""The longest that it is open, with its jitter."""


def rule(name: str, *targets: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "when": {"model": name}, "targets": [f"{target}/gpt-4o" for target in targets]} | more


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """For each test a provider that will fail, and one that will not."""
    places = [
        # It answers slowly, so that those who try it at a time can be told from those who try it one after the other.
        Place("killed", latency=0.1), Place("heir"),
        Place("ejected", settings=BRISK, outlier=True), Place("ejected-heir", outlier=True),
        Place("limited", settings=BRISK), Place("unlimited"),
        Place("hung", settings=BRISK), Place("awake"),
        Place("mute", settings=BRISK), Place("talking"),
        # Asked when the second took too long because the machine is busy.
        Place("spare"),
        Place("cutting", settings=BRISK), Place("whole"),
        Place("failing", settings=BRISK), Place("sound"),
        Place("left", settings={"breaker": {"error_rate": "90%"}}), Place("kept"),
        Place("flapping", settings=BRISK), Place("steady"),
        Place("near"), Place("far", latency=0.1),
        Place("berlin", region="eu", settings=BRISK), Place("boston", region="us"),
        Place("deserted", latency=0.05), Place("unneeded"),
    ]  # fmt: skip
    short = {"first_token": "1s", "answer": "1s"}
    rules = [
        rule("kill", "killed", "heir"),
        rule("eject", "ejected", "ejected-heir"),
        rule("limit", "limited", "unlimited"),
        rule("hang", "hung", "awake", "spare", timeouts=short),
        rule("mute", "mute", "talking", "spare", timeouts=short),
        rule("cut", "cutting", "whole"),
        rule("fail", "failing", "sound", leave={"error_rate": "99%"}),
        rule("leave", "left", "kept", choose="failover", leave={"window": "10s"}),
        rule("flap", "flapping", "steady"),
        rule("brown", "near", "far", choose="latency"),
        rule("stay", "berlin", "boston", require={"region": ["eu"]}),
        rule("desert", "deserted", "unneeded"),
    ]
    with Arena(places, rules) as made:
        yield made


def came(standin: Standin, share: float = 0.8, per_second: float = RATE, over: float = 0.5) -> bool:
    """Whether it gets that share of the crowd again."""
    return standin.between(time.monotonic() - over) >= share * per_second * over


def held_by_the_dead(heard: list[Heard], died: float) -> list[Heard]:
    """Those that nobody could have served: the stream's content had begun to flow when the provider died."""
    return [one for one in lost(heard) if one.stream and one.due < died and b"Hello from" in one.body]


# A provider dies


def test_a_killed_provider_costs_no_request_and_comes_back_without_a_burst(arena: Arena) -> None:
    killed, heir = arena["killed"], arena["heir"]
    with arena.crowd("kill") as crowd:
        until(lambda: came(killed), 3)
        died = killed.kill()
        until(lambda: came(heir), NOTICED)
        time.sleep(max(0, died + 5 - time.monotonic()))
        back = killed.revive()
        # Opened at 0 s for 2 s and at 2 s for 4 s, both with a fifth more or less; later only if it was noticed late.
        until(lambda: came(killed), 5)
        heard = crowd.stop()
    assert len(heard) >= 5 * RATE

    # Nobody is lost but those whose stream was under way, and they can tell.
    held = held_by_the_dead(heard, died)
    assert_served([one for one in heard if one not in held])
    assert all(b"[DONE]" not in one.body and (one.error or one.ending == "cut") for one in held), held
    assert len(held) <= killed.most_in_flight

    # Both workers have left it within two seconds: then only trials go there.
    down = crowd.since(died + NOTICED, back)
    for mine in by_worker(down):
        assert len(mine) >= RATE / 10, "the kernel gave nearly everything to the other worker"
        assert len(moved(mine)) <= TRIALS, f"{len(moved(mine))} of {len(mine)}"
    assert {one.server for one in down} == {"heir"}

    # Its return: one at first, then one more for each that went well, and no more than the usual crowd after.
    first = min(at for at in killed.arrivals if at >= back)
    assert killed.between(first, first + 0.09) <= 2, killed.histogram(first, first + 2)
    assert killed.between(first, first + 0.19) <= 6, killed.histogram(first, first + 2)
    assert killed.busiest(first, 0.5) <= RATE * 0.5 * 2


def test_an_address_that_envoy_itself_puts_out_comes_back_too(arena: Arena) -> None:
    """As in the reference configuration: outlier detection beside the breaker."""
    ejected = arena["ejected"]
    with arena.crowd("eject") as crowd:
        until(lambda: came(ejected), 3)
        died = ejected.kill()
        time.sleep(3)
        back = ejected.revive()
        # Envoy's ejection lasts ten seconds at most here, and it looks every five.
        until(lambda: came(ejected), 15 + BACKOFF)
        heard = crowd.stop()
    held = held_by_the_dead(heard, died)
    assert_served([one for one in heard if one not in held])
    assert len(moved(crowd.since(died + NOTICED, back))) <= TRIALS


def test_a_provider_that_fails_half_the_time_is_left(arena: Arena) -> None:
    failing = arena["failing"]
    with arena.crowd("fail") as crowd:
        until(lambda: came(failing), 3)
        # Never five in a row: the rate tells.
        failing.fault = Fault(share=0.75, status=500)
        began = time.monotonic()
        until(lambda: came(arena["sound"]), 2 * NOTICED)
        settled = time.monotonic()
        time.sleep(2)
        failing.fault, ended = FINE, time.monotonic()
        until(lambda: came(failing), BACKOFF)
        heard = crowd.stop()
    assert_served(heard)
    assert len(moved(crowd.since(began, settled))) >= 5
    assert failing.between(settled, ended) <= 4 * TRIALS


def test_a_provider_that_fails_now_and_then_is_left_before_its_breaker_opens(arena: Arena) -> None:
    """`choose: failover` leaves one that fails more than one request in twenty; one in twenty still looks whether it is well."""
    left = arena["left"]
    with arena.crowd("leave") as crowd:
        until(lambda: came(left), 3)
        left.fault = Fault(share=0.25, status=500)
        until(lambda: came(arena["kept"]), 5)
        settled = time.monotonic()
        time.sleep(2)
        left.fault, ended = FINE, time.monotonic()
        # When ten seconds have forgotten what failed.
        until(lambda: came(left), 12)
        heard = crowd.stop()
    assert_served(heard)
    # One in twenty, and five standard deviations.
    assert 1 <= left.between(settled + 0.5, ended) <= 40, left.histogram(settled, ended)


def test_a_flapping_provider_costs_no_request(arena: Arena) -> None:
    flapping = arena["flapping"]
    with arena.crowd("flap") as crowd:
        until(lambda: came(flapping), 3)
        for _ in range(5):
            flapping.fault = Fault(status=503)
            time.sleep(0.7)
            flapping.fault = FINE
            time.sleep(0.7)
        until(lambda: came(flapping), BACKOFF)
        heard = crowd.stop()
    assert_served(heard)
    # Without a breaker half of them would have asked twice.
    assert len(moved(heard)) <= len(heard) / 8, len(moved(heard))


# A provider has had enough


def test_a_provider_that_asks_for_two_seconds_is_given_them(arena: Arena) -> None:
    limited = arena["limited"]
    with arena.crowd("limit") as crowd:
        until(lambda: came(limited), 3)
        limited.fault = Fault(status=429, retry_after=2)
        began = time.monotonic()
        until(lambda: moved(crowd.since(began)), 1)
        told = min(one.due for one in moved(crowd.since(began)))
        time.sleep(max(0, told + 3 - time.monotonic()))
        limited.fault, ended = FINE, time.monotonic()
        until(lambda: came(limited), 2 + BACKOFF)
        heard = crowd.stop()
    assert_served(heard)
    # What was on its way when the first 429 came may still arrive.
    assert limited.between(told + 0.5, told + 1.95) == 0, limited.histogram(told, told + 3)
    assert limited.between(told + 0.5, ended) <= TRIALS, limited.histogram(told, ended)


def test_a_provider_that_says_not_how_long_is_left_all_the_same(arena: Arena) -> None:
    limited = arena["limited"]
    with arena.crowd("limit") as crowd:
        until(lambda: came(limited), BACKOFF)
        limited.fault = Fault(status=429)
        began = time.monotonic()
        time.sleep(3)
        limited.fault, ended = FINE, time.monotonic()
        until(lambda: came(limited), BACKOFF)
        heard = crowd.stop()
    assert_served(heard)
    assert limited.between(began + 1, ended) <= TRIALS, limited.histogram(began, ended)


# A provider says nothing


@pytest.mark.parametrize(
    ("model", "silent", "other", "fault"),
    [("hang", "hung", "awake", Fault(hang=True)), ("mute", "mute", "talking", Fault(silence=True))],
    ids=["no-answer", "only-headers"],
)
def test_only_the_first_few_wait_for_a_silent_provider(arena: Arena, model: str, silent: str, other: str, fault: Fault) -> None:
    standin = arena[silent]
    with arena.crowd(model) as crowd:
        until(lambda: came(standin), 3)
        standin.fault = fault
        began = time.monotonic()
        until(lambda: came(arena[other]), 1 + NOTICED)
        time.sleep(max(0, began + 5 - time.monotonic()))
        standin.fault, ended = FINE, time.monotonic()
        until(lambda: came(standin), BACKOFF)
        heard = crowd.stop()
    assert_served(heard)
    # A second until the first of them is given up, and what came in the meantime.
    waited = [one for one in crowd.since(began) if one.attempts > 1]
    assert min(one.took for one in waited) >= 1
    noticed = began + 1 + NOTICED
    assert standin.between(noticed, ended) <= TRIALS, standin.histogram(began, ended)
    late = [one for one in crowd.since(noticed, ended) if one.attempts > 1]
    assert len(late) <= TRIALS and len(crowd.since(noticed, ended)) >= RATE


# A provider breaks in the middle of its answers


def test_streams_that_break_open_the_breaker_for_those_after_them(arena: Arena) -> None:
    cutting = arena["cutting"]
    with arena.crowd("cut") as crowd:
        until(lambda: came(cutting), 3)
        cutting.fault = Fault(cut_after=2)
        began = time.monotonic()
        until(lambda: came(arena["whole"]), NOTICED)
        time.sleep(max(0, began + 4 - time.monotonic()))
        cutting.fault, ended = FINE, time.monotonic()
        until(lambda: came(cutting), BACKOFF)
        heard = crowd.stop()
    # An answer that is not streamed can still come from another.
    assert_served([one for one in heard if not one.stream])
    broken = lost(heard)
    assert 0 < len(broken)
    for one in broken:
        assert one.stream and b"[DONE]" not in one.body and (one.error or one.ending == "cut"), one
    late = [one for one in broken if began + NOTICED <= one.due < ended]
    assert len(late) <= TRIALS, late
    assert cutting.between(began + NOTICED, ended) <= TRIALS, cutting.histogram(began, ended)


# A provider is slow


def test_a_brown_out_moves_the_traffic(arena: Arena) -> None:
    near, far = arena["near"], arena["far"]
    with arena.crowd("brown") as crowd:
        until(lambda: came(near), 5)
        near.fault = Fault(slower=10)
        until(lambda: came(far), 5)
        heard = crowd.stop()
    assert_served(heard)


# A provider that must not be left


def test_a_request_that_must_stay_in_the_eu_fails_there(arena: Arena) -> None:
    berlin, boston = arena["berlin"], arena["boston"]
    with arena.crowd("stay") as crowd:
        until(lambda: came(berlin), 3)
        died = berlin.kill()
        time.sleep(3)
        berlin.revive()
        until(lambda: came(berlin), BACKOFF)
        heard = crowd.stop()
    assert boston.arrivals == []
    down = lost(crowd.since(died))
    assert len(down) >= RATE and len(lost(crowd.since(0, died - 1))) == 0
    for one in down:
        if one.due > died:
            assert one.status in (502, 503) and one.ending == "complete" and one.error, one
            assert one.headers["content-type"] == "application/json"
    # They are told in no time, and not after sixteen attempts.
    assert all(one.attempts <= 1 for one in down)
    assert {one.server for one in heard if one.served} == {"berlin"}


# Clients leave


def test_clients_that_leave_do_not_open_a_breaker(arena: Arena) -> None:
    deserted = arena["deserted"]
    asks = [Ask(request("hi", "desert", stream=stream), {}, leaves) for stream in (False, True) for leaves in (0.01, 0.055)]
    with arena.crowd(lambda number: asks[number % 4], seconds=4) as crowd:
        heard = crowd.wait()
    # On a busy machine some have their answer before they leave, but not those who leave before it can have begun.
    left = [one for one in heard if one.ending == "left"]
    assert len(left) >= RATE and deserted.left >= RATE
    assert arena["unneeded"].arrivals == []
    after = arena.all("desert", 50)
    assert_served(after)
    assert {(one.server, one.attempts) for one in after} == {("deserted", 1)}
