"""Many configurations, one after the other: what they leave behind, and which one the status tells of."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client import BUSY_SECONDS, Connection, ask, request
from gateway import Fakes, Gateway, Stage, reference
from test_reload import Listeners, becomes

RELOADS = 20
EXPRESSIONS = 50


class Gateways(Listeners):
    """The gateway's listener as a file that Envoy watches; the others stay."""

    def take(self, config: dict[str, Any]) -> None:
        others = config["static_resources"]["listeners"][1:]
        super().take(config)
        config["static_resources"]["listeners"] = others

    def name(self, number: int) -> None:
        """Names the last rule by a number."""
        self.gateway["rules"][-1]["name"] = f"configuration-{number}"
        self.write()


@pytest.fixture
def changing(tmp_path) -> Iterator[Callable[..., Stage]]:
    """Starts a gateway whose configuration can be changed; what is no longer used lasts for three seconds."""
    made: list[Stage] = []

    def start(first: Callable[[dict[str, Any]], None] = lambda _: None) -> Stage:
        listeners = Gateways(tmp_path)
        fakes = Fakes()
        config = reference(fakes, listeners.take)
        first(listeners.gateway)
        listeners.name(0)
        stage = Stage(Gateway(config, options=("--drain-time-s", "3", "--drain-strategy", "immediate")), fakes)
        stage.listeners = listeners  # type: ignore[attr-defined]
        made.append(stage)
        return stage

    yield start
    for stage in made:
        stage.gateway.stop()
        stage.fakes.stop()


def takes(stage: Stage, number: int) -> bool:
    """Makes it the configuration of that number, and waits until requests come under it."""
    stage.listeners.name(number)
    return becomes(lambda: stage.chat(model="gpt-4o")["x-waypost-rule"], f"configuration-{number}")


def told(stage: Stage) -> set[str]:
    """Which configurations the status tells of; both workers are asked."""
    answers = [ask(stage.gateway.status_port, "GET", "/waypost/status").json() for _ in range(12)]
    return {answer["rules"][-1]["name"] for answer in answers if answer["rules"][-1]["name"] != "model"}


def test_the_status_tells_of_the_configuration_that_is_used_also_after_a_step_back(changing) -> None:
    stage = changing()
    text = "[[*:slow_chunks=0.1,chunks=12]]"
    with Connection(stage.port, 20) as connection:
        connection.send_request("POST", "/v1/chat/completions", request(text, "gpt-4o", stream=True))
        assert connection.receive(head=True)["x-waypost-rule"] == "configuration-0"
        assert told(stage) == {"configuration-0"}
        assert takes(stage, 1)
        assert told(stage) == {"configuration-1"}
        # The stream still uses the first one, so Envoy does not configure it anew.
        assert takes(stage, 0)
        assert becomes(lambda: told(stage), {"configuration-0"})
        rest = b""
        while b"[DONE]" not in rest:
            rest += connection.socket.recv(1 << 16)


def test_the_status_does_not_tell_of_a_configuration_that_envoy_refused_for_another_reason(changing) -> None:
    stage = changing()
    manager = stage.listeners.listener["filter_chains"][0]["filters"][0]["typed_config"]
    bad = json.loads(json.dumps(manager["http_filters"][-1])) | {"name": "bad"}
    bad["typed_config"] = {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": "no lua"}}
    manager["http_filters"].insert(1, bad)
    stage.listeners.name(1)
    stat = "listener_manager.lds.update_rejected"
    assert becomes(lambda: stage.gateway.stats(stat)[stat], 1)
    assert stage.chat(model="gpt-4o")["x-waypost-rule"] == "configuration-0"
    assert becomes(lambda: told(stage), {"configuration-0"})
    stage.gateway.expects_trouble = True


def ours(stage: Stage) -> set[str]:
    """Names of our metrics. Each configuration names its rule anew, and what a rule is called is a label; there are never more
    series than `metrics.max_series`."""
    text = stage.gateway.admin("/stats?filter=wasmcustom").body.decode()
    return set(re.findall(r"^(\S+): ", re.sub(r";rule=configuration-\d+", ";rule=configuration", text), re.M))


def test_many_configurations_leave_no_metric_no_expression_and_no_memory_behind(changing) -> None:
    def expressive(gateway: dict[str, Any]) -> None:
        rules = [
            {"name": f"expression-{n}", "when": {"cel": f"request.headers['x-no-{n}'] == 'such'"}, "targets": ["openai/gpt-4o"]}
            for n in range(EXPRESSIONS)
        ]
        gateway["rules"][:0] = rules

    def used(stage: Stage) -> int:
        return int(stage.gateway.admin("/memory").json()["allocated"])

    stage = changing(expressive)
    sizes = []
    for number in range(1, RELOADS + 1):
        assert takes(stage, number)
        for _ in range(4):
            assert stage.chat("hi [[openai:status=503]]", "gpt-4o").status == 200
        if number == 5:
            time.sleep(1.5)  # Gauges come with the tick.
            names = ours(stage)
        sizes.append(used(stage))
    assert ours(stage) == names
    time.sleep(4)  # Until the last but one is gone.
    sizes.append(used(stage))
    assert sizes[-1] < sizes[4] + (8 << 20), sizes
    assert becomes(lambda: told(stage), {f"configuration-{RELOADS}"}, BUSY_SECONDS)
