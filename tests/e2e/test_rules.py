"""Rules and their timeouts, through a real gateway."""

from __future__ import annotations

import json

import pytest
from client import BUSY_SECONDS
from gateway import Cluster, configuration, stage


@pytest.fixture(scope="module")
def ruled():
    """Rules that see each of the things a rule can see."""

    def build(fakes):
        openai, anthropic = fakes.all
        fast, slow = {"first_token": "400ms", "answer": "5s"}, {"first_token": "3s", "answer": "3s"}
        both = ["openai/gpt-4o", "claude/claude-sonnet-4-5"]
        gateway = {
            "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "anyone", "anonymous": "anyone", "tenants": {"anyone": {}},
            "timeouts": {"idle": "30s"},
            "providers": {
                "openai": {
                    "api": "openai",
                    "endpoints": [{"cluster": "openai"}],
                    "models": {"gpt-4o": {}, "gpt-4o-mini": {}, "vendor/odd:name": {}},
                },
                "claude": {
                    "api": "anthropic",
                    "endpoints": [{"cluster": "claude"}],
                    "models": {"claude-sonnet-4-5": {}, "claude-haiku-4-5": {}},
                },
            },
            "rules": [
                {"name": "by-header", "when": {"headers": {"x-task": ["classification", "extract*"]}}, "targets": ["openai/gpt-4o-mini"]},
                {"name": "by-two-headers", "when": {"headers": {"x-one": "1", "x-two": "2"}}, "targets": ["claude/claude-haiku-4-5"]},
                {"name": "by-tenant", "when": {"tenant": ["acme", "globex-*"]}, "targets": ["claude/claude-haiku-4-5"]},
                {"name": "by-stream", "when": {"model": "by-stream", "stream": True}, "targets": ["claude/claude-haiku-4-5"]},
                {"name": "by-no-stream", "when": {"model": "by-stream", "stream": False}, "targets": ["openai/gpt-4o-mini"]},
                {"name": "by-model", "when": {"model": ["alias", "other-alias"]}, "targets": ["claude/claude-sonnet-4-5"]},
                {"name": "by-glob", "when": {"model": "team-*-large"}, "targets": ["openai/gpt-4o"]},
                {"name": "fast", "when": {"model": "fast"}, "targets": both, "timeouts": fast},
                {"name": "slow", "when": {"model": "slow"}, "targets": both, "timeouts": slow},
                {"name": "capped", "when": {"model": "capped"}, "targets": both, "timeouts": {"first_token": "4s", "answer": "4s", "total": "5s"}},
                {"name": "idle", "when": {"model": "idle"}, "targets": both, "timeouts": {"idle": "1s"}},
                {"name": "patient", "when": {"model": "patient"}, "targets": both, "timeouts": {"idle": "3s"}},
                {"name": "short", "when": {"model": "short"}, "targets": both, "timeouts": {"first_token": "500ms", "answer": "500ms", "total": "1500ms"}},
            ],
        }  # fmt: skip
        clusters = [
            Cluster("openai", "openai", f"127.0.0.1:{openai}"),
            Cluster("claude", "claude", f"127.0.0.1:{anthropic}", "ANTHROPIC_API_KEY"),
        ]
        return configuration(gateway, clusters)

    with stage(build) as made:
        yield made


@pytest.fixture(autouse=True)
def faultless(ruled):
    ruled.fakes.reset()


@pytest.mark.parametrize(
    ("model", "headers", "rule", "answered_by"),
    [
        ("gpt-4o", {"x-task": "classification"}, "by-header", "gpt-4o-mini"),
        ("gpt-4o", {"x-task": "extraction"}, "by-header", "gpt-4o-mini"),
        ("gpt-4o", {"x-task": "chat"}, "model", "gpt-4o"),
        ("gpt-4o", {"x-one": "1", "x-two": "2"}, "by-two-headers", "claude-haiku-4-5"),
        ("gpt-4o", {"x-one": "1"}, "model", "gpt-4o"),
        ("gpt-4o", {"x-tenant": "acme"}, "by-tenant", "claude-haiku-4-5"),
        ("gpt-4o", {"x-tenant": "globex-eu"}, "by-tenant", "claude-haiku-4-5"),
        ("gpt-4o", {"x-tenant": "initech"}, "model", "gpt-4o"),
        ("gpt-4o", {"x-task": "classification", "x-tenant": "acme"}, "by-header", "gpt-4o-mini"),
        ("alias", {}, "by-model", "claude-sonnet-4-5"),
        ("other-alias", {}, "by-model", "claude-sonnet-4-5"),
        ("team-red-large", {}, "by-glob", "gpt-4o"),
        ("claude-haiku-4-5", {}, "model", "claude-haiku-4-5"),
        ("claude/claude-haiku-4-5", {}, "model", "claude-haiku-4-5"),
        ("vendor/odd:name", {}, "model", "vendor/odd:name"),
        ("openai/vendor/odd:name", {}, "model", "vendor/odd:name"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_first_rule_that_matches_decides(ruled, model, headers, rule, answered_by, stream):
    answer = ruled.chat("hi", model, headers=headers, stream=stream)
    assert answer.status == 200, answer
    assert (answer["x-waypost-rule"], answer["x-waypost-model"]) == (rule, answered_by)
    dialect = "anthropic" if "claude" in answered_by else "openai"
    assert answer.text.startswith(f"Hello from {dialect} ({answered_by}")


def test_a_rule_sees_whether_a_stream_is_asked_for(ruled):
    assert ruled.chat(model="by-stream", stream=True)["x-waypost-rule"] == "by-stream"
    assert ruled.chat(model="by-stream", stream=False)["x-waypost-rule"] == "by-no-stream"
    assert ruled.chat(model="by-stream")["x-waypost-rule"] == "by-no-stream"


@pytest.mark.parametrize("model", ["team-red-small", "by-stream-2", "aliases", ""])
def test_a_model_that_no_rule_and_no_provider_knows_is_refused(ruled, model):
    answer = ruled.chat(model=model)
    assert answer.status == (404 if model else 400), answer
    assert answer.error["param"] == "model"


def test_a_header_rule_does_not_serve_a_model_that_is_not_there(ruled):
    assert ruled.chat(model="no-such-model", headers={"x-task": "classification"}).status == 404


def test_models_named_by_rules_are_listed(ruled):
    ids = [one["id"] for one in ruled.ask("GET", "/v1/models").json()["data"]]
    assert {"alias", "other-alias", "by-stream", "vendor/odd:name"} <= set(ids)
    assert not any("*" in model for model in ids)
    for path in ("vendor/odd:name", "vendor%2Fodd%3Aname", "alias"):
        assert ruled.ask("GET", f"/v1/models/{path}").status == 200


# Timeouts of a rule


def test_a_stream_waits_for_its_first_token_and_an_answer_for_its_end(ruled):
    """700 ms before the headers: too long for a stream of `fast`, not for an answer."""
    text = "[[openai:slow=0.7]]"
    assert ruled.chat(text, "fast", stream=True)["x-waypost-provider"] == "claude"
    assert ruled.chat(text, "fast", stream=False)["x-waypost-provider"] == "openai"
    assert ruled.chat(text, "slow", stream=True)["x-waypost-provider"] == "openai"


def test_headers_alone_are_no_first_token(ruled):
    text = "[[openai:silent_after_headers]]"
    for stream, least, most in ((True, 0.3, 4.9), (False, 4.9, 4.9 + BUSY_SECONDS)):
        answer = ruled.chat(text, "fast", stream=stream)
        assert answer["x-waypost-provider"] == "claude"
        assert least < answer.took < most


def test_a_preamble_alone_is_no_first_token(ruled):
    """The first chunk only says `assistant`."""
    text = "[[openai:chunks=2,slow_chunks=0.7]]"
    answer = ruled.chat(text, "fast", stream=True)
    assert answer["x-waypost-provider"] == "claude" and answer["x-waypost-attempts"] == "2"


def test_a_stream_may_last_longer_than_its_first_token_may_take(ruled):
    answer = ruled.chat("[[openai:chunks=8,slow_chunks=0.15]]", "fast", stream=True)
    assert answer["x-waypost-provider"] == "openai" and answer.events()[-1] == "[DONE]"
    assert answer.took > 1


def test_an_answer_that_trickles_for_too_long_is_left(ruled):
    answer = ruled.chat("[[openai:stall_after=1]]", "fast")
    assert answer["x-waypost-provider"] == "claude" and 4.9 < answer.took < 5 + BUSY_SECONDS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_total_time_caps_all_attempts_together(ruled, stream):
    answer = ruled.chat("[[*:silent]]", "capped", stream=stream)
    assert answer.status == 504, answer
    # Two whole attempts would take eight seconds.
    assert 4.9 < answer.took < 7.9 and answer["x-waypost-attempts"] == "2"
    assert "openai/gpt-4o" in answer.error["message"]


def test_idle_is_a_rules_own(ruled):
    text = "some words[[openai:chunks=6,slow_chunks=0.05,stall_after=2]]"
    for model, least, most in (("idle", 0.9, 1 + BUSY_SECONDS), ("patient", 2.9, 3 + BUSY_SECONDS)):
        cut = ruled.chat(text, model, stream=True)
        assert cut.text and b"[DONE]" not in cut.body
        assert least < cut.took < most, cut.took


def test_the_total_time_does_not_pass_for_a_whole_stream(ruled):
    """A stream that outlasts `total` is cut, never ended as if it were complete."""
    answer = ruled.chat("some words[[openai:chunks=40,slow_chunks=0.1]]", "short", stream=True)
    assert answer.status == 200 and 1.3 < answer.took < 3.9, answer
    assert answer.text and b"[DONE]" not in answer.body
    assert answer.ending in ("cut", "reset") or set(answer.events()[-1]) == {"error"}


@pytest.mark.parametrize("may", [["models"], []], ids=["allowed", "not-allowed"])
def test_a_list_of_models_is_for_the_gateway_and_no_provider_sees_it(start, may):
    """The fakes refuse what their real ones do not know; another provider would follow the list itself, around the rules."""

    def build(fakes):
        providers = {
            "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}, "text-embedding-3-small": {}}},
            "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"claude-haiku-4-5": {}}},
        }
        clusters = [
            Cluster("openai", "openai", f"127.0.0.1:{fakes.ports['openai'][0]}"),
            Cluster("claude", "claude", f"127.0.0.1:{fakes.ports['anthropic'][0]}", key="ANTHROPIC_API_KEY"),
        ]
        return configuration({"providers": providers} | ({"clients_may": may} if may else {}), clusters)

    made = start(build)
    for models in (["claude-haiku-4-5"], [], None):
        for stream in (False, True):
            answer = made.chat(models=models, stream=stream)
            assert (answer.status, answer["x-waypost-provider"]) == (200, "openai"), answer
    body = {"models": ["text-embedding-3-small"], "model": "text-embedding-3-small", "input": "hi"}
    assert made.ask("POST", "/v1/embeddings", json.dumps(body).encode()).status == 200
    answer = made.chat("[[openai:status=503]]", models=["claude-haiku-4-5"])
    assert answer.status == (200 if may else 503), answer
    warned = "models is ignored" in (answer.get("x-waypost-warnings") or "")
    assert warned == (not may), answer
    for port in made.fakes.all:
        for one in made.fakes.requests(port):
            assert "models" not in json.loads(one["body"])
