"""Six candidates of two dialects: whatever one of them does wrong, the next one answers."""

from __future__ import annotations

import pytest
from client import BUSY_SECONDS
from gateway import Cluster, closed_port, configuration, stage

CANDIDATES = [
    ("a", "openai", "gpt-4o"),
    ("b", "anthropic", "claude-sonnet-4-5"),
    ("c", "openai", "gpt-4o-mini"),
    ("d", "anthropic", "claude-haiku-4-5"),
    ("e", "openai", "gpt-4o"),
    ("f", "anthropic", "claude-sonnet-4-5"),
]
"""Name, dialect and model of each, in the order in which the rule `chain` asks them."""

BY_STATUS = [f"status={status}" for status in (301, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529)]
REFUSALS = [*BY_STATUS, "quota", "billing", "status=500,huge_error=300000", "status=503,gzip"]
NO_ANSWERS = [
    "refuse", "reset", "error_first", "malformed", "html200", "empty200", "wrong_shape", "gzip",
]  # fmt: skip
ONLY_WHOLE = ["content_length_lie=64", "content_length_lie=-20", "cut_after=1"]
ONLY_STREAMED = [
    "end_after=0", "cut_after=0", "error_after=0", "malformed,trailers",
]  # fmt: skip
SILENCES = ["silent", "silent_after_headers", "stall_after=0"]


@pytest.fixture(scope="module")
def six():
    """The candidates, and rules over them that a request chooses by its model."""
    with closed_port() as closed:

        def build(fakes):
            ports = {"openai": iter(fakes.ports["openai"]), "anthropic": iter(fakes.ports["anthropic"])}
            keys = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
            providers, clusters = {}, []

            def add(name, dialect, models, address, **more):
                providers[name] = {"api": dialect, "endpoints": [{"cluster": f"at-{name}"}], "models": models}
                clusters.append(Cluster(f"at-{name}", name, address, keys[dialect], **more))

            for name, dialect, model in CANDIDATES:
                add(name, dialect, {model: {}}, f"127.0.0.1:{next(ports[dialect])}")
            providers["a"]["models"]["same-window"] = {"context_window": 128000}
            providers["a"]["models"]["smaller-window"] = {"context_window": 1000}
            add("closed", "openai", {"gpt-4o": {}}, f"127.0.0.1:{closed}")
            add("shut", "anthropic", {"claude-sonnet-4-5": {}}, f"127.0.0.1:{closed}")
            add("nowhere", "openai", {"gpt-4o": {}}, "nowhere.invalid:443")
            targets = [f"{name}/{model}" for name, _, model in CANDIDATES]
            quick = {"first_token": "500ms", "answer": "500ms", "idle": "20s", "total": "20s"}

            def rule(name, targets, **more):
                return {"name": name, "when": {"model": name}, "targets": targets} | more

            gateway = {
                "providers": providers,
                "rules": [
                    rule("chain", targets),
                    rule("from-b", targets[1:]),
                    rule("quick", targets, timeouts=quick),
                    rule("quick-from-b", targets[1:], timeouts=quick),
                    rule("a-then-b", targets[:2]),
                    rule("only-a", ["a/gpt-4o"]),
                    rule("only-b", ["b/claude-sonnet-4-5"]),
                    rule("windows", ["a/gpt-4o", "a/smaller-window", "a/same-window", "c/gpt-4o-mini", "b/claude-sonnet-4-5"]),
                    rule("no-window", ["a/gpt-4o", "a/smaller-window", "c/gpt-4o-mini"]),
                    rule("closed-first", ["closed/gpt-4o", *targets[1:]]),
                    rule("nowhere-first", ["nowhere/gpt-4o", *targets[1:]]),
                    rule("all-out", ["closed/gpt-4o", "shut/claude-sonnet-4-5", "nowhere/gpt-4o"]),
                    rule("last-out", ["a/gpt-4o", "b/claude-sonnet-4-5", "closed/gpt-4o"]),
                    rule("out-then-a", ["closed/gpt-4o", "shut/claude-sonnet-4-5", "nowhere/gpt-4o", "c/gpt-4o-mini", "a/gpt-4o"]),
                ],
            }  # fmt: skip
            return configuration(gateway, clusters)

        with stage(build, openai=3, anthropic=3) as made:
            made.at = dict(zip("abcdef", (p for pair in zip(*made.fakes.ports.values()) for p in pair)))
            yield made


@pytest.fixture(autouse=True)
def unseen(six):
    six.fakes.reset()


def failing(six, faults):
    """A text that makes some candidates fail: `{"a": "status=503"}`."""
    return "hi " + " ".join(f"[[{six.at[name]}:{fault}]]" for name, fault in faults.items())


def asked(six):
    """How many requests each candidate has had."""
    return {name: six.fakes.state(port)["requests"] for name, port in six.at.items()}


def check_answered_by(answer, name, attempts, rule):
    _, dialect, model = next(one for one in CANDIDATES if one[0] == name)
    assert answer.status == 200 and answer.ending == "complete", answer
    assert answer.text.startswith(f"Hello from {dialect} ({model}"), answer
    told = [answer[f"x-waypost-{what}"] for what in ("provider", "model", "attempts", "rule")]
    assert told == [name, model, str(attempts), rule]
    assert answer.get("x-waypost-failover") is None
    if answer["content-type"].startswith("text/event-stream"):
        assert answer.events()[-1] == "[DONE]"
        assert answer.events()[0]["choices"][0]["delta"].get("role") == "assistant"


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
DIALECT = pytest.mark.parametrize(
    ("rule", "first", "second"), [("chain", "a", "b"), ("from-b", "b", "c")], ids=["openai", "anthropic"]
)


# One candidate fails


@STREAM
@DIALECT
@pytest.mark.parametrize("fault", REFUSALS + NO_ANSWERS)
def test_the_next_candidate_answers_after(six, fault, rule, first, second, stream):
    answer = six.chat(failing(six, {first: fault}), rule, stream=stream)
    check_answered_by(answer, second, 2, rule)
    seen = asked(six)
    assert seen.pop(first) == 1 and seen.pop(second) == 1 and not any(seen.values())


@DIALECT
@pytest.mark.parametrize("fault", ONLY_WHOLE)
def test_the_next_candidate_answers_after_a_broken_whole_answer(six, fault, rule, first, second):
    check_answered_by(six.chat(failing(six, {first: fault}), rule), second, 2, rule)


@DIALECT
@pytest.mark.parametrize("fault", ONLY_STREAMED)
def test_the_next_candidate_answers_after_a_broken_start_of_a_stream(six, fault, rule, first, second):
    check_answered_by(six.chat(failing(six, {first: fault}), rule, stream=True), second, 2, rule)


@STREAM
@pytest.mark.parametrize("fault", SILENCES)
@pytest.mark.parametrize(("rule", "first", "second"), [("quick", "a", "b"), ("quick-from-b", "b", "c")])
def test_the_next_candidate_answers_when_one_is_silent_for_too_long(six, fault, rule, first, second, stream):
    answer = six.chat(failing(six, {first: fault}), rule, stream=stream)
    check_answered_by(answer, second, 2, rule)
    assert 0.4 < answer.took < BUSY_SECONDS
    assert six.fakes.idle(six.at[first])


@STREAM
@pytest.mark.parametrize("rule", ["closed-first", "nowhere-first"])
def test_the_next_candidate_answers_when_an_address_is_dead(six, rule, stream):
    answer = six.chat(model=rule, stream=stream)
    check_answered_by(answer, "b", 2, rule)
    assert answer.took < BUSY_SECONDS


@STREAM
def test_an_address_that_refuses_every_connection_is_left(six, stream):
    six.fakes.set(six.at["a"], "refuse")
    check_answered_by(six.chat(model="chain", stream=stream), "b", 2, "chain")


# Many fail


@STREAM
@pytest.mark.parametrize(
    "faults",
    [
        ["status=429", "status=529", "refuse", "error_first", "status=500"],
        ["malformed", "reset", "html200", "status=404", "gzip"],
        ["empty200", "quota", "status=502", "billing", "wrong_shape"],
        ["reset", "reset", "reset", "reset", "reset"],
        ["refuse", "refuse", "refuse", "refuse", "refuse"],
    ],
)
def test_the_last_of_six_answers_after_five_different_failures(six, faults, stream):
    answer = six.chat(failing(six, dict(zip("abcde", faults))), "chain", stream=stream)
    check_answered_by(answer, "f", 6, "chain")
    assert asked(six) == dict.fromkeys("abcdef", 1)


@STREAM
def test_silence_and_failures_in_turn_lead_to_the_one_that_answers(six, stream):
    faults = {"a": "silent", "b": "reset", "c": "silent_after_headers", "d": "status=503"}
    answer = six.chat(failing(six, faults), "quick", stream=stream)
    check_answered_by(answer, "e", 5, "quick")
    assert 0.9 < answer.took < BUSY_SECONDS


@STREAM
def test_dead_addresses_in_a_row_lead_to_the_one_that_answers(six, stream):
    check_answered_by(six.chat(model="out-then-a", stream=stream), "c", 4, "out-then-a")
    answer = six.chat(failing(six, {"c": "status=500"}), "out-then-a", stream=stream)
    check_answered_by(answer, "a", 5, "out-then-a")


@STREAM
def test_a_long_request_is_whole_at_the_sixth_candidate(six, stream):
    text = "x" * 2_000_000 + failing(six, dict.fromkeys("abcde", "status=503"))
    answer = six.chat(text, "chain", stream=stream, max_tokens=10)
    check_answered_by(answer, "f", 6, "chain")
    assert '"' + "x" * 2_000_000 in six.fakes.last(six.at["f"])["body"]


# What is not for another candidate


@STREAM
@DIALECT
@pytest.mark.parametrize(
    ("fault", "status"), [("status=400", 400), ("status=413", 413), ("status=422", 422), ("content_filter", 400)]
)
def test_the_clients_own_fault_is_told_and_nobody_else_is_asked(six, fault, status, rule, first, second, stream):
    answer = six.chat(failing(six, {first: fault}), rule, stream=stream)
    assert answer.status == status, answer
    assert answer.error["type"] == "invalid_request_error"
    assert (answer["x-waypost-attempts"], answer["x-waypost-provider"]) == ("1", first)
    if fault == "content_filter":
        assert answer.error["code"] == "content_filter"
    seen = asked(six)
    assert seen.pop(first) == 1 and not any(seen.values())


@STREAM
def test_a_request_that_is_too_long_goes_to_a_larger_window_only(six, stream):
    answer = six.chat(failing(six, {"a": "context_length"}), "windows", stream=stream)
    check_answered_by(answer, "b", 2, "windows")
    seen = asked(six)
    assert (seen["a"], seen["b"], seen["c"]) == (1, 1, 0)


@STREAM
def test_a_request_too_long_for_the_largest_window_is_told_so(six, stream):
    for model, faults, attempts in (
        ("no-window", {"a": "context_length"}, "1"),
        ("windows", {"a": "context_length", "b": "context_length"}, "2"),
    ):
        answer = six.chat(failing(six, faults), model, stream=stream)
        assert answer.status == 400
        assert (answer.error["code"], answer["x-waypost-attempts"]) == ("context_length_exceeded", attempts)


@STREAM
def test_a_candidate_that_cannot_express_the_request_is_skipped(six, stream):
    """Two answers at once are not to be had from Anthropic's API."""
    answer = six.chat("hi", "from-b", n=2, stream=stream)
    check_answered_by(answer, "c", 1, "from-b")
    answer = six.chat(failing(six, {"a": "status=503"}), "chain", n=2, stream=stream)
    check_answered_by(answer, "c", 2, "chain")
    answer = six.chat(failing(six, {"a": "refuse"}), "chain", n=2, stream=stream)
    check_answered_by(answer, "c", 2, "chain")
    answer = six.chat(failing(six, {"a": "refuse", "c": "refuse"}), "chain", n=2, stream=stream)
    check_answered_by(answer, "e", 3, "chain")
    seen = asked(six)
    assert (seen["b"], seen["d"], seen["f"]) == (0, 0, 0)


@STREAM
def test_a_request_that_nobody_can_express_is_refused_with_the_field(six, stream):
    answer = six.chat("hi", "only-b", n=2, stream=stream)
    assert answer.status == 400
    assert (answer.error["param"], answer.error["code"]) == ("n", "unsupported_parameter")


@STREAM
def test_a_failure_with_none_left_that_can_express_the_request_is_told(six, stream):
    for fault, status in (("status=503", 503), ("status=429", 429), ("refuse", 503), ("reset", 503)):
        answer = six.chat(failing(six, {"a": fault}), "a-then-b", n=2, stream=stream)
        assert answer.status == status, (fault, answer)
        assert answer["x-waypost-attempts"] == "1" and answer.error["message"]
    assert asked(six)["b"] == 0


# Nobody answers


@STREAM
def test_when_all_are_dead_the_error_names_what_was_tried(six, stream):
    answer = six.chat(failing(six, dict.fromkeys("abcdef", "refuse")), "chain", stream=stream)
    assert (answer.status, answer.error["code"]) == (503, "all_candidates_failed")
    for name, _, model in CANDIDATES:
        assert f"{name}/{model}" in answer.error["message"]
    assert (answer["x-waypost-attempts"], answer["x-waypost-rule"]) == ("6", "chain")
    assert asked(six) == dict.fromkeys("abcdef", 1)


@STREAM
def test_when_no_address_can_be_reached_the_error_names_each(six, stream):
    answer = six.chat(model="all-out", stream=stream)
    assert (answer.status, answer.error["code"]) == (503, "all_candidates_failed")
    for target in ("closed/gpt-4o", "shut/claude-sonnet-4-5", "nowhere/gpt-4o"):
        assert target in answer.error["message"]
    assert answer["x-waypost-attempts"] == "3" and answer.took < BUSY_SECONDS


@STREAM
def test_when_the_last_is_dead_the_error_names_the_failures_before_it(six, stream):
    answer = six.chat(failing(six, {"a": "status=500", "b": "status=529"}), "last-out", stream=stream)
    assert (answer.status, answer.error["code"]) == (503, "all_candidates_failed")
    message = answer.error["message"]
    assert "a/gpt-4o: 500" in message and "b/claude-sonnet-4-5: 529" in message and "closed/gpt-4o" in message
    assert answer["x-waypost-attempts"] == "3"


@STREAM
@pytest.mark.parametrize("fault", REFUSALS + NO_ANSWERS)
@pytest.mark.parametrize("rule", ["only-a", "only-b"])
def test_a_failure_of_the_last_candidate_is_told_whole(six, fault, rule, stream):
    """Whatever it was, and with or without a body: an error that arrives, and says something."""
    answer = six.chat(failing(six, {rule[-1]: fault}), rule, stream=stream, timeout=4)
    assert answer.ending == "complete" and 400 <= answer.status < 600, answer
    assert answer.status != 401 and answer.status != 403, "the client's own key is fine"
    message = answer.error["message"]
    assert "�" not in message and len(message) < 1200
    assert (answer["x-waypost-attempts"], answer["x-waypost-rule"]) == ("1", rule)
    assert answer["x-waypost-provider"] == rule[-1] and answer["x-request-id"]


@STREAM
@pytest.mark.parametrize("last", ["a", "b"])
def test_the_last_ones_refusal_and_its_wait_are_passed_on(six, last, stream):
    rule = "a-then-b" if last == "b" else "out-then-a"
    faults = dict.fromkeys("abc", "status=429,retry_after=3") | {last: "status=429,retry_after=7"}
    answer = six.chat(failing(six, faults), rule, stream=stream)
    assert answer.status == 429
    assert answer.error["type"] == "rate_limit_error"
    assert answer["retry-after"] == "7"
    assert answer["x-waypost-provider"] == last


@STREAM
def test_silence_of_all_is_a_504_that_names_them(six, stream):
    answer = six.chat(failing(six, dict.fromkeys("abcdef", "silent")), "quick", stream=stream)
    assert answer.status == 504, answer
    assert all(f"{name}/{model}" in answer.error["message"] for name, _, model in CANDIDATES)
    assert answer["x-waypost-attempts"] == "6" and 2.5 < answer.took < 2.5 + BUSY_SECONDS
    for port in six.at.values():
        assert six.fakes.idle(port)


# The account


@STREAM
def test_the_access_log_counts_every_attempt(six, stream):
    answer = six.chat(failing(six, {"a": "status=503", "b": "reset", "c": "html200"}), "chain", stream=stream)
    check_answered_by(answer, "d", 4, "chain")
    line = six.gateway.logged(answer["x-request-id"])
    assert (line["attempts"], line["cluster"], line["provider"]) == (4, "at-d", "d")


def test_each_candidate_gets_its_own_model_and_path(six):
    six.chat(failing(six, dict.fromkeys("abcde", "status=500")), "chain")
    for name, dialect, model in CANDIDATES:
        last = six.fakes.last(six.at[name])
        assert f'"{model}"' in last["body"] and '"chain"' not in last["body"]
        assert last["path"] == {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[dialect]
