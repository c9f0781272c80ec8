"""A real OpenTelemetry collector behind Envoy's tracer and its OTLP access log: the spans of a request and of its attempts."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from client import Connection, Response, ask, request
from collector import Collector, Span
from gateway import ROOT, Stage, reference, stage

CHAT = "/v1/chat/completions"

KEY = {"authorization": "Bearer wp-demo"}


def shipped(first: str) -> Any:
    """What the reference configuration has as a comment that begins with `first`, without its marks of comment."""
    lines = (ROOT / "envoy/envoy.yaml").read_text(encoding="utf-8").splitlines()
    at = next(at for at, line in enumerate(lines) if line.strip() == f"# {first}")
    mark = lines[at].partition("#")[0] + "# "
    block = []
    for line in lines[at:]:
        if not line.startswith(mark):
            break
        block.append(line.removeprefix(mark))
    return yaml.safe_load("\n".join(block))


def manager(config: dict[str, Any]) -> dict[str, Any]:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def traced(config: dict[str, Any], port: int) -> None:
    """Switches on what the reference configuration has as a comment, with a collector at `port`."""
    cluster = shipped("- name: otlp")[0] | {"type": "STATIC"}
    where = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    where |= {"address": "127.0.0.1", "port_value": port}
    config["static_resources"]["clusters"].append(cluster)
    manager(config)["tracing"] = shipped("tracing:")["tracing"]
    plugin = manager(config)["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
    plugin["tracing"] = True
    # The demo's key, as the reference configuration has it, and nobody without one.
    del plugin["anonymous"]
    # Envoy collects spans for five seconds otherwise.
    soon = {"tracing.opentelemetry.flush_interval_ms": 50}
    config["layered_runtime"] = {"layers": [{"name": "soon", "static_layer": soon}]}


def logged(config: dict[str, Any]) -> None:
    """Sends the record of each request as an OTLP log record too, as docs/audit.md says."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/audit.md").read_text(encoding="utf-8"), re.DOTALL)
    told = yaml.safe_load(next(block for block in blocks if "open_telemetry" in block))
    told[0]["typed_config"]["common_config"]["buffer_flush_interval"] = "0.05s"
    manager(config)["access_log"] = manager(config)["access_log"] + told


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared(collector: Collector) -> Iterator[Stage]:
    def change(config: dict[str, Any]) -> None:
        traced(config, collector.grpc_port)
        logged(config)

    with stage(lambda fakes: reference(fakes, change)) as made:
        yield made


@dataclass
class Asked:
    """A stage, and the client's trace that its requests belong to."""

    stage: Stage
    collector: Collector
    trace_id: str
    parent_id: str

    @property
    def trace(self) -> dict[str, str]:
        return {"traceparent": f"00-{self.trace_id}-{self.parent_id}-01"}

    @property
    def headers(self) -> dict[str, str]:
        return KEY | self.trace

    def chat(self, **fields: Any) -> Response:
        return self.stage.chat(headers=self.headers, **fields)

    def leave(self, fault: str, **fields: Any) -> None:
        """Asks a provider that falls silent, and goes when the head of the answer is there, or when nothing came."""
        self.stage.fakes.set(self.openai, fault)
        with Connection(self.stage.port, timeout=0.5 if fault == "silent" else 10) as connection:
            connection.send_request("POST", CHAT, request(**fields), self.headers)
            connection.receive(head=True)
        assert self.stage.fakes.idle(self.openai)

    @property
    def openai(self) -> int:
        return self.stage.fakes.ports["openai"][0]

    def spans(self, attempts: int) -> tuple[Span, list[Span]]:
        """The span of the request, and those of its attempts."""
        first, *rest = self.collector.trace(self.trace_id, 1 + attempts)
        assert first.parent_id == self.parent_id
        assert {span.parent_id for span in rest} <= {first.span_id}
        assert all(first.began <= span.began <= span.ended for span in rest)
        assert {span.service for span in [first, *rest]} == {"waypost"}
        return first, rest


@pytest.fixture
def asked(shared: Stage, collector: Collector) -> Asked:
    shared.fakes.reset()
    return Asked(shared, collector, secrets.token_hex(16), secrets.token_hex(8))


def own(span: Span) -> dict[str, Any]:
    """The attributes that are not Envoy's."""
    mine = ("gen_ai.", "waypost.", "error.type")
    return {name: value for name, value in span.tags.items() if name.startswith(mine)}


def test_the_span_of_an_answer_says_what_was_asked_who_answered_and_what_it_cost(asked: Asked) -> None:
    answer = asked.chat()
    assert answer.status == 200
    usage = answer.json()["usage"]
    first, (attempt,) = asked.spans(1)
    tokens = {
        "gen_ai.usage.input_tokens": str(usage["prompt_tokens"]),
        "gen_ai.usage.output_tokens": str(usage["completion_tokens"]),
        "waypost.cost_usd": f"{(usage['prompt_tokens'] * 2500 + usage['completion_tokens'] * 10000) / 1e9:.9f}",
    }
    chat = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "waypost.provider": "openai", "waypost.rule": "default"}
    models = {"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o"}
    both = chat | models | tokens | {"waypost.tenant": "demo", "waypost.request_id": answer["x-request-id"]}
    assert own(first) == both | {"waypost.attempts": "1"}
    assert own(attempt) == both | {"waypost.outcome": "answered"}
    assert (first.name, attempt.name) == ("chat gpt-4o", "chat gpt-4o")
    assert attempt.tags["upstream_cluster"] == "openai"
    assert (first.tags["http.status_code"], first.failed, attempt.failed) == ("200", False, False)


def test_the_span_of_a_stream_ends_with_it_and_knows_what_it_used(asked: Asked) -> None:
    asked.stage.fakes.set(asked.openai, "slow_chunks=0.03")
    answer = asked.chat(stream=True, stream_options={"include_usage": True})
    usage = next(event["usage"] for event in answer.events() if event != "[DONE]" and event.get("usage"))
    first, (attempt,) = asked.spans(1)
    for span in (first, attempt):
        assert span.tags["gen_ai.request.stream"] == "true"
        assert span.tags["gen_ai.usage.output_tokens"] == str(usage["completion_tokens"])
        assert 0 <= float(span.tags["gen_ai.response.time_to_first_chunk"]) < answer.took
    assert (first.ended - first.began) / 1e9 > answer.first_content()


def test_each_attempt_is_a_span_of_its_own_below_that_of_the_request(asked: Asked) -> None:
    asked.stage.fakes.set(asked.openai, "status=503")
    assert asked.chat().status == 200
    first, (lost, won) = asked.spans(2)
    assert (first.name, lost.name, won.name) == ("chat gpt-4o", "chat gpt-4o", "chat claude-sonnet-4-5")
    assert (lost.tags["upstream_cluster"], won.tags["upstream_cluster"]) == ("openai", "anthropic")
    assert (lost.tags["waypost.outcome"], won.tags["waypost.outcome"]) == ("failed", "answered")
    assert (lost.tags["error.type"], lost.failed) == ("overloaded", True)
    assert "error.type" not in won.tags and "error.type" not in first.tags
    assert "gen_ai.response.model" not in lost.tags and "gen_ai.usage.input_tokens" not in lost.tags
    assert lost.ended <= won.began
    assert first.tags["gen_ai.request.model"] == "gpt-4o"
    assert first.tags["gen_ai.response.model"] == "claude-sonnet-4-5"
    assert first.tags["gen_ai.provider.name"] == "anthropic"
    assert first.tags["waypost.attempts"] == "2"
    assert first.tags["waypost.cost_usd"] == won.tags["waypost.cost_usd"]


def test_an_attempt_whose_connection_breaks_is_a_span_too(asked: Asked) -> None:
    asked.stage.fakes.set(asked.openai, "reset")
    assert asked.chat().status == 200
    first, (lost, won) = asked.spans(2)
    assert (lost.tags["error.type"], lost.tags["waypost.outcome"]) == ("server", "failed")
    # Nobody said what it used.
    assert lost.tags["waypost.estimated"] == first.tags["waypost.estimated"] == "true"
    assert "waypost.estimated" not in won.tags
    assert won.tags["waypost.provider"] == first.tags["waypost.provider"] == "claude"


def test_when_all_fail_the_request_has_the_error_of_the_last(asked: Asked) -> None:
    asked.stage.fakes.set(asked.openai, "status=503")
    asked.stage.fakes.set(asked.stage.fakes.ports["anthropic"][0], "status=401")
    status = asked.chat().status
    first, (_, last) = asked.spans(2)
    assert last.tags["error.type"] == first.tags["error.type"] == "auth" and last.failed
    assert (first.tags["http.status_code"], first.failed) == (str(status), True)
    assert "gen_ai.usage.input_tokens" not in first.tags and "gen_ai.response.model" not in first.tags


def test_a_refused_request_has_one_span_that_says_why(asked: Asked) -> None:
    assert ask(asked.stage.port, "POST", CHAT, b"{", asked.headers).status == 400
    first, _ = asked.spans(0)
    assert (first.name, first.tags["error.type"]) == ("chat", "client")
    assert (first.tags["http.status_code"], first.tags["waypost.tenant"]) == ("400", "demo")


def test_who_is_not_known_has_a_span_that_says_so(asked: Asked) -> None:
    assert ask(asked.stage.port, "POST", CHAT, request(), asked.trace).status == 401
    first, _ = asked.spans(0)
    assert (first.name, first.tags["error.type"], first.tags["http.status_code"]) == ("refused", "auth", "401")
    assert "waypost.tenant" not in first.tags


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1beta/models/gemini:generateContent", "/nowhere"])
def test_a_key_in_the_query_is_told_to_nobody(asked: Asked, path: str) -> None:
    """As clients of Gemini and of Azure write it: neither to the collector, nor to a log, a client or a provider."""
    secret = secrets.token_hex(16)
    answer = ask(asked.stage.port, "POST", f"{path}?key={secret}&api-key={secret}", request(), asked.headers)
    first, *rest = asked.collector.trace(asked.trace_id, 2 if answer.status == 200 else 1)
    # The headers are the provider's by the end of one that is answered.
    url = "https://api.openai.com" if answer.status == 200 else "http://gateway.test"
    assert {span.tags["http.url"] for span in (first, *rest)} == {url + path}
    said = [json.dumps(span.tags) + span.name for span in (first, *rest)]
    said.append(repr(answer))
    said += [json.dumps(seen) for port in asked.stage.fakes.all for seen in asked.stage.fakes.requests(port)]
    gateway = asked.stage.gateway
    assert gateway.logged(answer["x-request-id"]) and gateway.audited(answer["x-request-id"])
    directory = gateway.directory
    said += [file.read_text(encoding="utf-8", errors="replace") for file in directory.iterdir() if file.is_file()]
    assert not [text for text in said if secret in text]


def test_a_client_that_leaves_a_stream_leaves_both_spans_ended(asked: Asked) -> None:
    asked.leave("stall_after=2", stream=True)
    first, (attempt,) = asked.spans(1)
    assert first.tags["response_flags"] == "DC"
    assert first.tags["gen_ai.response.model"] == attempt.tags["gen_ai.response.model"] == "gpt-4o"
    assert "gen_ai.response.time_to_first_chunk" in first.tags
    assert "gen_ai.usage.input_tokens" not in first.tags
    assert attempt.tags["waypost.outcome"] == "unfinished"
    assert attempt.tags["waypost.estimated"] == "true" and "gen_ai.usage.input_tokens" in attempt.tags


def test_a_client_that_leaves_before_the_answer_leaves_both_spans_ended(asked: Asked) -> None:
    asked.leave("silent")
    first, (attempt,) = asked.spans(1)
    assert first.tags["response_flags"] == "DC"
    assert first.tags["gen_ai.request.model"] == "gpt-4o"
    assert attempt.tags["waypost.outcome"] == "unfinished"
    assert attempt.tags["waypost.provider"] == "openai"


def test_a_stream_that_breaks_is_an_error_in_both_spans(asked: Asked) -> None:
    asked.stage.fakes.set(asked.openai, "cut_after=2")
    asked.chat(stream=True)
    first, (attempt,) = asked.spans(1)
    assert first.tags["error.type"] == attempt.tags["error.type"] == "server"
    assert attempt.tags["waypost.outcome"] == "failed"


def test_the_record_is_a_log_record_that_belongs_to_the_span(asked: Asked) -> None:
    answer = asked.chat()
    first, _ = asked.spans(1)
    log = asked.collector.log(asked.trace_id)
    assert log.span_id == first.span_id
    line = asked.stage.gateway.logged(answer["x-request-id"])
    assert log.body == line["record"]
    assert line["trace_id"] == json.loads(log.body)["trace_id"] == asked.trace_id


def test_a_client_says_itself_whether_its_trace_is_kept(asked: Asked) -> None:
    """One that is not kept reaches nobody, and the next one is not delayed by it."""
    unkept = KEY | {"traceparent": f"00-{asked.trace_id}-{asked.parent_id}-00"}
    assert asked.stage.chat(headers=unkept).status == 200
    asked.trace_id = secrets.token_hex(16)
    assert asked.chat().status == 200
    asked.spans(1)
    time.sleep(0.2)
    assert [span for span in asked.collector.spans if span.parent_id == asked.parent_id][1:] == []


def test_a_provider_is_told_the_trace_only_if_it_shall_be(asked: Asked) -> None:
    assert asked.chat().status == 200
    asked.spans(1)
    for port in asked.stage.fakes.all:
        for seen in asked.stage.fakes.requests(port):
            assert not [name for name, _ in seen["headers"] if name.startswith("trace")]


def test_over_http_and_to_a_provider_that_follows_the_trace(collector: Collector) -> None:
    """OTLP over HTTP instead of gRPC, and `trace_context: true`."""

    def change(config: dict[str, Any]) -> None:
        traced(config, collector.http_port)
        tracer = manager(config)["tracing"]["provider"]["typed_config"]
        del tracer["grpc_service"]
        uri = {"uri": "http://otlp/v1/traces", "cluster": "otlp", "timeout": "1s"}
        tracer["http_service"] = {"http_uri": uri}
        del config["static_resources"]["clusters"][-1]["typed_extension_protocol_options"]
        plugin = manager(config)["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
        plugin["providers"]["openai"]["trace_context"] = True

    with stage(lambda fakes: reference(fakes, change)) as made:
        asked = Asked(made, collector, secrets.token_hex(16), secrets.token_hex(8))
        assert asked.chat().status == 200
        _, (attempt,) = asked.spans(1)
        seen = dict(made.fakes.last(asked.openai)["headers"])
        assert seen["traceparent"] == f"00-{asked.trace_id}-{attempt.span_id}-01"
