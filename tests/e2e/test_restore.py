"""Budgets outlive an Envoy that is killed: a snapshot of what was spent is made of its audit log, and handed to the next one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from client import Response, ask
from gateway import ROOT, Cluster, Fakes, Gateway, Stage, configuration
from test_prices import hash_of

PUSH_KEY = "wp-restore-what-was-spent"

PRICE = {"input_usd_per_mtok": 0, "output_usd_per_mtok": 10000}
"""A cent for a token of output."""

TOKENS = 10
"""Of each answer here."""

SPENT_BEFORE = {"small": 2, "roomy": 3, "users": 1, "mate": 1, "free": 1}
"""How many answers each tenant got of the first Envoy. Where one more would be too dear, it is refused."""

MAX_SNAPSHOT = 4 << 20


def build(fakes: Fakes) -> dict[str, Any]:
    # Noon, or nearly: no day ends while the test runs.
    hours = 12 - time.gmtime().tm_hour
    gateway = {
        "identity": [{"headers": {"tenant": "x-tenant", "user": "x-user"}}],
        "time_zone": f"{hours:+03d}:00",
        "tenants": {
            "small": {"budget": {"usd_per_day": 0.25}},
            "roomy": {"budget": {"usd_per_day": 100}},
            "users": {"each_user": {"budget": {"usd_per_day": 0.15}}},
            "mate": {"team": "crew"},
            "free": {},
        },
        "teams": {"crew": {"budget": {"usd_per_month": 0.15}}},
        "budgets": {"push": {"key": hash_of(PUSH_KEY)}},
        "providers": {
            "openai": {
                "api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {"price": PRICE}},
                "budget": {"usd_per_day": 100},
            },
        },
    }  # fmt: skip

    def change(config: dict[str, Any]) -> None:
        [status] = [one for one in config["static_resources"]["listeners"] if one["name"] == "status"]
        status["per_connection_buffer_limit_bytes"] = MAX_SNAPSHOT + (1 << 20)

    address = f"127.0.0.1:{fakes.ports['openai'][0]}"
    return configuration(gateway, [Cluster("openai", "openai", address)], change)


def asks(stage: Stage, tenant: str, user: str = "ann") -> Response:
    return stage.chat(
        "one two three four five six seven eight nine ten",
        headers={"x-tenant": tenant, "x-user": user},
        max_tokens=TOKENS,
    )


def push(stage: Stage, body: bytes, key: str = PUSH_KEY) -> Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return ask(stage.gateway.status_port, "POST", "/waypost/budgets", body, headers)


def snapshot(config: Path, *logs: Path) -> bytes:
    program = os.environ.get("WAYPOST") or ROOT / "target/release/waypost"
    command = [program, "usage", "--snapshot", "--strict", "--config", config, *logs]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def spends(stage: Stage, tenant: str) -> None:
    answer = asks(stage, tenant)
    assert answer.status == 200, answer
    record = stage.gateway.audited(answer["x-request-id"])
    assert record["cost_usd"] == pytest.approx(TOKENS / 100)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Path, Path]]:
    """An Envoy that was started after another one was killed, the log of that one, and the configuration of both."""
    kept = tmp_path_factory.mktemp("killed")
    fakes = Fakes(openai=1, anthropic=0)
    config = build(fakes)
    first = Gateway(config)
    try:
        stage = Stage(first, fakes)
        for tenant, count in SPENT_BEFORE.items():
            for _ in range(count):
                spends(stage, tenant)
        for tenant in ("small", "users", "mate"):
            assert asks(stage, tenant).status == 402, tenant
        first.expects_trouble = True
        first._process.kill()
        first._process.wait()
        for name in ("audit.log", "envoy.json"):
            (kept / name).write_bytes((first.directory / name).read_bytes())
    finally:
        first.stop()
    second = Gateway(config)
    try:
        yield Stage(second, fakes), kept / "audit.log", kept / "envoy.json"
    finally:
        second.stop()
        fakes.stop()


def test_an_envoy_that_was_killed_hands_over_what_was_spent(killed: tuple[Stage, Path, Path]) -> None:
    stage, before, config = killed
    # Nothing is known yet; what is spent meanwhile counts, too.
    spends(stage, "small")
    both = snapshot(config, before, stage.gateway.directory / "audit.log")
    spent = {(one["kind"], one["name"]): one["month_nano_usd"] for one in json.loads(both)["accounts"]}
    answer = TOKENS * 10_000_000
    assert spent == {
        ("tenant", "small"): 3 * answer, ("tenant", "roomy"): 3 * answer, ("team", "crew"): answer,
        ("user", "ann"): answer, ("provider", "openai"): (sum(SPENT_BEFORE.values()) + 1) * answer,
    }  # fmt: skip
    # The second time nothing is added.
    for _ in range(2):
        told = push(stage, both)
        assert (told.status, told.json()) == (200, {"accounts": 5, "unknown": 0, "past": 0, "failed": 0})
    with ThreadPoolExecutor(8) as pool:
        for tenant in ("small", "users", "mate"):
            answers = list(pool.map(lambda _, tenant=tenant: asks(stage, tenant), range(8)))
            assert {one.status for one in answers} == {402}, tenant
    for tenant, user in (("roomy", "ann"), ("free", "ann"), ("users", "bob")):
        assert asks(stage, tenant, user).status == 200, (tenant, user)


def test_only_who_has_the_key_may_and_only_a_snapshot(killed: tuple[Stage, Path, Path]) -> None:
    stage, *_ = killed
    whole = b'{"version":1,"accounts":[]}'
    for key in ("", "wp-another-key", PUSH_KEY[:-1]):
        refused = push(stage, whole, key)
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key"), key
    for body in (b"", b"{}", b"garbage", whole[:-1], b'{"version":2,"accounts":[]}'):
        refused = push(stage, body)
        assert (refused.status, refused.error["code"]) == (400, "invalid_snapshot"), body
    assert push(stage, whole.ljust(MAX_SNAPSHOT)).status == 200
    assert push(stage, whole.ljust(MAX_SNAPSHOT + 1)).status == 413
    assert ask(stage.gateway.status_port, "GET", "/waypost/status").status == 200
