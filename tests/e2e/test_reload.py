"""A new configuration while requests are on their way; and a bad one, which changes nothing."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import Connection, request
from gateway import reference, stage


class Listeners:
    """The listeners as a file that Envoy watches."""

    def __init__(self, folder):
        self.path = folder / "listeners.json"
        self.listener = {}
        self._version = 0

    def take(self, config):
        """Takes the listener out of a configuration, and leaves the way to the file."""
        self.listener = config["static_resources"].pop("listeners")[0]
        config["node"] = {"id": "test", "cluster": "test"}
        source = {"path_config_source": {"path": str(self.path)}, "resource_api_version": "V3"}
        config["dynamic_resources"] = {"lds_config": source}
        self.write()

    @property
    def gateway(self):
        """The gateway's own part."""
        manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        return manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]

    def write(self):
        """Puts the listener in place; Envoy looks when a file is moved there."""
        self._version += 1
        kind = {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener"}
        whole = {"version_info": str(self._version), "resources": [kind | self.listener]}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(whole))
        os.replace(new, self.path)


@pytest.fixture
def reloaded(tmp_path):
    listeners = Listeners(tmp_path)
    with stage(lambda fakes: reference(fakes, listeners.take)) as made:
        made.listeners = listeners
        yield made


def rule_of_the_next_request(made):
    """The rule that takes `gpt-4o-mini`, asked on a connection of its own."""
    return made.chat(model="gpt-4o-mini")["x-waypost-rule"]


def becomes(value, wanted, seconds=10):
    deadline = time.monotonic() + seconds
    while value() != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def leads_to(rule, target):
    """Lets a rule lead to one target, among which there is nothing to choose."""
    rule.pop("choose", None)
    rule.pop("leave", None)
    rule["targets"] = [target]


def rejected(made):
    return made.gateway.stats("listener_manager.lds.update_rejected")["listener_manager.lds.update_rejected"]


def test_a_new_configuration_takes_over_and_streams_under_the_old_one_go_on(reloaded):
    made = reloaded
    assert rule_of_the_next_request(made) == "small"
    with Connection(made.port) as connection, ThreadPoolExecutor(20) as pool:
        streams = [
            pool.submit(made.chat, "[[*:chunks=40,slow_chunks=0.1]]", "gpt-4o-mini", stream=True, timeout=20)
            for _ in range(20)
        ]
        connection.send_request("POST", "/v1/chat/completions", request(model="gpt-4o-mini"))
        assert connection.receive()["x-waypost-rule"] == "small"
        time.sleep(0.3)
        next(rule for rule in made.listeners.gateway["rules"] if rule["name"] == "small")["name"] = "small-again"
        made.listeners.write()
        assert becomes(lambda: rule_of_the_next_request(made), "small-again")
        assert not any(stream.done() for stream in streams)
        for stream in streams:
            answer = stream.result()
            assert answer.ending == "complete" and answer.events()[-1] == "[DONE]", answer
            assert answer["x-waypost-rule"] == "small"
    assert rejected(made) == 0


def test_a_request_that_waits_under_the_old_configuration_fails_over_by_it(reloaded):
    made = reloaded
    rules = made.listeners.gateway["rules"]
    small = next(rule for rule in rules if rule["name"] == "small")
    small["timeouts"] = {"first_token": "2s", "answer": "2s"}
    made.listeners.write()
    assert becomes(lambda: made.gateway.stats("listener_manager.lds.update_success")["listener_manager.lds.update_success"] >= 2, True)
    time.sleep(0.3)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.chat, "[[openai:silent]]", "gpt-4o-mini", timeout=20)
        time.sleep(0.3)
        leads_to(small, "openai/gpt-4o-mini")
        small["name"] = "small-alone"
        made.listeners.write()
        assert becomes(lambda: rule_of_the_next_request(made), "small-alone", 1.5)
        answer = waiting.result()
    assert (answer.status, answer["x-waypost-rule"], answer["x-waypost-provider"]) == (200, "small", "claude")


def test_a_bad_configuration_changes_nothing(reloaded):
    made = reloaded
    leads_to(made.listeners.gateway["rules"][0], "openai/gpt-4o-mimi")
    made.listeners.write()
    assert becomes(lambda: rejected(made), 1)
    assert b'has no model "gpt-4o-mimi"' in made.gateway.log() and b"gpt-4o-mini" in made.gateway.log()
    # Envoy calls the refusal critical; nothing else may have gone wrong.
    trouble = made.gateway.trouble()
    assert trouble and all("failed to load" in line for line in trouble), trouble
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: made.chat(model="gpt-4o-mini"), range(40)))
    assert {(answer.status, answer["x-waypost-rule"]) for answer in answers} == {(200, "small")}
    # And a good one is taken after it.
    leads_to(made.listeners.gateway["rules"][0], "openai/gpt-5-mini")
    next(rule for rule in made.listeners.gateway["rules"] if rule["name"] == "small")["name"] = "small-again"
    made.listeners.write()
    assert becomes(lambda: rule_of_the_next_request(made), "small-again")


def test_many_new_configurations_under_load_lose_no_request(reloaded):
    made = reloaded
    end = time.monotonic() + 4

    def ask_on():
        answers = []
        while time.monotonic() < end:
            answers.append(made.chat("[[openai:status=503]]", stream=len(answers) % 2 == 0))
        return answers

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_on) for _ in range(8)]
        changes = 0
        while time.monotonic() < end:
            changes += 1
            made.listeners.gateway["rules"][-1]["name"] = f"default-{changes}"
            made.listeners.write()
            time.sleep(0.4)
        answers = [answer for one in asking for answer in one.result()]
    lost = [answer for answer in answers if answer.status != 200 or answer.ending != "complete"]
    assert lost == [] and len(answers) > 100, (len(lost), len(answers), lost[:1])
    assert {answer["x-waypost-attempts"] for answer in answers} == {"2"}
    assert len({answer["x-waypost-rule"] for answer in answers}) > 3
