"""Everything at once, from a fixed seed: no request is lost, nothing is left behind."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import Connection, request
from gateway import Cluster, configuration, stage

pytestmark = pytest.mark.alone

REQUESTS = 600
AT_ONCE = 48
BEFORE_CONTENT = [
    "status=429", "status=500", "status=503", "status=529", "status=401", "reset", "refuse", "error_first",
    "malformed", "html200", "empty200", "wrong_shape", "gzip", "silent", "silent_after_headers", "quota",
    "status=503,huge_error=100000", "slow=0.05,status=503",
]  # fmt: skip
AFTER_CONTENT = ["error_after=1", "cut_after=1", "stall_after=1", "end_after=1", "malformed_after=1"]
HARMLESS = ["bytewise", "crlf", "comments", "trailers", "slow=0.1", "chunks=8,slow_chunks=0.02", "many_headers=20"]


@pytest.fixture(scope="module")
def wild():
    """Four candidates; only the last is never at fault."""

    def build(fakes):
        (a, c), (b, d) = fakes.ports["openai"], fakes.ports["anthropic"]
        candidates = [("a", "openai", a), ("b", "anthropic", b), ("c", "openai", c), ("d", "anthropic", d)]
        models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
        keys = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
        gateway = {
            # Far above what a busy machine adds, so that only what is silent runs into it.
            "timeouts": {"first_token": "3s", "answer": "3s", "idle": "3s", "total": "60s"},
            "providers": {
                name: {"api": api, "endpoints": [{"cluster": name}], "models": {models[api]: {}}}
                for name, api, _ in candidates
            },
            "rules": [{"name": "all", "targets": [f"{name}/{models[api]}" for name, api, _ in candidates]}],
        }
        clusters = [
            Cluster(name, name, f"127.0.0.1:{port}", keys[api]) for name, api, port in candidates
        ]
        return configuration(gateway, clusters)

    with stage(build, openai=2, anthropic=2) as made:
        yield made


def one(made, seed):
    """A random request; gives what is wrong with its answer, or nothing."""
    dice = random.Random(seed)
    ports = made.fakes.ports
    faults = {port: dice.choice(BEFORE_CONTENT) for port in (ports["openai"][0], ports["anthropic"][0], ports["openai"][1]) if dice.random() < 0.6}
    stream, leaves = dice.random() < 0.5, dice.random() < 0.25
    ends_badly = stream and not leaves and dice.random() < 0.2
    last = dice.choice(AFTER_CONTENT) + ",chunks=4,slow_chunks=0.02" if ends_badly else dice.choice(HARMLESS)
    for port in made.fakes.all:
        faults.setdefault(port, last)
    marks = "".join(f"[[{port}:{fault}]]" for port, fault in faults.items())
    text = f"seed {seed} " + "x" * dice.choice([10, 1_000, 30_000, 200_000]) + marks
    body = request(text, "gpt-4o", stream=stream, max_tokens=30)
    with Connection(made.port, 60) as connection:
        connection.send_request("POST", "/v1/chat/completions", body, chunk=dice.choice([None, None, 7_000]))
        if leaves:
            time.sleep(dice.random() * 0.3)
            return None
        answer = connection.receive()
    if ends_badly and answer.status >= 400 and answer.error["message"]:
        # On a busy machine the error came in the same bytes as the first content.
        return None
    if answer.status != 200:
        return f"{seed}: {answer}"
    if not answer.text.startswith("Hello from "):
        return f"{seed}: no content: {answer}"
    if ends_badly:
        told = answer.ending != "complete" or set(answer.events()[-1]) == {"error"}
        return None if told and b"[DONE]" not in answer.body else f"{seed}: {last} looks whole: {answer}"
    if f"You said: seed {seed} " not in answer.text:
        return f"{seed}: another's content? {answer}"
    whole = answer.ending == "complete" and (not stream or answer.events()[-1] == "[DONE]")
    return None if whole else f"{seed}: {answer}"


def test_no_request_of_a_wild_crowd_is_lost_and_nothing_is_left_behind(wild):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [fault for fault in pool.map(lambda seed: one(wild, seed), range(REQUESTS)) if fault]
    assert wrong == [], (len(wrong), wrong[:3])
    deadline = time.monotonic() + 12
    while any(wild.gateway.stats("http.gateway.downstream_rq_active").values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for name, value in wild.gateway.stats("cluster.").items():
        assert value == 0 or not name.endswith(("rq_active", "rq_pending_active", "overflow")), (name, value)
    for port in wild.fakes.all:
        assert wild.fakes.idle(port)
    # And it still works.
    for stream in (False, True):
        assert wild.chat(stream=stream).status == 200
