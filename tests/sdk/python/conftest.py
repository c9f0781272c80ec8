"""The official clients before a real Envoy. Every request that reaches the Anthropic fake is held against
the types of Anthropic's own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from anthropic_types import check

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway import Stage  # noqa: E402
from stage import official  # noqa: E402

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}


@pytest.fixture(scope="session")
def shared() -> Iterator[Stage]:
    with official() as made:
        yield made


@pytest.fixture
def here(shared: Stage) -> Iterator[Stage]:
    """The gateway and its fakes, which have seen nothing. Afterwards: what did Anthropic's see?"""
    shared.fakes.reset()
    yield shared
    [port] = shared.fakes.ports["anthropic"]
    for received in shared.fakes.requests(port):
        check(received["body"])
        headers = {name.lower(): value for name, value in received["headers"]}
        assert headers["anthropic-version"] in ("2023-06-01", "2026-10-21")
    assert shared.gateway.trouble() == []


@pytest.fixture(params=["openai", "anthropic"])
def behind(request: pytest.FixtureRequest) -> str:
    """Which kind of provider answers."""
    return request.param


@pytest.fixture
def model(behind: str) -> str:
    return MODELS[behind]


def options(stage: Stage) -> dict[str, Any]:
    return {
        "base_url": f"http://127.0.0.1:{stage.port}/v1",
        "api_key": "sk-client",
        "max_retries": 0,
        "timeout": 10,
    }


@pytest.fixture
def client(here: Stage) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options(here)) as made:
        yield made


@pytest.fixture
def last(here: Stage, behind: str) -> Any:
    """Gives the body of the last request that the provider got."""
    [port] = here.fakes.ports[behind]
    return lambda: json.loads(here.fakes.last(port)["body"])
