"""Budgets: whatever becomes of a request, its account holds what all its attempts cost, once. Before an Envoy with two workers.

What attempts cost is taken from the records; what is spent, from the gauges, which are read from what all workers share.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest
from arena import until
from client import Response
from gateway import START_SECONDS, Cluster, Fakes, Gateway, Stage, ask, configuration
from h2.exceptions import StreamClosedError
from test_hardening_departures import MOMENTS, during_the_stream, in_a_whole_answer, over_http2
from test_hardening_trap import TRAP, trapping_module
from test_limits import refused, workers
from test_places import FAULTS
from test_reload import Listeners

MODEL, CLAUDE = "gpt-4o", "claude-sonnet-4-5"
SOON = 8
"""Seconds in which an account is settled and shown; a request that waits for its timeout comes first."""

PRICE = {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 10000}
"""A cent for a token of output. One of ten tokens, as most answers here have, costs ten."""

LESS = {"input_usd_per_mtok": 10, "output_usd_per_mtok": 100}


def plenty(**more: Any) -> dict[str, Any]:
    return {"budget": {"usd_per_day": 1_000_000}} | more


def tenants() -> dict[str, Any]:
    named = {
        "everyone": plenty(), "ordinary": plenty(), "failovers": plenty(), "excused": plenty(), "both": plenty(team="both"),
        "small": {"budget": {"usd_per_day": 1}},
        "later": {"budget": {"usd_per_month": 1, "status": 429}},
        "at-once": {"budget": {"usd_per_day": 10.5}},
        "thrifty": {"budget": {"usd_per_day": 1, "on_exhausted": "downgrade", "stop_at": "400%"}},
        "watched": {"budget": {"usd_per_day": 2, "usd_per_month": 1_000_000, "alerts": ["50%", "80%", "100%"]}},
        "users": {"each_user": {"budget": {"usd_per_day": 1}}},
    }  # fmt: skip
    return named | {f"fault-{number}": plenty() for number in range(len(FAULTS))}


def budgets(fakes: Fakes, hook: str = "127.0.0.1:1", **marks: str) -> dict[str, Any]:
    openai, other = fakes.ports["openai"]
    [anthropic] = fakes.ports["anthropic"]
    gateway = {
        "identity": [{"headers": {"tenant": "x-tenant", "user": "x-user"}}],
        "anonymous": "everyone",
        "tenants": tenants(),
        "teams": {"both": plenty()},
        "alerts": {"cluster": "hooks", "authority": "hooks.example.com", "path": "/waypost?to=ops"},
        "limits": {"body": 1 << 20, "held": 64 << 20},
        "timeouts": {"first_token": "1s", "answer": "1s", "idle": "1s", "total": "2500ms"},
        "providers": {
            "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {MODEL: {"price": PRICE}}},
            "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {CLAUDE: {"price": LESS}}},
            "capped": {
                "api": "openai", "endpoints": [{"cluster": "capped"}], "models": {"gpt-4o-mini": {"price": PRICE}},
                "budget": {"usd_per_day": 1},
            },
        },
        "rules": [
            {"name": "capped", "when": {"model": "capped"}, "targets": ["capped/gpt-4o-mini", f"claude/{CLAUDE}"]},
            {"name": "alone", "when": {"model": "capped-alone"}, "targets": ["capped/gpt-4o-mini"]},
            {"name": "dear", "when": {"model": "dear"}, "targets": [f"openai/{MODEL}"]},
            {"name": "all", "targets": [f"openai/{MODEL}", f"claude/{CLAUDE}"]},
        ],
    }  # fmt: skip
    clusters = [
        Cluster("openai", "openai", f"127.0.0.1:{openai}"),
        Cluster("claude", "claude", f"127.0.0.1:{anthropic}", key="ANTHROPIC_API_KEY"),
        Cluster("capped", "capped", f"127.0.0.1:{other}"),
    ]

    def change(config: dict[str, Any]) -> None:
        host, _, port = hook.rpartition(":")
        address = {"socket_address": {"address": host, "port_value": int(port)}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        load = {"cluster_name": "hooks", "endpoints": endpoints}
        config["static_resources"]["clusters"].append({"name": "hooks", "connect_timeout": "1s", "load_assignment": load})

    return configuration(gateway, clusters, change, **marks)


class Hook:
    """A webhook that refuses what comes first, and takes all else."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        self.refused: list[dict[str, Any]] = []
        self.lock = Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with hook.lock:
                    first = not hook.refused
                    (hook.refused.append(told) if first else hook.got.append((self.path, self.headers["host"], told)))
                self.send_response(503 if first else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, name: str) -> list[dict[str, Any]]:
        return [told for _, _, told in list(self.got) if told["name"] == name]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def up(build: Callable[[Fakes, str], dict[str, Any]]) -> Iterator[tuple[Stage, Hook]]:
    fakes, hook = Fakes(openai=2), Hook()
    gateway = Gateway(build(fakes, hook.address))
    try:
        yield Stage(gateway, fakes), hook
    finally:
        gateway.stop()
        fakes.stop()
        hook.stop()


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Stage, Hook]]:
    with up(budgets) as made:
        yield made


@pytest.fixture
def stage(both: tuple[Stage, Hook]) -> Stage:
    both[0].fakes.reset()
    return both[0]


def chat(stage: Stage, tenant: str, text: str = "hi", model: str = MODEL, user: str | None = None, **fields: Any) -> Response:
    headers = {"x-tenant": tenant} | ({"x-user": user} if user else {})
    return stage.chat(text, model, headers=headers, **fields)


def spent(stage: Stage, name: str, kind: str = "tenant", period: str = "day") -> int:
    """What is spent, in nano-dollars."""
    gauge = f"wasmcustom.waypost_budget_spent_nano_usd;name={name};kind={kind};limit=usd_per_{period}"
    return stage.gateway.stats(gauge).get(gauge, 0)


def records(stage: Stage) -> list[dict[str, Any]]:
    """All records so far, with exact numbers."""
    lines = stage.gateway.access_log()
    told = [line["record"] for line in lines if line.get("record") not in (None, "-", "")]
    return [json.loads(one, parse_float=Decimal) if isinstance(one, str) else one for one in told]


def cost(stage: Stage, tenant: str) -> int:
    """The sum of what all attempts cost, in nano-dollars."""
    attempts = [at for one in records(stage) if one.get("tenant") == tenant for at in one.get("attempts", [])]
    return int(sum((Decimal(at.get("cost_usd") or 0) for at in attempts), Decimal(0)) * 10**9)


def settled(stage: Stage, tenant: str, requests: int) -> int:
    """Waits until the account holds what all attempts cost; gives that."""

    def agrees() -> bool:
        mine = [one for one in records(stage) if one.get("tenant") == tenant]
        return len(mine) >= requests and spent(stage, tenant) == cost(stage, tenant)

    try:
        until(agrees, SOON)
    except AssertionError:
        mine = [one for one in records(stage) if one.get("tenant") == tenant]
        raise AssertionError(f"{tenant}: {spent(stage, tenant)} of {cost(stage, tenant)}, {len(mine)} records of {requests}") from None
    return cost(stage, tenant)


def test_an_answer_is_charged_by_what_its_provider_counted(stage: Stage) -> None:
    answers = [chat(stage, "ordinary", "hi there, you", stream=stream) for stream in (False, True)]
    assert {answer.status for answer in answers} == {200}
    usage = answers[0].json()["usage"]
    one = usage["prompt_tokens"] * 1_000_000 + usage["completion_tokens"] * 10_000_000
    assert settled(stage, "ordinary", 2) == 2 * one > 0


def test_a_failover_charges_each_attempt_where_it_was_made(stage: Stage) -> None:
    answers = [chat(stage, "failovers", "hello [[openai:silent]]", stream=stream) for stream in (False, True)]
    assert {(answer.status, answer["x-waypost-attempts"]) for answer in answers} == {(200, "2")}
    settled(stage, "failovers", 2)
    for one in [one for one in records(stage) if one.get("tenant") == "failovers"]:
        lost, answered = one["attempts"]
        # The request was sent, and nobody knows what became of it.
        assert (lost["provider"], lost["estimated"], lost.get("output_tokens", 0)) == ("openai", True, 0)
        assert lost["cost_usd"] > 0 and answered["provider"] == "claude" and answered["cost_usd"] > 0


def test_a_page_or_an_error_with_status_200_costs_nothing_and_another_is_asked(stage: Stage) -> None:
    asked = [("html200", False), ("html200", True), ("error_first", True)]
    answers = [chat(stage, "excused", f"hello [[openai:{fault}]]", stream=stream) for fault, stream in asked]
    assert {(answer.status, answer["x-waypost-attempts"]) for answer in answers} == {(200, "2")}
    total = settled(stage, "excused", len(asked))
    mine = [one["attempts"] for one in records(stage) if one.get("tenant") == "excused"]
    for lost, answered in mine:
        assert (lost["provider"], lost["outcome"], lost["status"], answered["provider"]) == ("openai", "failed", 200, "claude")
        assert lost["class"] in ("server", "overloaded") and not lost.get("cost_usd") and "estimated" not in lost, lost
    assert total == sum(int(answered["cost_usd"] * 10**9) for _, answered in mine) > 0


def test_whatever_providers_do_the_account_is_the_sum_of_the_attempts(stage: Stage) -> None:
    asked = [(number, fault, stream) for number, fault in enumerate(FAULTS) for stream in (False, True)]

    def one(which: tuple[int, str, bool]) -> Response:
        number, fault, stream = which
        return chat(stage, f"fault-{number}", f"hi [[openai:{fault}]]", stream=stream)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(one, asked))
    costs = {fault: settled(stage, f"fault-{number}", 2) for number, fault in enumerate(FAULTS)}
    # What the second candidate answered is never free.
    for fault in ("status=503", "reset", "refuse", "silent", "error_first", "malformed"):
        assert costs[fault] > 0, costs


@pytest.mark.parametrize("moment", MOMENTS)
def test_clients_that_leave_are_charged_for_what_was_used(stage: Stage, moment: Callable[[int, bool], None]) -> None:
    def leave(number: int) -> None:
        try:
            moment(stage.port, number % 2 == 1)
        except (AssertionError, StreamClosedError):
            pass  # It was quicker than the answer.

    before = spent(stage, "everyone")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, range(24)))
    assert stage.fakes.idle(stage.fakes.ports["openai"][0])
    # Accounts are shown, and records written, twenty times a second at best.
    time.sleep(0.6)
    total = settled(stage, "everyone", 0)
    time.sleep(0.6)
    assert spent(stage, "everyone") == total
    # Who got some of an answer has used something; the others may have been too quick.
    assert total >= before and (total > before or moment not in (during_the_stream, in_a_whole_answer, over_http2))


def test_a_team_is_charged_with_its_tenant(stage: Stage) -> None:
    chat(stage, "both")
    total = settled(stage, "both", 1)
    until(lambda: spent(stage, "both", "team") == total > 0, 2)


def test_a_used_up_budget_refuses_and_says_when_the_next_begins(stage: Stage) -> None:
    answers = []
    while (answer := chat(stage, "small", max_tokens=10)).status == 200:
        answers.append(answer)
    assert 1 <= len(answers) < 30
    error = answer.error
    assert (answer.status, error["type"], error["code"]) == (402, "insufficient_quota", "budget_exceeded")
    for word in ("this tenant", "1.00 USD a day", "The next day begins in"):
        assert word in error["message"], error
    assert "retry-after" not in dict(answer.headers)
    assert settled(stage, "small", len(answers) + 1) <= 1_000_000_000
    counted = stage.gateway.stats("wasmcustom.waypost_budget_exceeded;tenant=small;")
    assert list(counted.values()) == [1], counted


def test_a_budget_may_refuse_as_a_limit_does(stage: Stage) -> None:
    while (answer := chat(stage, "later", max_tokens=10)).status == 200:
        pass
    assert answer.status == 429 and answer.error["code"] == "budget_exceeded"
    assert 0 < int(answer["retry-after"]) <= 31 * 86400 and answer["x-should-retry"] == "false"
    assert "1.00 USD a month" in answer.error["message"]


def test_what_is_under_way_is_reserved_over_all_workers(stage: Stage) -> None:
    def one(_: int) -> Response:
        return chat(stage, "at-once", "hi [[*:slow=0.8]]", "dear", max_tokens=100)

    before = workers(stage)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(one, range(40)))
    assert all(now > then for now, then in zip(workers(stage), before))
    # Each may cost a dollar.
    assert Counter(answer.status for answer in answers) == {200: 10, 402: 30}
    # They did not: there is room again.
    settled(stage, "at-once", 40)
    assert chat(stage, "at-once", "hi", "dear", max_tokens=100).status == 200


def test_a_used_up_budget_falls_to_what_is_cheaper_and_stops(stage: Stage) -> None:
    answers = [chat(stage, "thrifty", max_tokens=50)]
    while (answer := chat(stage, "thrifty", max_tokens=50)).status == 200 and len(answers) < 400:
        answers.append(answer)
        if answer["x-waypost-provider"] == "claude" and len(answers) > 30:
            break
    by = [answer["x-waypost-provider"] for answer in answers]
    assert by[0] == "openai" and by[-1] == "claude"
    assert by == sorted(by, reverse=True), "who is cheaper is asked once the budget is used up"
    assert {"budget: downgraded"} == {one["x-waypost-warnings"] for one in answers if one["x-waypost-provider"] == "claude"}
    told = json.loads(stage.gateway.logged(answers[-1]["x-request-id"])["record"])
    assert [(one["provider"], one["why"]) for one in told["skipped"]] == [("openai", "budget")]
    # Where there is nothing cheaper it refuses.
    assert chat(stage, "thrifty", "hi", "dear", max_tokens=50).status == 402


def test_a_provider_whose_budget_is_used_up_is_passed_over(stage: Stage) -> None:
    answers = []
    while (answer := chat(stage, "ordinary", "hi", "capped", max_tokens=10))["x-waypost-provider"] == "capped":
        answers.append(answer)
        assert len(answers) < 30
    assert answer.status == 200 and answer["x-waypost-provider"] == "claude" and answers
    refusal = chat(stage, "ordinary", "hi", "capped-alone", max_tokens=10)
    assert (refusal.status, refusal.error["code"]) == (503, "provider_budget_exceeded")
    until(lambda: 500_000_000 < spent(stage, "capped", "provider") <= 1_000_000_000, 2)
    # Its own account holds what was used there, and nothing of what was used elsewhere.
    at = [at for one in records(stage) for at in one.get("attempts", []) if at["provider"] == "capped"]
    assert spent(stage, "capped", "provider") == int(sum(Decimal(one["cost_usd"]) for one in at) * 10**9)


def test_each_user_has_a_budget_of_its_own(stage: Stage) -> None:
    for user in ("ann", "ben"):
        assert chat(stage, "users", user=user, max_tokens=10).status == 200
        while (answer := chat(stage, "users", user=user, max_tokens=10)).status == 200:
            pass
        assert answer.status == 402 and "this user" in answer.error["message"]


def test_shares_of_a_budget_are_told_once_each(both: tuple[Stage, Hook]) -> None:
    stage, hook = both
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: chat(stage, "watched", max_tokens=20), range(60)))
    until(lambda: len(hook.of("watched")) >= 3, SOON)
    time.sleep(1)
    told = hook.of("watched")
    assert sorted(one["share"] or 0 for one in told) == sorted({one["share"] or 0 for one in told})
    shares = {one["share"]: one for one in told}
    assert {50, 80} < set(shares)
    first = shares[50]
    assert (first["v"], first["alert"], first["kind"], first["period"], first["of"]) == (1, "budget", "tenant", "day", None)
    assert 1 <= first["spent_usd"] <= 2 and first["limit_usd"] == 2
    assert '"watched" has used 50% of its budget of the day' in first["text"]
    assert {(path, host) for path, host, _ in hook.got} == {("/waypost?to=ops", "hooks.example.com")}
    # What the webhook refused it got again.
    assert hook.refused[0] in [one for _, _, one in hook.got]
    outcomes = stage.gateway.stats("wasmcustom.waypost_webhook;outcome=")
    counts = {name.rpartition("=")[2]: value for name, value in outcomes.items()}
    assert counts == {"sent": len(hook.got), "failed": 1}
    assert b'has used 50% of its budget of the day' in stage.gateway.log()
    alerts = stage.gateway.stats("wasmcustom.waypost_alerts;name=watched;kind=tenant;")
    assert sum(alerts.values()) == len(told), alerts


def test_what_is_spent_survives_a_new_configuration(tmp_path: Path) -> None:
    listeners = Listeners(tmp_path)

    def build(fakes: Fakes, hook: str) -> dict[str, Any]:
        config = budgets(fakes, hook)
        config["static_resources"]["listeners"] = config["static_resources"]["listeners"][:1]
        listeners.take(config)
        return config

    with up(build) as (stage, _):
        while chat(stage, "small", max_tokens=10).status == 200:
            pass
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(chat, stage, "ordinary", "hi [[*:slow=0.8]]")
            time.sleep(0.2)
            listeners.gateway["tenants"]["small"]["budget"]["usd_per_day"] = 0.9
            listeners.gateway["tenants"]["new"] = {}
            listeners.write()
            until(lambda: chat(stage, "new").status == 200, START_SECONDS)
            assert waiting.result().status == 200
        answer = chat(stage, "small", max_tokens=10)
        assert answer.status == 402 and "0.90 USD a day" in answer.error["message"]
        until(lambda: spent(stage, "ordinary") == cost(stage, "ordinary") > 0, SOON)
        listeners.gateway["tenants"]["small"]["budget"]["usd_per_day"] = 5
        listeners.write()
        until(lambda: chat(stage, "small", max_tokens=10).status == 200, START_SECONDS)


def test_what_is_spent_survives_the_death_of_the_module() -> None:
    def build(fakes: Fakes, hook: str) -> dict[str, Any]:
        return budgets(fakes, hook, wasm=str(trapping_module()))

    with up(build) as (stage, _):
        stage.gateway.expects_trouble = True
        while chat(stage, "small", max_tokens=10).status == 200:
            pass
        died = sum(ask(stage.port, "GET", "/v1/models", headers=TRAP).status == 503 for _ in range(40))
        assert died >= 2
        served = 0
        deadline = time.monotonic() + START_SECONDS
        while served < 16:
            assert time.monotonic() < deadline
            served += chat(stage, "ordinary").status == 200
        answers: list[int] = []
        while len(answers) < 8:
            assert time.monotonic() < deadline
            # A worker whose module is not back yet answers 503 for it.
            answers += [status for status in [chat(stage, "small", max_tokens=10).status] if status != 503]
        assert set(answers) == {402}
