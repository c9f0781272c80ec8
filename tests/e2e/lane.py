"""A gateway before a provider that keeps every byte, for tests of what stands on the wire.

`every` and `lane` are fixtures; a file of tests imports both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client import Connection, request
from gateway import Cluster, Gateway, configuration
from recorder import Recorder, anthropic, openai

CHAT = "/v1/chat/completions"
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}


class Lane:
    """A gateway before one recorder that speaks a dialect."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.model = MODELS[dialect]
        self.recorder = Recorder({"openai": openai, "anthropic": anthropic}[dialect])
        gateway: dict[str, Any] = {
            "providers": {
                # What is sent here is longer than what the model could read.
                "p": {
                    "api": dialect,
                    "endpoints": [{"cluster": "p"}],
                    "models": {self.model: {"context_window": 1 << 30}},
                }
            }
        }
        clusters = [Cluster("p", "p", self.recorder.address)]
        # One worker, so that all requests come to one pool of connections.
        self.gateway = Gateway(configuration(gateway, clusters), concurrency=1)
        self.port = self.gateway.port

    def body(self, text: str, **fields: Any) -> bytes:
        return request(text, self.model, **fields)

    def works(self) -> bool:
        """Whether the next request is answered as if nothing had been before it."""
        with Connection(self.port) as connection:
            connection.send_request("POST", CHAT, self.body("still there"))
            return connection.receive().text == "still there"


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def every(request: pytest.FixtureRequest) -> Iterator[Lane]:
    lane = Lane(request.param)
    with lane.recorder:
        yield lane
    lane.gateway.stop()


@pytest.fixture
def lane(every: Lane) -> Lane:
    """A lane whose recorder has seen nothing, and whose provider answers as usual."""
    every.recorder.requests.clear()
    every.recorder.misread.clear()
    every.recorder.bytes = 0
    every.recorder.reply = {"openai": openai, "anthropic": anthropic}[every.dialect]
    return every
