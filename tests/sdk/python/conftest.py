"""The official client before a real Envoy, and every provider behind it. Every request that reaches a fake is held
against the types of that provider's own client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from everyone import PROVIDERS, Provider, everyone
from gateway import Stage
from official import check_received

ALL = list(PROVIDERS.values())
SOME = [PROVIDERS[name] for name in ("openai", "anthropic", "gemini", "bedrock")]
"""One of each kind of wire, for what takes long."""


@pytest.fixture(scope="session")
def shared() -> Iterator[Stage]:
    with everyone() as made:
        yield made


@pytest.fixture
def here(shared: Stage) -> Iterator[Stage]:
    """The gateway and its fakes, which have seen nothing. Afterwards: what did they see?"""
    shared.fakes.reset()
    yield shared
    faults = [
        f"{api} {received['path']}: {fault}\n{received['body'][:2000]}"
        for api, [port] in shared.fakes.ports.items()
        for received in shared.fakes.requests(port)
        for fault in check_received(api, received)
    ]
    assert not faults, "\n".join(faults)
    assert shared.gateway.trouble() == []


@pytest.fixture(params=ALL, ids=lambda provider: provider.name)
def behind(request: pytest.FixtureRequest) -> Provider:
    """Who answers. A test that names its own few does so with `parametrize`."""
    return request.param


@pytest.fixture
def model(behind: Provider) -> str:
    return behind.asked


def options(stage: Stage) -> dict[str, Any]:
    return {
        "base_url": f"http://127.0.0.1:{stage.port}/v1",
        "api_key": "sk-client",
        "max_retries": 0,
        "timeout": 10,
    }


@pytest.fixture(scope="session")
def lasting(shared: Stage) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options(shared)) as made:
        yield made


@pytest.fixture
def client(here: Stage, lasting: openai.OpenAI) -> openai.OpenAI:
    """One for all tests: to make it takes longer than to ask."""
    return lasting


@pytest.fixture
def port(here: Stage, behind: Provider) -> int:
    """Where the fake listens."""
    [port] = here.fakes.ports[behind.fake]
    return port


@pytest.fixture
def last(here: Stage, port: int) -> Callable[[], Any]:
    """Gives the body of the last request that the provider got."""
    return lambda: json.loads(here.fakes.last(port)["body"])
