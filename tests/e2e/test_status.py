"""The status listener: what it tells, and the page that draws it, through a real gateway with two workers."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from browser import page
from client import BUSY_SECONDS, CLIENT_KEY, Response, ask
from gateway import KEYS, Cluster, Gateway, Stage, configuration, stage

STATUS, PAGE = "/waypost/status", "/waypost/"

MARKUP = "<img src=x onerror=document.title='run'>"
"""A model's name that would run a script if it became markup."""

PROMPT = "a prompt that nobody else may read"

WHOLE, STREAMS, FAILED = 12, 9, 8
"""How many requests of each kind there are: chats, streams, and chats whose first provider fails."""


def build(fakes) -> dict[str, Any]:
    good, bad, spare = fakes.ports["openai"]
    provider = {"api": "openai", "models": {"gpt-4o": {}, MARKUP: {}}}
    gateway = {
        "providers": {
            "good": provider | {"endpoints": [{"cluster": "good-eu", "region": "eu"}], "max_concurrency": 50},
            "bad": provider | {"endpoints": [{"cluster": "bad-us"}], "models": {"gpt-4o": {}}},
            "idle": provider | {"endpoints": [{"cluster": "idle"}], "models": {"gpt-4o": {}}},
        },
        "health": {"breaker": {"consecutive_failures": 4, "open_for": "60s", "max_open": "60s"}},
        "rules": [
            {"name": "steady", "when": {"model": "steady"}, "targets": ["good/gpt-4o"]},
            {"name": "shaky", "when": {"model": "shaky"}, "choose": "failover", "targets": ["bad/gpt-4o", "good/gpt-4o"]},
            {"name": "unused", "when": {"model": "unused"}, "targets": ["idle/gpt-4o"]},
        ],
    }
    clusters = [
        Cluster("good-eu", "good", f"127.0.0.1:{good}"),
        Cluster("bad-us", "bad", f"127.0.0.1:{bad}"),
        Cluster("idle", "idle", f"127.0.0.1:{spare}"),
    ]
    return configuration(gateway, clusters)


@pytest.fixture(scope="module")
def seen():
    """A gateway that has had known traffic: all of it well, but for a provider that fails."""
    with stage(build, openai=3) as made:
        for _ in range(WHOLE):
            assert made.chat(PROMPT, "steady").status == 200
        for _ in range(STREAMS):
            assert made.chat(PROMPT, "steady", stream=True).status == 200
        assert made.chat(PROMPT, f"good/{MARKUP}").status == 200
        made.fakes.set(made.fakes.ports["openai"][1], "status=500")
        for _ in range(FAILED):
            answer = made.chat(PROMPT, "shaky")
            assert (answer.status, answer["x-waypost-provider"]) == (200, "good")
        until(made, lambda told: model(told, "good")["last"]["5m"]["requests"] == WHOLE + STREAMS + FAILED)
        yield made


def look(made: Stage, path: str = STATUS, method: str = "GET", body: bytes | None = None) -> Response:
    """One request on a connection of its own."""
    return ask(made.gateway.status_port, method, path, body)


def told(made: Stage) -> dict[str, Any]:
    answer = look(made)
    assert (answer.status, answer["content-type"], answer["cache-control"]) == (200, "application/json", "no-store")
    return answer.json()


def until(made: Stage, true: Any) -> dict[str, Any]:
    """The status once something is true of it: what went well is told within a second."""
    deadline = time.monotonic() + BUSY_SECONDS
    while not true(status := told(made)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert true(status), json.dumps(status, indent=1)
    return status


def endpoint(status: dict[str, Any], provider: str) -> dict[str, Any]:
    return next(one for one in status["providers"] if one["name"] == provider)["endpoints"][0]


def model(status: dict[str, Any], provider: str, at: str = "gpt-4o") -> dict[str, Any]:
    return next(one for one in endpoint(status, provider)["models"] if one["name"] == at)


def test_the_status_has_the_shape_that_is_documented(seen):
    status = told(seen)
    assert list(status) == ["v", "at", "rules", "providers", "prices", "left_out"]
    assert status["v"] == 1
    assert abs(status["at"] / 1000 - time.time()) < BUSY_SECONDS
    assert status["left_out"] == {"rules": 0, "endpoints": 0, "models": 0}
    assert [one["name"] for one in status["providers"]] == ["bad", "good", "idle"]
    for provider in status["providers"]:
        assert list(provider) == ["name", "api", "endpoints"]
        for one in provider["endpoints"]:
            assert list(one) == ["cluster", "region", "breaker", "in_flight", "max_concurrency", "overflowing", "last", "models"]
            assert list(one["breaker"]) == ["state", "until", "opened", "reason"]
            assert list(one["last"]) == ["10s", "1m", "5m"]
            for each in one["models"]:
                assert list(each) == ["name", "breaker", "last", "errors", "p95_history"]
                assert len(each["p95_history"]) == 10
                for window in each["last"].values():
                    assert list(window) == ["requests", "failures", "per_mille", "first_token", "total"]
    good = endpoint(status, "good")
    assert (good["cluster"], good["region"], good["max_concurrency"], good["in_flight"]) == ("good-eu", "eu", 50, 0)
    assert (endpoint(status, "bad")["region"], endpoint(status, "bad")["max_concurrency"]) == (None, None)


def test_the_counts_are_those_of_the_traffic(seen):
    last = model(told(seen), "good")["last"]["5m"]
    assert (last["requests"], last["failures"], last["per_mille"]) == (WHOLE + STREAMS + FAILED, 0, 0)
    assert last["total"]["samples"] == WHOLE + FAILED
    assert last["first_token"]["samples"] == STREAMS
    for times in (last["total"], last["first_token"]):
        assert 0 <= times["p50"] <= times["p95"] <= times["p99"] < 1000 * BUSY_SECONDS
    assert model(told(seen), "good", MARKUP)["last"]["5m"]["requests"] == 1
    history = model(told(seen), "good")["p95_history"]
    assert any(one is not None for one in history)


def test_a_provider_that_fails_shows_its_open_breaker(seen):
    status = told(seen)
    one, its_model = endpoint(status, "bad"), model(status, "bad")
    assert one["breaker"]["state"] == "open", one
    assert (one["breaker"]["reason"], one["breaker"]["opened"]) == ("server", 1)
    assert 0 < one["breaker"]["until"] - status["at"] <= 72_000  # 60 s and a fifth
    failures = one["last"]["5m"]["failures"]
    assert 4 <= failures <= FAILED
    assert its_model["last"]["5m"]["failures"] == failures
    assert its_model["last"]["5m"]["per_mille"] == 1000
    assert its_model["errors"] == {"server": failures}
    assert endpoint(status, "good")["breaker"] == {"state": "closed", "until": None, "opened": 0, "reason": None}


def test_rules_show_where_their_requests_went(seen):
    def settled(status):
        return sum(rule["attempts"] for rule in status["rules"]) >= WHOLE + STREAMS + 1 + FAILED + 4

    rules = {rule["name"]: rule for rule in until(seen, settled)["rules"]}
    assert list(rules) == ["steady", "shaky", "unused", "model"]
    steady = rules["steady"]
    assert steady["targets"] == [{"provider": "good", "model": "gpt-4o", "weight": 1}]
    at_good = {"provider": "good", "cluster": "good-eu", "model": "gpt-4o"}
    assert steady["went"] == [at_good | {"attempts": WHOLE + STREAMS, "per_mille": 1000}]
    assert (rules["unused"]["attempts"], rules["unused"]["went"]) == (0, [])
    assert rules["model"]["went"][0]["model"] == MARKUP
    shaky = {one["provider"]: one["attempts"] for one in rules["shaky"]["went"]}
    assert shaky["good"] == FAILED
    assert 4 <= shaky["bad"] <= FAILED
    assert rules["shaky"]["attempts"] == sum(shaky.values())


def test_both_workers_tell_the_same(seen):
    def facts(status: dict[str, Any]) -> str:
        kept = [
            (one["breaker"], one["last"]["5m"], [(each["name"], each["last"]["5m"], each["errors"]) for each in one["models"]])
            for provider in status["providers"]
            for one in provider["endpoints"]
        ]
        return json.dumps([kept, status["rules"]])

    before = accepted(seen)
    assert len({facts(told(seen)) for _ in range(60)}) == 1
    # Each connection is one worker's; so many do not all come to the same.
    after = accepted(seen)
    assert len(after) == 2 and all(after[worker] > before[worker] for worker in after), (before, after)


def accepted(made: Stage) -> dict[str, int]:
    """How many connections each worker has taken at the status listener."""
    stats = made.gateway.stats(f"listener.127.0.0.1_{made.gateway.status_port}.worker_")
    stats = stats or made.gateway.stats("listener.127.0.0.1_0.worker_")
    return {name: value for name, value in stats.items() if name.endswith("downstream_cx_total")}


def test_nothing_secret_and_nothing_of_a_request_is_told(seen):
    body = look(seen).body + look(seen, PAGE).body
    for secret in (*KEYS.values(), CLIENT_KEY, PROMPT, "Hello from", "authorization", "_API_KEY", "chatcmpl"):
        assert secret.encode() not in body, secret


@pytest.mark.parametrize("path", [STATUS, STATUS + "?x=1", PAGE, "/waypost/status.html"])
def test_it_can_only_be_read(seen, path):
    whole, head = look(seen, path), look(seen, path, "HEAD")
    assert whole.status == 200
    assert (head.status, head.body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = look(seen, path, method, b"{}")
        assert (answer.status, answer["allow"], answer.error["code"]) == (405, "GET, HEAD", "method_not_allowed")


@pytest.mark.parametrize("path", ["/", "/waypost", "/waypost/status/", "/v1/chat/completions", "/waypost/../waypost/x", "/%2e"])
def test_nothing_else_is_there(seen, path):
    assert (look(seen, path).status, look(seen, path).error["code"]) == (404, "unknown_url")


def test_the_gateway_s_own_listener_does_not_tell(seen):
    for path in (STATUS, PAGE):
        assert seen.ask("GET", path).status == 404


def test_the_page_may_load_nothing(seen):
    answer = look(seen, PAGE)
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert answer["content-security-policy"].startswith("default-src 'none'; ")
    assert answer["x-content-type-options"] == "nosniff"


def test_a_browser_draws_it(seen):
    # Answers within a millisecond have a p95 of 0, and are drawn too.
    until(seen, lambda status: any(p95 is not None for p95 in model(status, "good")["p95_history"]))
    drawn = page(f"http://127.0.0.1:{seen.gateway.status_port}{PAGE}#5m")
    text = re.sub(r"<(script|style)\b.*?</\1>", "", drawn, flags=re.DOTALL)
    for provider in ("good", "bad", "idle"):
        assert re.search(rf"<h3[^>]*>{provider}<", text), provider
    assert re.search(r'class="state open"[^>]*>■ open<', text)
    assert re.search(r'class="state closed"[^>]*>● closed<', text)
    assert re.search(r'<path class="spark" d="M[\d.]+ ', text)
    assert "0 of 50 in flight" in text
    for rule in ("steady", "shaky", "unused"):
        assert f"<b>{rule}</b>" in text
    assert "good/gpt-4o 100 %" in text
    # The first thing it says is what is wrong.
    assert re.search(r'id="news"[^>]*><div class="open"><b>■ bad \(bad-us\) </b><span>is open: server, asked again in \d+ s', text)
    # It has asked again by itself, and has always been answered.
    assert int(re.search(r'data-refreshes="(\d+)"', text)[1]) >= 2
    assert re.search(r'<div id="stale"[^>]*hidden', text)


def test_a_name_with_markup_is_shown_as_it_is(seen):
    drawn = page(f"http://127.0.0.1:{seen.gateway.status_port}{PAGE}")
    assert "<img" not in re.sub(r"<script\b.*?</script>", "", drawn, flags=re.DOTALL)
    assert "&lt;img src=x onerror=document.title='run'&gt;" in drawn
    assert "<title>run</title>" not in drawn


def test_what_is_in_flight_is_shown_while_it_is(seen):
    good = seen.fakes.ports["openai"][0]
    seen.fakes.set(good, "slow=4", 3)
    try:
        with ThreadPoolExecutor(3) as pool:
            slow = [pool.submit(seen.chat, PROMPT, "steady") for _ in range(3)]
            until(seen, lambda status: endpoint(status, "good")["in_flight"] == 3)
            assert all(one.result().status == 200 for one in slow)
        until(seen, lambda status: endpoint(status, "good")["in_flight"] == 0)
    finally:
        seen.fakes.set(good, None)


def test_without_a_gateway_it_says_so_and_so_does_the_page():
    def only_status(config: dict[str, Any]) -> None:
        config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].pop(0)

    gateway = Gateway(configuration(change=only_status))
    try:
        answer = ask(gateway.status_port, "GET", STATUS)
        assert (answer.status, answer.error["code"]) == (503, "no_gateway")
        drawn = page(f"http://127.0.0.1:{gateway.status_port}{PAGE}", 2500)
        assert re.search(r'<div id="stale" role="alert">▲ Stale since [^<]*: No gateway is configured', drawn)
    finally:
        gateway.stop()
