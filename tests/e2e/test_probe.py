"""Probes: who is asked unasked, how often, and what becomes of the calls that the gateway sends to itself."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from client import BUSY_SECONDS, ask
from everyone import PROVIDERS
from gateway import KEYS, ROOT, Cluster, Fakes, Gateway, Stage, configuration, module, render, stage

TICK = 0.5
"""`filter::root::TICK_MILLIS`, in seconds."""


def probing(fakes, **changes):
    """The two fakes as providers that are probed every second, or as `changes` says."""
    first, second = fakes.all
    probe = {"every": "1s"}
    providers = {
        "first": {"api": "openai", "endpoints": [{"cluster": "first"}], "models": {"gpt-4o": {}}, "probe": probe},
        "second": {
            "api": "anthropic", "endpoints": [{"cluster": "second"}], "models": {"claude-haiku-4-5": {}, "claude-sonnet-4-5": {}},
            "probe": probe,
        },
    }  # fmt: skip
    for name, change in changes.items():
        providers[name] |= change
        if providers[name]["probe"] is None:
            del providers[name]["probe"]
    rules = [{"name": "all", "targets": ["first/gpt-4o", "second/claude-haiku-4-5"]}]
    return configuration(
        {"loopback": "waypost_loopback", "providers": providers, "rules": rules, "health": {}},
        [
            Cluster("first", "first", f"127.0.0.1:{first}"),
            Cluster("second", "second", f"127.0.0.1:{second}", "ANTHROPIC_API_KEY"),
        ],
    )


def seen(stage, port, count, seconds=BUSY_SECONDS):
    """The requests of a fake, once there are so many."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = stage.fakes.requests(port)
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(stage.fakes.requests(port))} of {count} requests")


def gaps(requests):
    times = [one["at"] for one in requests]
    return [later - earlier for earlier, later in zip(times, times[1:])]


def test_each_endpoint_is_probed_at_its_interval_by_one_worker_of_all(start):
    up = start(probing)
    for port in up.fakes.all:
        requests = seen(up, port, 6, 6 * 2 + BUSY_SECONDS)
        # 20 % of jitter, and the tick; two workers that both probe would come closer together.
        assert min(gaps(requests)[:5]) > 0.8 - 0.1, gaps(requests)
        assert all(one["method"] == "GET" for one in requests)
    assert sum(gaps(seen(up, up.fakes.all[0], 6))[:5]) < 5 * (1.2 + TICK) + BUSY_SECONDS / 4


def test_nobody_is_probed_without_being_configured_so(start):
    up = start(lambda fakes: probing(fakes, second={"probe": None}))
    seen(up, up.fakes.all[0], 3)
    assert up.fakes.state(up.fakes.all[1])["requests"] == 0


def test_one_that_is_down_is_asked_less_and_less_until_it_is_back(start):
    up = start(lambda fakes: probing(fakes, second={"probe": None}))
    port, _ = up.fakes.all
    seen(up, port, 1)
    up.fakes.set(port, "status=503")
    down = gaps(seen(up, port, 5, 30))
    # 1, 2, 4, 8 seconds, less 20 % of jitter.
    assert down[-1] > 2 * 0.8 * 2, down
    assert down[-1] > down[-2], down
    up.fakes.set(port, None)
    before = len(up.fakes.requests(port))
    back = gaps(seen(up, port, before + 3, 40)[before:])
    assert max(back) < 1.2 + TICK + 2, back


def test_one_token_is_asked_for_where_a_model_is_named(start):
    up = start(lambda fakes: probing(fakes, second={"probe": {"every": "1s", "ask": "claude-sonnet-4-5"}}))
    request = seen(up, up.fakes.all[1], 2)[-1]
    assert (request["method"], request["path"]) == ("POST", "/v1/messages")
    body = json.loads(request["body"])
    assert (body["model"], body["max_tokens"]) == ("claude-sonnet-4-5", 1)
    assert body["messages"] == [{"role": "user", "content": "ping"}]
    assert dict(request["headers"])["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]


def test_the_record_says_that_it_is_a_probe(start):
    up = start(probing)
    seen(up, up.fakes.all[0], 1)
    deadline = time.monotonic() + BUSY_SECONDS
    found = []
    while not found and time.monotonic() < deadline:
        lines = [json.loads(line["record"] or "{}") for line in up.gateway.access_log()]
        found = [record for record in lines if record.get("purpose") == "probe"]
        time.sleep(0.05)
    assert (found[0]["operation"], found[0]["attempts"][0]["outcome"]) == ("models", "answered")


LISTS = [one for one in PROVIDERS.values() if one.fake not in ("bedrock", "vertex")]


def test_every_provider_with_a_list_of_models_is_asked_for_it_in_its_own_way():
    """One gateway before all: each fake answers 200 only to its own path and its own key's header."""
    fakes = Fakes(**{one.fake: 1 for one in LISTS})
    try:
        template = (ROOT / "examples/providers/envoy.yaml").read_text(encoding="utf-8")
        values = {"admin_port": "0", "listener_port": "0", "wasm": str(module())}
        values |= {name: f"127.0.0.1:{ports[0]}" for name, ports in fakes.ports.items()}
        config = yaml.safe_load(render(template, demo=True, values=values))
        resources = config["static_resources"]
        # The way back in, as in the reference configuration.
        model = configuration()
        config["bootstrap_extensions"] = model["bootstrap_extensions"]
        back = next(one for one in model["static_resources"]["listeners"] if one["name"] == "waypost_loopback")
        manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        inner = back["filter_chains"][0]["filters"][0]["typed_config"]
        inner["route_config"] = manager["route_config"]
        wasm = manager["http_filters"][0]["typed_config"]["config"]
        inner["http_filters"][0]["typed_config"]["config"]["vm_config"] = wasm["vm_config"]
        resources["listeners"].append(back)
        resources["clusters"] += [one for one in model["static_resources"]["clusters"] if one["name"] == "waypost_loopback"]
        role = wasm["configuration"]["value"]
        role["loopback"] = "waypost_loopback"
        for one in LISTS:
            role["providers"][one.name]["probe"] = {"every": "1s"}
        gateway = Gateway(config)
        try:
            up = Stage(gateway, fakes)
            for one in LISTS:
                request = seen(up, fakes.ports[one.fake][0], 1)[0]
                assert request["method"] == "GET" and request["body"] == "", request
                assert "content-length" not in dict(request["headers"]), request
            deadline = time.monotonic() + BUSY_SECONDS
            answered: dict[str, str] = {}
            while len(answered) < len(LISTS) and time.monotonic() < deadline:
                for line in gateway.access_log():
                    record = json.loads(line["record"] or "{}")
                    for attempt in record.get("attempts", []):
                        answered[attempt["provider"]] = attempt["outcome"] + attempt.get("reason", "")
                time.sleep(0.1)
            assert answered == {one.name: "answered" for one in LISTS}
        finally:
            gateway.stop()
    finally:
        fakes.stop()


def test_without_a_way_back_nobody_is_probed_and_nothing_counts_against_a_provider(start):
    def build(fakes):
        config = probing(fakes)
        config["static_resources"]["listeners"] = config["static_resources"]["listeners"][:1]
        return config

    lost = start(build)
    time.sleep(3)
    assert lost.fakes.seen() == [0, 0]
    answered = lost.chat("hi")
    assert (answered.status, answered["x-waypost-provider"], answered["x-waypost-attempts"]) == (200, "first", "1")


@pytest.mark.parametrize("number", ["1", "2", "0", "x", "18446744073709551616", None])
def test_the_way_back_takes_nothing_from_others(start, number):
    """A configuration in which, against the reference, the internal listener has a port."""

    def build(fakes):
        config = probing(fakes, first={"probe": None}, second={"probe": None})
        listeners = config["static_resources"]["listeners"]
        outside = json.loads(json.dumps(listeners[1]))
        del outside["internal_listener"]
        outside |= {"name": "outside", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        listeners.append(outside)
        return config

    up = start(build)
    listening = up.gateway.admin("/listeners?format=json").json()["listener_statuses"]
    ports = {one["name"]: one["local_address"].get("socket_address", {}).get("port_value") for one in listening}
    headers = {"x-waypost-call": number} if number else {}
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
        refused = ask(ports["outside"], method, path, b"{}" if method == "POST" else None, headers)
        assert (refused.status, refused.body) == (403, b"")
    assert up.fakes.seen() == [0, 0]


def breaker(stage, provider):
    """The state of the endpoint's breaker as the status tells it."""
    status = ask(stage.gateway.status_port, "GET", "/waypost/status").json()
    (found,) = [one for one in status["providers"] if one["name"] == provider]
    return found["endpoints"][0]["breaker"]["state"]


def until(what, seconds):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def test_an_outage_and_its_end_are_seen_without_clients(start):
    quick = {"breaker": {"consecutive_failures": 1, "open_for": "1s", "max_open": "2s", "close_after": 1}}
    up = start(lambda fakes: probing(fakes, first=quick))
    first, _ = up.fakes.all
    seen(up, first, 1)
    up.fakes.set(first, "status=503")
    until(lambda: breaker(up, "first") != "closed", BUSY_SECONDS)
    answered = up.chat("hi")
    assert (answered["x-waypost-provider"], answered["x-waypost-attempts"]) == ("second", "1")
    up.fakes.set(first, None)
    until(lambda: breaker(up, "first") == "closed", 25)
    answered = up.chat("hi")
    assert (answered["x-waypost-provider"], answered["x-waypost-attempts"]) == ("first", "1")
    # Two requests of a client; all else was probes.
    chats = [one for port in up.fakes.all for one in up.fakes.requests(port) if one["method"] == "POST"]
    assert len(chats) == 2
