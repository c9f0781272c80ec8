"""Which way a provider is reached: several endpoints, several models, addresses that swallow."""

from __future__ import annotations

import pytest
from client import BUSY_SECONDS
from gateway import Cluster, configuration, stage, swallowing_port

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def spread():
    """A provider with two endpoints, one with two models, one with sixteen endpoints, one that swallows."""
    with swallowing_port() as swallowing:

        def build(fakes):
            first, second, third = fakes.ports["openai"]
            claude = fakes.ports["anthropic"][0]
            wide = [f"wide-{n}" for n in range(16)]
            clusters = [
                Cluster("one", "pair", f"127.0.0.1:{first}"),
                Cluster("two", "pair", f"127.0.0.1:{second}"),
                Cluster("claude", "claude", f"127.0.0.1:{claude}", "ANTHROPIC_API_KEY"),
                Cluster("swallow", "swallow", f"127.0.0.1:{swallowing}", connect_timeout="0.5s"),
                *[Cluster(name, "wide", f"127.0.0.1:{third}") for name in wide],
            ]

            def provider(api, clusters, *models):
                endpoints = [{"cluster": name} for name in clusters]
                return {"api": api, "endpoints": endpoints, "models": {model: {} for model in models}}

            def rule(name, *targets):
                return {"name": name, "when": {"model": name}, "targets": list(targets)}

            gateway = {
                "providers": {
                    "pair": provider("openai", ["one", "two"], "gpt-4o"),
                    "claude": provider("anthropic", ["claude"], "claude-sonnet-4-5", "claude-haiku-4-5"),
                    "swallow": provider("openai", ["swallow"], "gpt-4o"),
                    "wide": provider("openai", wide, "gpt-4o"),
                },
                "rules": [
                    rule("both-endpoints", "pair/gpt-4o"),
                    rule("both-models", "claude/claude-sonnet-4-5", "claude/claude-haiku-4-5"),
                    rule("both-models-then-pair", "claude/claude-sonnet-4-5", "claude/claude-haiku-4-5", "pair/gpt-4o"),
                    rule("sixteen", "wide/gpt-4o"),
                    rule("swallowed-first", "swallow/gpt-4o", "claude/claude-sonnet-4-5"),
                ],
            }  # fmt: skip
            return configuration(gateway, clusters)

        with stage(build, openai=3) as made:
            yield made


@pytest.fixture(autouse=True)
def unseen(request):
    if "spread" in request.fixturenames:
        request.getfixturevalue("spread").fakes.reset()


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "reset", "refuse", "status=401", "quota"])
def test_the_second_endpoint_of_a_provider_answers_when_the_first_fails(spread, fault, stream):
    first, second, _ = spread.fakes.ports["openai"]
    # They take turns at being first, in each worker by itself.
    answers = [spread.chat(f"[[{first}:{fault}]]", "both-endpoints", stream=stream) for _ in range(8)]
    assert {(answer.status, answer["x-waypost-provider"]) for answer in answers} == {(200, "pair")}, answers
    failed, served = [spread.fakes.state(port)["requests"] for port in (first, second)]
    assert served == 8 and 1 <= failed <= 5
    assert [answer["x-waypost-attempts"] for answer in answers].count("2") == failed


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "status=529", "reset", "refuse", "error_first"])
def test_a_second_model_behind_the_same_address_answers(spread, fault, stream):
    answer = spread.chat(f"[[model=claude-sonnet-4-5:{fault}]]", "both-models", stream=stream)
    assert answer.status == 200, answer
    assert (answer["x-waypost-model"], answer["x-waypost-attempts"]) == ("claude-haiku-4-5", "2")
    assert answer.text.startswith("Hello from anthropic (claude-haiku-4-5)")


@STREAM
@pytest.mark.parametrize("fault", ["status=401", "billing", "quota"])
def test_what_is_wrong_with_the_key_is_not_asked_of_a_second_model(spread, fault, stream):
    text = f"[[model=claude-sonnet-4-5:{fault}]]"
    answer = spread.chat(text, "both-models-then-pair", stream=stream)
    assert (answer.status, answer["x-waypost-provider"], answer["x-waypost-attempts"]) == (200, "pair", "2")
    assert spread.fakes.state(spread.fakes.ports["anthropic"][0])["requests"] == 1
    alone = spread.chat(text, "both-models", stream=stream)
    assert alone.status in (402, 429, 502) and alone["x-waypost-attempts"] == "1"
    assert alone.error["message"]


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "reset", "refuse"])
def test_the_sixteenth_candidate_answers_after_fifteen_failures(spread, fault, stream):
    port = spread.fakes.ports["openai"][2]
    spread.fakes.set(port, fault, times=15)
    answer = spread.chat(model="sixteen", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (200, "16"), answer
    spread.fakes.set(port, fault)
    answer = spread.chat(model="sixteen", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (503, "16"), answer
    assert answer.error["message"]


@STREAM
def test_an_address_that_swallows_connections_is_left_after_the_time_to_connect(spread, stream):
    answer = spread.chat(model="swallowed-first", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (200, "2"), answer
    assert 0.4 < answer.took < BUSY_SECONDS
