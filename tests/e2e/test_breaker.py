"""What a gateway remembers of its providers: breakers that all workers share, who opens them and who does not, and what Envoy
must be for that."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from client import BUSY_SECONDS, Connection, ask, request
from gateway import Cluster, Fakes, Gateway, Stage, configuration
from test_hardening_departures import before_the_answer, before_the_first_token, during_the_stream
from test_hardening_trap import TRAP, both_workers_serve, trapping_module
from test_reload import Listeners

CHAT = "/v1/chat/completions"
MODEL = "gpt-4o"


def build(fakes: Fakes, *, wasm: str | None = None, change: Any = None, **gateway: Any) -> dict[str, Any]:
    """Two providers of which the first is preferred, and two workers that get connections in turn."""
    first, second = fakes.ports["openai"]
    provider = {"api": "openai", "models": {MODEL: {}}}
    config = {
        "health": {"breaker": {"consecutive_failures": 5, "open_for": "60s", "max_open": "60s"}},
        "providers": {
            "a": provider | {"endpoints": [{"cluster": "a"}]},
            "b": provider | {"endpoints": [{"cluster": "b"}]},
        },
        "rules": [{
            "name": "all", "choose": "failover", "leave": {"error_rate": "99.9%", "min_requests": 1000000},
            "targets": [f"a/{MODEL}", f"b/{MODEL}"],
        }],
    }  # fmt: skip
    for name, value in gateway.items():
        config[name] = value

    def balanced(made: dict[str, Any]) -> None:
        made["static_resources"]["listeners"][0]["connection_balance_config"] = {"exact_balance": {}}
        if change:
            change(made)

    clusters = [Cluster("a", "a", f"127.0.0.1:{first}"), Cluster("b", "b", f"127.0.0.1:{second}")]
    return configuration(config, clusters, balanced, **({"wasm": wasm} if wasm else {}))


@pytest.fixture
def pair() -> Iterator[Callable[..., Stage]]:
    """Starts a gateway as of `build`."""
    with ExitStack() as stack:

        def started(**more: Any) -> Stage:
            fakes = Fakes(openai=2, anthropic=0)
            stack.callback(fakes.stop)
            gateway = Gateway(build(fakes, **more))
            stack.callback(gateway.stop)
            return Stage(gateway, fakes)

        yield started


def ports(stage: Stage) -> tuple[int, int]:
    first, second = stage.fakes.ports["openai"]
    return first, second


def breaker(stage: Stage, provider: str) -> dict[str, Any]:
    """The breakers of a provider's endpoint and of its model there: the worse of them."""
    told = ask(stage.gateway.status_port, "GET", "/waypost/status").json()
    entry = next(one for one in told["providers"] if one["name"] == provider)
    endpoint = entry["endpoints"][0]
    found = [endpoint["breaker"], endpoint["models"][0]["breaker"]]
    return next((one for one in found if one["state"] != "closed"), found[0])


def until(true: Callable[[], bool], seconds: float) -> float:
    """How long it took until something became true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def each_worker(stage: Stage, work: Callable[[Connection], Any]) -> list[Any]:
    """Does it once on each of two connections, which are of two workers."""
    with Connection(stage.port) as one, Connection(stage.port) as other:
        return [work(one), work(other)]


def one_chat(text: str = "hi", **fields: Any) -> Callable[[Connection], Any]:
    def work(connection: Connection) -> Any:
        connection.send_request("POST", CHAT, request(text, MODEL, **fields))
        return connection.receive()

    return work


def provider(answer: Any) -> str:
    assert answer.status == 200, answer
    return answer["x-waypost-provider"]


def test_failures_that_one_worker_saw_keep_the_other_away_too(pair):
    stage = pair()
    first, _ = ports(stage)
    assert each_worker(stage, lambda c: provider(one_chat()(c))) == ["a", "a"]
    time.sleep(1)  # A success is told on the tick, and ends a row of failures.
    stage.fakes.set(first, "status=500")
    with Connection(stage.port) as one, Connection(stage.port) as other:
        for _ in range(5):
            answer = one_chat()(one)
            assert (provider(answer), answer["x-waypost-attempts"]) == ("b", "2")
        before = stage.fakes.state(first)["requests"]
        for connection in (other, one):
            answer = one_chat()(connection)
            assert (provider(answer), answer["x-waypost-attempts"]) == ("b", "1"), answer
        assert stage.fakes.state(first)["requests"] == before
    told = breaker(stage, "a")
    assert (told["state"], told["reason"], told["opened"]) == ("open", "server", 1)


def test_under_load_it_opens_on_both_workers_within_two_seconds(pair):
    stage = pair()
    first, _ = ports(stage)
    with ThreadPoolExecutor(8) as pool:
        stage.fakes.set(first, "status=503")
        began = time.monotonic()
        answers = list(pool.map(lambda _: stage.chat("hi", MODEL), range(100)))
        assert {answer.status for answer in answers} == {200}
    until(lambda: breaker(stage, "a")["state"] == "open", 2)
    assert time.monotonic() - began < 2 + BUSY_SECONDS
    before = stage.fakes.state(first)["requests"]
    assert before < 40
    each_worker(stage, one_chat())
    assert stage.fakes.state(first)["requests"] == before


def test_a_wait_that_the_provider_asks_for_is_given(pair):
    stage = pair()
    first, _ = ports(stage)
    stage.fakes.set(first, "status=429,retry_after=1")
    assert stage.chat("hi", MODEL)["x-waypost-attempts"] == "2"
    stage.fakes.set(first, None)
    began = time.monotonic()
    assert stage.chat("hi", MODEL)["x-waypost-attempts"] == "1"
    assert stage.fakes.state(first)["requests"] == 1
    took = until(lambda: provider(stage.chat("hi", MODEL)) == "a", 3 + BUSY_SECONDS)
    assert took + (time.monotonic() - began - took) > 0.7


def test_the_way_back_is_no_burst(pair):
    stage = pair(health={"breaker": {"consecutive_failures": 5, "open_for": "500ms", "max_open": "1s"}})
    first, _ = ports(stage)
    stage.fakes.set(first, "status=500")
    for _ in range(6):
        stage.chat("hi", MODEL)
    stage.fakes.set(first, "slow=0.5")
    time.sleep(0.8)
    before = stage.fakes.state(first)["requests"]
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(stage.chat, "hi", MODEL) for _ in range(60)]
        time.sleep(0.4)
        tried = stage.fakes.state(first)["requests"] - before
        assert {one.result().status for one in answers} == {200}
    assert tried <= 2, "trials in the first moment, of 60 requests"
    stage.fakes.set(first, None)

    def closed() -> bool:
        stage.chat("hi", MODEL)
        return breaker(stage, "a")["state"] == "closed"

    until(closed, 5 + BUSY_SECONDS)


@pytest.mark.parametrize("moment", [before_the_answer, before_the_first_token, during_the_stream])
def test_clients_that_leave_open_no_breaker(pair, moment):
    stage = pair()
    for number in range(30):
        moment(stage.port, number % 2 == 1)
    assert stage.fakes.idle(ports(stage)[0])
    time.sleep(0.6)
    assert breaker(stage, "a")["state"] == "closed"
    assert provider(stage.chat("hi", MODEL)) == "a"


@pytest.mark.parametrize(("fault", "stream"), [("reset", False), ("refuse", False), ("cut_after=2", True)])
def test_a_provider_that_breaks_connections_opens_it(pair, fault, stream):
    stage = pair()
    first, _ = ports(stage)
    stage.fakes.set(first, fault)
    for _ in range(10):
        stage.chat("hi", MODEL, stream=stream)
    until(lambda: breaker(stage, "a")["state"] == "open", 2)
    assert breaker(stage, "a")["reason"] == "server"
    assert provider(stage.chat("hi", MODEL)) == "b"


def test_the_clients_own_mistakes_open_none(pair):
    stage = pair()
    stage.fakes.set(ports(stage)[0], "status=400")
    for _ in range(30):
        assert stage.chat("hi", MODEL).status == 400
    time.sleep(0.6)
    assert breaker(stage, "a")["state"] == "closed"


def test_what_is_known_outlives_the_module(pair):
    """Guards also: keys of shared data stay until the last VM of their `vm_id` is gone."""
    stage = pair(wasm=str(trapping_module()))
    stage.gateway.expects_trouble = True
    first, _ = ports(stage)
    stage.fakes.set(first, "status=500")
    for _ in range(6):
        stage.chat("hi", MODEL)
    with Connection(stage.port) as one, Connection(stage.port) as other:
        for worker in (one, other):
            worker.send_request("GET", "/v1/models", headers=TRAP)
            assert worker.receive().status == 503
    assert both_workers_serve(stage.port)
    before = stage.fakes.state(first)["requests"]
    assert each_worker(stage, lambda c: provider(one_chat()(c))) == ["b", "b"]
    assert stage.fakes.state(first)["requests"] == before
    # The status has its own waiting time before it starts anew, in each worker.
    until(lambda: all(ask(stage.gateway.status_port, "GET", "/waypost/status").status == 200 for _ in range(12)), 20)
    assert breaker(stage, "a")["state"] == "open"


def test_what_is_known_outlives_a_new_configuration_in_which_providers_have_other_places(pair, tmp_path):
    """Guards also: values of shared data are found by the names of clusters, and are there for every root context."""
    listeners = Listeners(tmp_path)
    stage = pair(change=listeners.take)
    first, _ = ports(stage)
    stage.fakes.set(first, "status=500")
    for _ in range(6):
        stage.chat("hi", MODEL)
    before = stage.fakes.state(first)["requests"]
    entry = {"api": "openai", "endpoints": [{"cluster": "elsewhere"}], "models": {"x": {}, "y": {}}}
    listeners.gateway["providers"] = {"0": entry} | listeners.gateway["providers"]
    listeners.gateway["rules"][0]["name"] = "new"
    listeners.write()
    until(lambda: stage.chat("hi", MODEL)["x-waypost-rule"] == "new", 10)
    for _ in range(10):
        answer = stage.chat("hi", MODEL)
        assert (provider(answer), answer["x-waypost-attempts"]) == ("b", "1")
    assert stage.fakes.state(first)["requests"] == before


METRIC = re.compile(r'^(waypost_\w+)\{(.*)\} (\d+)$', re.M)


def prometheus(stage: Stage) -> dict[tuple[str, ...], int]:
    """Metrics of ours by name and labels."""
    text = stage.gateway.admin("/stats/prometheus").body.decode()
    return {
        (name, *sorted(labels.split(","))): int(value) for name, labels, value in METRIC.findall(text)
    }


def test_metrics_have_labels_and_count_once(pair):
    """Guards also: a metric that is defined by every worker is one metric, and no id is asked for twice."""
    stage = pair()
    first, _ = ports(stage)
    assert each_worker(stage, lambda c: provider(one_chat()(c))) == ["a", "a"]
    time.sleep(1)  # A success is told on the tick, and ends a row of failures.
    stage.fakes.set(first, "status=500")
    for _ in range(9):
        assert stage.chat("hi", MODEL).status == 200
    time.sleep(1.2)
    found = prometheus(stage)
    where = ('cluster="a"', 'model="gpt-4o"', 'provider="a"')
    assert found["waypost_breaker_state", *where] == 2
    assert found["waypost_breaker_state", 'cluster="b"', 'model="gpt-4o"', 'provider="b"'] == 0
    assert found["waypost_breaker_transitions", 'cluster="a"', 'provider="a"', 'to="open"'] == 1
    assert found["waypost_failovers", 'from="a"', 'reason="server"', 'to="b"'] == 5
    assert found["waypost_skipped", 'cluster="a"', 'provider="a"', 'reason="breaker"'] == 4
    assert found["waypost_in_flight", 'cluster="a"', 'provider="a"'] == 0


def test_a_cap_spills_over_and_a_full_house_is_told_when_to_come_back(pair):
    entry = {"api": "openai", "models": {MODEL: {}}, "max_concurrency": 2}
    stage = pair(
        providers={name: entry | {"endpoints": [{"cluster": name}]} for name in ("a", "b")},
    )
    with ThreadPoolExecutor(4) as pool:
        slow = []
        for _ in range(4):
            slow.append(pool.submit(stage.chat, "[[*:slow=2]] hi", MODEL))
            time.sleep(0.15)
        refused = stage.chat("hi", MODEL)
        assert (refused.status, refused.error["code"]) == (503, "all_candidates_saturated"), refused
        assert refused["retry-after"] == "1"
        served = [provider(one.result()) for one in slow]
    assert sorted(served) == ["a", "a", "b", "b"]
    assert provider(stage.chat("hi", MODEL)) == "a"


def test_a_full_pool_of_envoys_is_told_as_ours_and_avoided_for_a_moment(pair):
    def narrow(made: dict[str, Any]) -> None:
        limits = {"max_connections": 1, "max_pending_requests": 1, "max_requests": 1, "max_retries": 100}
        made["static_resources"]["clusters"][0]["circuit_breakers"] = {"thresholds": [limits]}

    stage = pair(change=narrow)
    with ThreadPoolExecutor(4) as pool:
        slow = pool.submit(stage.chat, "[[*:slow=1.5]] hi", MODEL)
        time.sleep(0.3)
        full = stage.chat("hi", MODEL)
        assert (full.status, full.error["code"]) == (503, "all_candidates_saturated"), full
        assert provider(stage.chat("hi", MODEL)) == "b"
        assert provider(slow.result()) == "a"


EXPRESSIONS = {
    "request.headers['x-tier'] == 'gold'": "a",
    "request.path == '/v1/chat/completions' && request.method == 'POST'": "a",
    "source.address.startsWith('127.0.0.1:')": "a",
    "!connection.mtls": "a",
    "'x-tier' in request.headers": "a",
    "request.headers['x-tier'] == 'silver'": "b",
    "connection.mtls": "b",
    "request.headers['not-there'] == 'x'": "b",
    "nothing.there == 1": "b",
    "request.method": "b",
}
"""Which provider answers a request of tier gold: the first if the expression is true. One that fails, or is no yes or no, is not."""


def test_envoy_evaluates_expressions_over_the_request_and_the_connection(pair):
    rules = [
        {"name": f"r{number}", "when": {"model": f"m{number}", "cel": text}, "targets": [f"a/{MODEL}"]}
        for number, text in enumerate(EXPRESSIONS)
    ]
    stage = pair(rules=[*rules, {"name": "rest", "targets": [f"b/{MODEL}"]}])
    for number, (text, expected) in enumerate(EXPRESSIONS.items()):
        answer = stage.chat("hi", f"m{number}", headers={"x-tier": "gold"})
        assert provider(answer) == expected, text


@pytest.mark.parametrize("text", ["1 +", "nosuch(1)"])
def test_an_expression_that_cannot_be_read_is_refused_with_its_place(pair, text):
    with pytest.raises(RuntimeError) as told:
        pair(rules=[
            {"name": "bad", "when": {"cel": text}, "targets": [f"a/{MODEL}"]},
            {"name": "rest", "targets": [f"b/{MODEL}"]},
        ])  # fmt: skip
    assert f'rules[0].when.cel: Envoy cannot read the expression "{text}"' in str(told.value)
