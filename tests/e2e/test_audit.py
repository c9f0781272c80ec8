"""The audit log of an Envoy with two workers: every kind of request leaves one record that the schema knows, with what it used and
where its time went, and without what it must not hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest
from arena import until
from client import CLIENT_KEY, Connection, Response, request
from gateway import KEYS, ROOT, Cluster, Stage, configuration, stage

CHAT = "/v1/chat/completions"
SHORT = [
    "request_id", "route", "provider_chosen", "model", "fallback_used", "cache_hit",
    "input_tokens", "output_tokens", "latency_ms", "cost_usd",
]  # fmt: skip
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/audit.schema.json").read_text(encoding="utf-8")))

PRIVATE = {
    "email": "jane.doe@example.com",
    "phone": "+49 30 901820",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ssn": "078-05-1120",
    "ip": "203.0.113.77",
    "key": "sk-proj-0123456789abcdefABCDEF",
    "employee": "EMP-123456",
}


def audited(audit: dict[str, Any] | None = None) -> Callable[[Any], dict[str, Any]]:
    def build(fakes: Any) -> dict[str, Any]:
        first, second = fakes.all
        gateway = {
            "identity": [{"headers": {"tenant": "x-tenant", "user": "x-user"}}],
            "loopback": "waypost_loopback",
            "timeouts": {"answer": "5s", "first_token": "5s"},
            "tenants": {
                "search": {"team": "discovery", "tier": "gold"},
                "limited": {"limits": {"requests_per_day": 1}},
                "broke": {"budget": {"usd_per_day": 0.000001}},
            },
            "teams": {"discovery": {}},
            "tiers": {"gold": {}},
            "providers": {
                "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}, "text-embedding-3-small": {}}},
                "claude": {"api": "anthropic", "endpoints": [{"cluster": "anthropic"}], "models": {"claude-haiku-4-5": {}}},
                "free": {"api": "openai", "endpoints": [{"cluster": "free"}], "models": {"nobody-knows": {}}},
            },
            "rules": [
                {"name": "all", "when": {"model": "all"}, "targets": ["openai/gpt-4o", "claude/claude-haiku-4-5"]},
                {"name": "nobody", "when": {"model": "nobody"}, "targets": ["free/nobody-knows"]},
                {"name": "copied", "when": {"model": "copied"}, "targets": ["openai/gpt-4o"],
                    "mirror": {"target": "claude/claude-haiku-4-5", "share": "100%"}},
                {"name": "vectors", "when": {"model": "text-*"}, "targets": ["openai/text-embedding-3-small"]},
            ],
        }  # fmt: skip
        clusters = [
            Cluster("openai", "openai", f"127.0.0.1:{first}"),
            Cluster("anthropic", "claude", f"127.0.0.1:{second}", "ANTHROPIC_API_KEY"),
            Cluster("free", "free", f"127.0.0.1:{first}"),
        ]
        return configuration(gateway | ({"audit": audit} if audit else {}), clusters)

    return build


@pytest.fixture(scope="module")
def plain() -> Iterator[Stage]:
    with stage(audited()) as made:
        yield made


@pytest.fixture(scope="module")
def telling() -> Iterator[Stage]:
    redact = [kind for kind in PRIVATE if kind != "employee"] + [{"name": "employee", "pattern": "EMP-######"}]
    with stage(audited({"prompts": True, "answers": True, "redact": redact, "max_content": "2KiB"})) as made:
        yield made


@pytest.fixture(autouse=True)
def valid(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did: each record is one that the schema knows, has the short form, and no secret in it."""
    made = [request.getfixturevalue(name) for name in ("plain", "telling") if name in request.fixturenames]
    for one in made:
        one.fakes.reset()
    yield
    for one in made:
        one.gateway.forgive()
        for record in one.gateway.audit_log():
            faults = [f"{fault.json_path}: {fault.message}" for fault in SCHEMA.iter_errors(record)]
            assert not faults, f"{faults}\n{record}"
            assert all(name in record for name in SHORT)
        written = (one.gateway.directory / "audit.log").read_text(encoding="utf-8")
        for secret in [*KEYS.values(), CLIENT_KEY, "cookie-of-the-client"]:
            assert secret not in written


def as_tenant(tenant: str = "search", user: str = "u-1") -> dict[str, str]:
    return {"x-tenant": tenant, "x-user": user, "cookie": "session=cookie-of-the-client"}


def recorded(made: Stage, answer: Response) -> dict[str, Any]:
    record = made.gateway.audited(answer["x-request-id"])
    parts = record["timings"]
    times = parts["upload_ms"] + parts["gateway_us"] / 1000 + parts["network_ms"] + parts["inference_ms"]
    assert record["latency_ms"] - 1 <= times + 4 and times <= record["latency_ms"] + 1, record
    return record


@STREAM
def test_an_answer_is_recorded_with_whose_it_is_and_what_it_used(plain: Stage, stream: bool) -> None:
    before = time.time()
    answer = plain.chat("what is it?", "all", headers=as_tenant(), stream=stream)
    record = recorded(plain, answer)
    assert answer.status == record["status"] == 200
    assert [record[name] for name in ("v", "tenant", "team", "tier", "user", "proof")] == [2, "search", "discovery", "gold", "u-1", "headers"]
    assert (record["route"], record["requested_model"], record["operation"], record["stream"]) == ("all", "all", "chat", stream)
    assert (record["provider_chosen"], record["model"], record["fallback_used"]) == ("openai", "gpt-4o", False)
    assert record["time"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before - 1))
    assert record["request_bytes"] == len(request("what is it?", "all", stream=stream))
    assert record["answer_bytes"] == len(answer.body)
    (attempt,) = record["attempts"]
    assert (attempt["endpoint"], attempt["rule"], attempt["outcome"], attempt["key_id"]) == ("openai", "all", "answered", "OPENAI_API_KEY")
    assert attempt["provider_request_id"] and attempt["connect_ms"] >= 0
    assert record["input_tokens"] == attempt["input_tokens"] > 0 < record["output_tokens"]
    assert record["cost_usd"] == attempt["cost_usd"] > 0 and "estimated" not in record
    assert ("first_token_ms" in attempt) == ("first_token_ms" in record["timings"]) == stream
    assert record["timings"]["gateway_us"] > 0
    assert not {"prompt", "answer", "refused", "cut", "left_out"} & record.keys()


def test_time_is_told_apart(plain: Stage) -> None:
    answer = plain.chat("hi [[*:slow=1]]", "all", headers=as_tenant())
    record = recorded(plain, answer)
    assert record["latency_ms"] >= record["timings"]["inference_ms"] >= 950
    assert record["timings"]["gateway_us"] < 900_000


@STREAM
def test_each_attempt_of_a_failover_is_recorded_and_paid_for_where_it_was(plain: Stage, stream: bool) -> None:
    plain.fakes.set(plain.fakes.all[0], "status=503")
    record = recorded(plain, plain.chat("hi", "all", headers=as_tenant(), stream=stream))
    first, second = record["attempts"]
    assert (first["provider"], first["outcome"], first["status"], first["class"]) == ("openai", "failed", 503, "overloaded")
    assert (second["provider"], second["outcome"], second["key_id"]) == ("claude", "answered", "ANTHROPIC_API_KEY")
    assert (record["provider_chosen"], record["model"], record["fallback_used"]) == ("claude", "claude-haiku-4-5", True)
    assert record["cost_usd"] == second["cost_usd"] and "cost_usd" not in first


def test_without_a_price_the_cost_is_not_zero_but_unknown(plain: Stage) -> None:
    record = recorded(plain, plain.chat("hi", "nobody", headers=as_tenant()))
    assert record["cost_usd"] is None and record["unpriced"] and record["input_tokens"] > 0


def test_vectors_and_lists_are_recorded(plain: Stage) -> None:
    body = json.dumps({"model": "text-embedding-3-small", "input": "x"}).encode()
    headers = as_tenant() | {"content-type": "application/json"}
    record = recorded(plain, plain.ask("POST", "/v1/embeddings", body, headers=headers))
    assert (record["operation"], record["model"], record["output_tokens"]) == ("embeddings", "text-embedding-3-small", 0)
    listed = plain.ask("GET", "/v1/models", headers=as_tenant())
    record = recorded(plain, listed)
    assert (record["operation"], record["status"], record["answer_bytes"]) == ("models", 200, len(listed.body))
    assert record["tenant"] == "search" and "attempts" not in record


REFUSED = {
    "401": (lambda made: made.chat("hi", "all"), 401, {}),
    "404": (lambda made: made.ask("POST", "/v1/nothing", b"{}", headers=as_tenant()), 404, {"code": "unknown_url"}),
    "400": (lambda made: made.ask("POST", CHAT, b"{", headers=as_tenant()), 400, {}),
    "403": (lambda made: made.chat("hi", "all", headers=as_tenant("not-listed")), 403, {}),
    "402": (lambda made: made.chat("hi", "all", headers=as_tenant("broke")), 402, {}),
    "413": (lambda made: made.ask("POST", CHAT, headers=as_tenant() | {"content-length": str(40 << 20)}), 413, {}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_recorded_with_why(plain: Stage, kind: str) -> None:
    ask, status, told = REFUSED[kind]
    answer = ask(plain)
    assert answer.status == status
    record = recorded(plain, answer)
    assert record["status"] == record["refused"]["status"] == answer.status
    assert told.items() <= record["refused"].items()
    assert (record["cost_usd"], record["provider_chosen"]) == (0, None)
    assert record.get("tenant") == {"401": None, "402": "broke", "403": None}.get(kind, "search")
    assert record["answer_bytes"] == len(answer.body)


def test_a_limit_that_is_used_up_is_named(plain: Stage) -> None:
    answers = [plain.chat("hi", "all", headers=as_tenant("limited")) for _ in range(2)]
    assert [one.status for one in answers] == [200, 429]
    record = recorded(plain, answers[1])
    assert (record["tenant"], record["requested_model"], record["refused"]["limit"]) == ("limited", "all", "requests_per_day")


def last(made: Stage, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The newest record of which something holds, once there is one."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [record for record in made.gateway.audit_log() if holds(record)]
        return bool(found)

    until(there, 10)
    return found[-1]


def test_a_client_that_leaves_is_recorded_in_each_phase(plain: Stage) -> None:
    headers = {"content-type": "application/json"}
    plain.fakes.set(plain.fakes.all[0], "silent")
    with Connection(plain.port) as connection:
        connection.send_request("POST", CHAT, request("silent", "all"), headers | as_tenant(user="waits"))
        until(lambda: plain.fakes.state(plain.fakes.all[0])["in_flight"], 5)
    record = last(plain, lambda record: record.get("user") == "waits")
    assert "status" not in record and record["attempts"][0]["outcome"] == "unfinished"
    assert record["estimated"] and record["cost_usd"] > 0
    plain.fakes.reset()
    text = "hi [[*:slow_chunks=0.3,chunks=40]]"
    with Connection(plain.port) as connection:
        connection.send_request("POST", CHAT, request(text, "all", stream=True), headers | as_tenant(user="reads"))
        assert b"200 OK" in connection.socket.recv(1000)
        until(lambda: b"data: " in connection.socket.recv(10000), 5)
    record = last(plain, lambda record: record.get("user") == "reads")
    assert (record["status"], record["attempts"][0]["outcome"], record["estimated"]) == (200, "unfinished", True)
    assert 0 < record["answer_bytes"] and record["output_tokens"] >= 0


def test_a_stream_that_is_cut_is_recorded_as_a_failure_with_its_status(plain: Stage) -> None:
    plain.fakes.set(plain.fakes.all[0], "cut_after=3")
    record = recorded(plain, plain.chat("hi", "all", headers=as_tenant(), stream=True))
    (attempt,) = record["attempts"]
    assert (record["status"], attempt["outcome"], record["estimated"]) == (200, "failed", True)
    assert attempt["first_token_ms"] <= attempt["ms"]


def test_a_copy_is_recorded_with_whose_copy_it_is(plain: Stage) -> None:
    answer = plain.chat("hi", "copied", headers=as_tenant())
    copy = last(plain, lambda record: record.get("mirror_of") == answer["x-request-id"])
    assert (copy["purpose"], copy["proof"], copy["provider_chosen"]) == ("mirror", "gateway", "claude")
    assert "mirror_of" not in recorded(plain, answer)


def test_every_request_of_many_has_one_record(plain: Stage) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: plain.chat(f"{n}", "all", headers=as_tenant(user=f"many-{n}"), stream=n % 2 == 0), range(120)))
    ids = [one["x-request-id"] for one in answers]

    def all_there() -> bool:
        logged = [record["request_id"] for record in plain.gateway.audit_log()]
        return all(logged.count(one) == 1 for one in ids)

    until(all_there, 10)


def test_texts_of_a_client_cannot_break_the_line(plain: Stage) -> None:
    before = len(plain.gateway.audit_log())
    hostile = '\n{"v":2,"tenant":"other"}\r\n\u2028\u0085\u0000"\\'
    body = json.dumps({"model": "all", "messages": [{"role": "user", "content": "x"}], "user": hostile * 400, "n": hostile})
    for model in ("all", hostile, hostile * 9000):
        for text in (body.replace('"all"', json.dumps(model)), body.replace(', "n": ' + json.dumps(hostile), "").replace('"all"', json.dumps(model) )):
            plain.ask("POST", CHAT, text.replace("\\u2028", "\\ud800").encode(), headers=as_tenant() | {"content-type": "application/json"})
    until(lambda: len(plain.gateway.audit_log()) == before + 6, 10)
    for record in plain.gateway.audit_log()[before:]:
        assert record["tenant"] == "search" and len(json.dumps(record)) < 16 << 10


@STREAM
def test_prompt_and_answer_are_recorded_without_what_is_private(telling: Stage, stream: bool) -> None:
    text = "; ".join(f"{name} {value}" for name, value in PRIVATE.items())
    answer = telling.chat(text, "all", headers=as_tenant(), stream=stream)
    assert answer.status == 200
    record = recorded(telling, answer)
    shown = "; ".join(f"{name} [{name}]" for name in PRIVATE)
    assert record["prompt"] == [{"role": "user", "text": shown}]
    ((role, said),) = [(one["role"], one["text"]) for one in record["answer"]]
    assert role == "assistant" and said.startswith("Hello from openai") and shown in said
    written = (telling.gateway.directory / "audit.log").read_text(encoding="utf-8")
    assert not any(value in written for value in PRIVATE.values())


@STREAM
def test_a_long_prompt_is_cut_and_the_newest_of_it_kept(telling: Stage, stream: bool) -> None:
    messages = [{"role": "user", "content": f"{n} {'x' * 300} \u0001"} for n in range(200)]
    answer = telling.chat(model="all", headers=as_tenant(), stream=stream, messages=[*messages, {"role": "user", "content": "the newest"}])
    record = recorded(telling, answer)
    assert record["prompt"][-1]["text"] == "the newest" and record["prompt"][-2]["text"].startswith("199 ")
    assert record["cut"] == ["prompt"] and len(json.dumps(record["prompt"], separators=(",", ":"))) <= 2048


def test_a_refusal_of_a_provider_is_recorded_without_what_is_private(telling: Stage) -> None:
    answer = telling.ask(
        "POST", "/v1/embeddings", json.dumps({"model": "text-embedding-3-small", "input": [PRIVATE["email"], "b"]}).encode(),
        headers=as_tenant() | {"content-type": "application/json"},
    )  # fmt: skip
    record = recorded(telling, answer)
    assert record["prompt"] == [{"role": "input", "text": "[email]\nb"}] and "answer" not in record
