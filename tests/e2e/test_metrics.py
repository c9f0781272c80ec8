"""Metrics, as a real Prometheus sees them of a gateway with two workers: values equal the traffic that was made, every rule and
every query of the dashboard parses and has something to show."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from arena import until
from client import Connection, Response, ask, request
from gateway import ROOT, Cluster, Fakes, Gateway, closed_port, configuration
from prometheus import RULES, Prometheus
from test_reload import Listeners

CHAT = "/v1/chat/completions"
SALT = bytes(range(16))
KEYS = {"search": "wp-search-0123456789", "ads": "wp-ads-0123456789"}

INPUT_USD, OUTPUT_USD = 2, 8
"""Per million tokens; so many thousand nano-dollars a token."""

SHOWS_NOTHING = {
    "Hours until a budget is used up": "budgets are looked at over an hour",
    "Sent to cheaper models": "no budget is used up",
    "Alerts of accounts": "no budget is used up",
    "Breakers": "its annotation: no breaker has opened",
    "Configurations": "there was one only",
}
"""Queries of the dashboard that show nothing after this traffic, and why."""


def hashed(key: str) -> str:
    handle = hashlib.sha256(b"waypost handle" + key.encode()).hexdigest()[:8]
    return f"wp1.{handle}.{SALT.hex()}.{hashlib.sha256(SALT + key.encode()).hexdigest()}"


@dataclass
class Traffic:
    """A gateway, its Prometheus, and what was asked of it."""

    gateway: Gateway
    fakes: Fakes
    prometheus: Prometheus
    requests: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """By tenant, rule, outcome and class of error."""
    tokens: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By tenant, model and type, as the answers told."""

    def ask(self, tenant: str, body: bytes, path: str = CHAT) -> Response:
        headers = {"authorization": f"Bearer {KEYS[tenant]}"} if tenant else {}
        return ask(self.gateway.port, "POST", path, body, headers)

    def chat(self, tenant: str, model: str, rule: str, answers: str, text: str = "hi there", **fields: Any) -> Response:
        """One that is answered by the model `answers`."""
        if fields.get("stream"):
            fields["stream_options"] = {"include_usage": True}
        answer = self.ask(tenant, request(text, model, **fields))
        assert answer.status == 200, answer
        self.requests[tenant, rule, "answered", ""] += 1
        told = [json.loads(line[6:]) for line in answer.body.decode().split("\n\n") if line.startswith("data: {")]
        usage = next(one["usage"] for one in told if one.get("usage")) if told else answer.json()["usage"]
        self.used(tenant, answers, usage["prompt_tokens"], usage.get("completion_tokens", 0))
        return answer

    def used(self, tenant: str, model: str, prompt: int, output: int) -> None:
        self.tokens[tenant, model, "input"] += prompt
        self.tokens[tenant, model, "output"] += output

    def refused(self, tenant: str, rule: str, outcome: str, error: str, status: int, body: bytes) -> None:
        answer = self.ask(tenant, body)
        assert answer.status == status, answer
        self.requests[tenant, rule, outcome, error] += 1


def config(fakes: Fakes) -> dict[str, Any]:
    first, second, down = fakes.ports["openai"]
    (claude,) = fakes.ports["anthropic"]
    price = {"price": {"input_usd_per_mtok": INPUT_USD, "output_usd_per_mtok": OUTPUT_USD}}
    gateway = {
        "tenants": {
            "search": {
                "team": "discovery", "tier": "gold", "keys": [{"hash": hashed(KEYS["search"])}],
                "budget": {"usd_per_day": 50},
            },
            "ads": {"keys": [{"hash": hashed(KEYS["ads"])}], "limits": {"requests_per_day": 8}},
        },
        "providers": {
            "openai-eu": {
                "api": "openai", "endpoints": [{"cluster": "eu"}],
                "models": {"gpt-4.1": price, "text-embedding-3-small": price},
            },
            "openai-us": {"api": "openai", "endpoints": [{"cluster": "us"}], "models": {"free": {}}},
            "down": {"api": "openai", "endpoints": [{"cluster": "down"}], "models": {"gpt-4.1": price}},
            "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"claude-sonnet-4-5": price}},
        },
        "rules": [
            {"name": "all-down", "when": {"model": "dead"}, "targets": ["down/gpt-4.1"]},
            {"name": "passed-over", "when": {"model": "two"}, "targets": ["down/gpt-4.1", "claude/claude-sonnet-4-5"]},
            {"name": "unpriced", "when": {"model": "free"}, "targets": ["openai-us/free"]},
            {"name": "any-model", "when": {"model": "new-*"}, "targets": ["openai-eu/gpt-4.1"]},
            {"name": "vectors", "when": {"operation": "embeddings"}, "targets": ["openai-eu/text-embedding-3-small"]},
            {"name": "steady", "choose": "failover", "targets": ["openai-eu/gpt-4.1", "claude/claude-sonnet-4-5"]},
        ],
    }  # fmt: skip
    clusters = [
        Cluster("eu", "openai-eu", f"127.0.0.1:{first}"),
        Cluster("us", "openai-us", f"127.0.0.1:{second}"),
        Cluster("down", "down", f"127.0.0.1:{down}"),
        Cluster("claude", "claude", f"127.0.0.1:{claude}", key="ANTHROPIC_API_KEY"),
    ]

    def change(made: dict[str, Any]) -> None:
        # Connections go to both workers in turn, and histograms come before the next scrape.
        made["static_resources"]["listeners"][0]["connection_balance_config"] = {"exact_balance": {}}
        made["stats_flush_interval"] = "0.2s"

    return configuration(gateway, clusters, change)


def make(traffic: Traffic) -> None:
    """One round of everything that can happen to a request."""
    first, _, down = traffic.fakes.ports["openai"]
    for _ in range(6):
        traffic.chat("search", "gpt-4.1", "steady", "gpt-4.1")
        traffic.chat("search", "gpt-4.1", "steady", "gpt-4.1", "this is cached text", stream=True)
    for _ in range(3):
        traffic.chat("ads", "gpt-4.1", "steady", "gpt-4.1", "another thing")
        traffic.chat("search", "new-42", "any-model", "gpt-4.1")
        traffic.chat("search", "free", "unpriced", "free")
    vectors = traffic.ask("search", json.dumps({"model": "text-embedding-3-small", "input": "x y z"}).encode(), "/v1/embeddings")
    assert vectors.status == 200, vectors
    traffic.requests["search", "vectors", "answered", ""] += 1
    traffic.used("search", "text-embedding-3-small", vectors.json()["usage"]["prompt_tokens"], 0)
    traffic.fakes.set(first, "status=503", 2)
    for _ in range(2):
        answer = traffic.chat("search", "gpt-4.1", "steady", "claude-sonnet-4-5")
        assert answer["x-waypost-attempts"] == "2"
    traffic.fakes.set(down, "status=500", 2)
    traffic.refused("search", "all-down", "failed", "server", 500, request("hi", "dead"))
    # Claude gives one answer only: it is passed over.
    traffic.refused("search", "passed-over", "failed", "server", 500, request("hi", "two", n=2))
    traffic.refused("search", "", "refused", "client", 400, b"{")
    traffic.refused("", "", "refused", "auth", 401, request("hi", "gpt-4.1"))


@pytest.fixture(scope="module")
def made() -> Iterator[Traffic]:
    fakes = Fakes(openai=3, anthropic=1)
    gateway = Gateway(config(fakes))
    prometheus = Prometheus(gateway.admin_port)
    try:
        traffic = Traffic(gateway, fakes, prometheus)
        make(traffic)
        # Twice: a counter is born with its first value, and what it grows by is seen from then on.
        prometheus.scrapes(2)
        make(traffic)
        for _ in range(2):
            traffic.chat("ads", "gpt-4.1", "steady", "gpt-4.1", "another thing")
        traffic.refused("ads", "steady", "refused", "rate_limit", 429, request("hi", "gpt-4.1"))
        leave(traffic)
        prometheus.scrapes(3)
        yield traffic
    finally:
        prometheus.stop()
        gateway.stop()
        fakes.stop()


def leave(traffic: Traffic) -> None:
    """A client that leaves in the middle of a stream."""
    headers = {"authorization": f"Bearer {KEYS['search']}"}
    text = "hi [[openai:slow_chunks=0.02,chunks=500]]"
    with Connection(traffic.gateway.port) as client:
        client.send_request("POST", CHAT, request(text, "gpt-4.1", stream=True), headers)
        assert client.socket.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
    assert traffic.fakes.idle(traffic.fakes.ports["openai"][0])
    traffic.requests["search", "steady", "left", ""] += 1


def test_every_request_is_counted_once_with_what_became_of_it(made):
    found = Counter()
    for labels, value in made.prometheus.query("waypost_requests"):
        key = tuple(labels.get(name, "") for name in ("tenant", "rule", "outcome", "error_type"))
        found[key] += int(value)
    assert found == made.requests
    by_status = Counter()
    for labels, value in made.prometheus.query('waypost_requests{tenant="search"}'):
        by_status[labels["outcome"], labels.get("status", "")] += int(value)
    assert set(by_status) == {("answered", "2xx"), ("failed", "5xx"), ("refused", "4xx"), ("left", "2xx")}
    assert made.prometheus.value('sum(waypost_requests{operation="embeddings"})') == 2


def test_tokens_and_money_are_exact(made):
    tokens, money = Counter(), Counter()
    for labels, value in made.prometheus.query('waypost_tokens{type=~"input|output"}'):
        tokens[labels.get("tenant", ""), labels["model"], labels["type"]] += int(value)
    estimated = made.prometheus.value('sum(waypost_estimated_attempts{model="gpt-4.1"})')
    assert estimated == 1
    # Whoever left is charged what is known of it, beside what the answers said.
    known = made.tokens["search", "gpt-4.1", "output"]
    assert tokens["search", "gpt-4.1", "output"] > known
    for kind in ("input", "output"):
        key = ("search", "gpt-4.1", kind)
        made.tokens[key] = tokens[key]
    assert tokens == +made.tokens
    for (tenant, model, kind), count in tokens.items():
        if model != "free":
            money[tenant, model] += count * 1000 * (INPUT_USD if kind == "input" else OUTPUT_USD)
    cached = made.prometheus.value('sum(waypost_tokens{type="cached_input"})')
    assert cached > 0
    spent = Counter()
    for labels, value in made.prometheus.query("waypost_spend_nano_usd"):
        spent[labels.get("tenant", ""), labels["model"]] += int(value)
    assert spent == money
    free = sum(count for (_, model, _), count in tokens.items() if model == "free")
    assert made.prometheus.value("sum(waypost_unpriced_tokens)") == free > 0
    assert made.prometheus.value('waypost_tenant_info{tenant="search",team="discovery",tier="gold"}') == 1


def test_histograms_count_what_happened_within_bounds_that_were_configured(made):
    value = made.prometheus.value
    answered = sum(count for (_, _, outcome, _), count in made.requests.items() if outcome in ("answered", "failed", "left"))
    assert value("sum(gen_ai_server_request_duration_milliseconds_count)") == answered
    assert value("sum(waypost_overhead_microseconds_count)") == answered
    # Each failover is one attempt more.
    failovers = value('sum(waypost_failovers{from="eu",to="claude",reason="overloaded"})')
    assert failovers == 4
    assert value("sum(gen_ai_client_operation_duration_milliseconds_count)") == answered + failovers
    streams = 2 * 6 + 1
    assert value("sum(gen_ai_server_time_to_first_token_milliseconds_count)") == streams
    assert value("sum(gen_ai_server_time_per_output_token_microseconds_count)") == streams - 1
    labels = {
        "gen_ai_operation_name": "chat", "gen_ai_provider_name": "openai", "gen_ai_request_model": "other",
        "gen_ai_response_model": "gpt-4.1", "provider": "openai-eu",
    }  # fmt: skip
    selector = ",".join(f'{name}="{text}"' for name, text in labels.items())
    assert value(f"gen_ai_server_request_duration_milliseconds_count{{{selector}}}") == 6
    # The one bound that is no power of anything: it comes of the configuration.
    found = made.prometheus.query("count by (le) (gen_ai_client_token_usage_bucket)")
    assert {labels["le"] for labels, _ in found} == {
        "1", "4", "16", "64", "260", "1000", "4100", "16000", "66000", "260000", "1000000", "4200000", "+Inf",
    }  # fmt: skip
    # Three tokens each: above 1, below 4.
    prompts = 'gen_ai_client_token_usage_bucket{gen_ai_request_model="text-embedding-3-small",gen_ai_token_type="input"'
    assert (value(prompts + ',le="1"}'), value(prompts + ',le="4"}')) == (0, 2)


def test_labels_are_taken_out_of_every_name(made):
    text = made.gateway.admin("/stats/prometheus").body.decode()
    ours = [line for line in text.splitlines() if re.match(r"(waypost|gen_ai)_", line)]
    assert ours
    for line in ours:
        name = line.partition("{")[0]
        # What Envoy could not take out would be a part of the name.
        assert "_provider_" not in name and "=" not in name and ";" not in name, line
    assert not re.search(r"new-42|wp-search|wp-ads", text)
    (labels, _), = made.prometheus.query("waypost_info")
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
    loaded = made.prometheus.value("waypost_configured_seconds")
    assert 0 <= time.time() - loaded < 600
    assert made.prometheus.value("waypost_series_limit") == 2000


def test_every_rule_is_evaluated(made):
    groups = made.prometheus.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 40
    for rule in rules:
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing <= {"WaypostUnpricedModel"}, firing


def test_the_rules_say_what_the_traffic_was(made):
    value = made.prometheus.value
    assert value('waypost_rule:errors:ratio_rate5m{rule="all-down"}') == 1
    assert value('waypost_rule:errors:ratio_rate5m{rule="steady"}') == 0
    assert value('waypost_cluster:errors:ratio_rate5m{cluster="down"}') == 1
    spent = value('waypost_budget_spent_nano_usd{kind="tenant",name="search",limit="usd_per_day"}')
    assert 0 < spent == value('sum(waypost_spend_nano_usd{tenant="search"})')
    assert value('waypost_budget:used:ratio{kind="tenant",name="search",limit="usd_per_day"}') == pytest.approx(spent / 50e9)
    assert value('waypost_limited{tenant="ads",kind="tenant",limit="requests_per_day"}') == 1


def queries() -> list[tuple[str, str]]:
    """Titles and queries of the dashboard."""
    dashboard = json.loads((ROOT / "envoy/grafana/waypost.json").read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [(one["name"], one["expr"]) for one in dashboard["annotations"]["list"]]
    return found


def test_every_query_of_the_dashboard_shows_something(made):
    empty = []
    for title, query in queries():
        for variable, text in {"$__rate_interval": "2m", "$__range": "1h", "$tenant": ".*", "$rule": ".*", "$provider": ".*"}.items():
            query = query.replace(variable, text)
        assert "$" not in query, (title, query)
        if not made.prometheus.query(query):
            empty.append((title, query))
    assert {title for title, _ in empty} <= set(SHOWS_NOTHING), empty


def test_every_window_holds_four_scrapes_of_the_documented_interval():
    """Grafana, too, takes the interval to be 15 s unless its data source is told another."""
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "scrape_configs" in block)
    interval = yaml.safe_load(block).get("global", {}).get("scrape_interval", "1m")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    told = [query for _, query in queries()] + [(RULES / file).read_text() for file in ("rules.yaml", "alerts.yaml")]
    windows = {int(count) * seconds[unit] for query in told for count, unit in re.findall(r"\[(\d+)([smhd])\]", query)}
    assert min(windows) >= 4 * int(interval[:-1]) * seconds[interval[-1]], (sorted(windows), interval)


def test_the_rules_hold_what_their_tests_say():
    for command in (
        ["promtool", "check", "rules", "--lint-fatal", str(RULES / "rules.yaml"), str(RULES / "alerts.yaml")],
        ["promtool", "test", "rules", str(RULES / "tests.yaml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_tested_in_the_order_in_which_they_read_each_other():
    groups = [
        group["name"]
        for file in ("rules.yaml", "alerts.yaml")
        for group in yaml.safe_load((RULES / file).read_text())["groups"]
    ]
    assert yaml.safe_load((RULES / "tests.yaml").read_text())["group_eval_order"] == groups


def test_every_alert_has_a_test_and_says_what_to_do():
    rules = [rule for group in yaml.safe_load((RULES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    text = (RULES / "tests.yaml").read_text()
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for rule in rules:
        assert f"`{rule['alert']}`" in page, rule["alert"]
        assert f"alertname: {rule['alert']}" in text, rule["alert"]
        assert {"summary", "what_to_do"} == set(rule["annotations"]), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]


def test_what_a_new_configuration_has_not_is_told_no_more(tmp_path: Path) -> None:
    """Or a provider that was taken away would be down, and a budget used up, for as long as Envoy lives."""
    fakes = Fakes(openai=1, anthropic=0)
    listeners = Listeners(tmp_path)
    price = {"price": {"input_usd_per_mtok": INPUT_USD, "output_usd_per_mtok": 10000}}
    provider = {"api": "openai", "models": {"gpt-4.1": price}}
    role = {
        "anonymous": "search",
        "tenants": {"search": {"team": "old", "budget": {"usd_per_day": 0.2}}},
        "health": {"breaker": {"consecutive_failures": 1, "open_for": "10m", "max_open": "10m"}},
        "providers": {
            "stays": provider | {"endpoints": [{"cluster": "stays"}]},
            "goes": provider | {"endpoints": [{"cluster": "goes"}]},
        },
        "rules": [
            {"name": "both", "when": {"model": "both"}, "choose": "failover", "targets": ["goes/gpt-4.1", "stays/gpt-4.1"]},
            {"name": "one", "targets": ["stays/gpt-4.1"]},
        ],
    }  # fmt: skip
    with closed_port() as closed:
        clusters = [
            Cluster("stays", "stays", f"127.0.0.1:{fakes.all[0]}"),
            Cluster("goes", "goes", f"127.0.0.1:{closed}", backstop=False),
        ]
        made = configuration(role, clusters)
        made["static_resources"]["listeners"] = made["static_resources"]["listeners"][:1]
        listeners.take(made)
        try:
            gateway = Gateway(made, options=("--drain-time-s", "1"))
        except BaseException:
            fakes.stop()
            raise

        def gauges() -> dict[str, int]:
            ours = re.compile(r"(breaker_state;provider=goes|budget_(spent|limit)_nano_usd;name=search|tenant_info);")
            stats = gateway.stats("wasmcustom.waypost_").items()
            found = {name.removeprefix("wasmcustom.waypost_"): value for name, value in stats}
            return {name: value for name, value in found.items() if ours.match(name)}

        def asks(model: str) -> int:
            return ask(gateway.port, "POST", CHAT, request("hi there", model, max_tokens=10)).status

        try:
            assert asks("both") == 200
            until(lambda: asks("gpt-4.1") == 402, 5)
            breaker = "breaker_state;provider=goes;cluster=goes;model=gpt-4.1"
            limit, spent = (f"budget_{what}_nano_usd;name=search;kind=tenant;limit=usd_per_day" for what in ("limit", "spent"))
            old, new = (f"tenant_info;tenant=search;team={team}" for team in ("old", "new"))
            until(lambda: {breaker, limit, spent, old} <= gauges().keys() and gauges()[spent] > 0, 5)
            assert (gauges()[breaker], gauges()[limit], gauges()[old]) == (2, 200_000_000, 1)
            role = listeners.gateway
            role["tenants"]["search"] = {"team": "new"}
            del role["providers"]["goes"]
            del role["rules"][0]
            listeners.write()
            until(lambda: asks("gpt-4.1") == 200, 10)
            until(lambda: gauges() == {breaker: 0, limit: 0, spent: 0, old: 0, new: 1}, 15)
        finally:
            gateway.stop()
            fakes.stop()
