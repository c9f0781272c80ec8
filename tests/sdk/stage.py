#!/usr/bin/env python3
"""A gateway for the official clients: two providers, one of each kind, and no rule that would lead a
request from one to the other. A model's name alone says who answers.

    python3 tests/sdk/stage.py      prints {"port", "openai", "anthropic"} as JSON, and runs until its input ends

`openai` and `anthropic` are the ports of the fake providers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from gateway import Cluster, Fakes, Stage, configuration, stage  # noqa: E402

PROVIDERS: dict[str, Any] = {
    "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}, "gpt-4o-mini": {}, "text-embedding-3-small": {}}},
    "claude": {
        "api": "anthropic",
        "endpoints": [{"cluster": "anthropic"}],
        "models": {"claude-sonnet-4-5": {}, "claude-sonnet-4-6": {}},
    },
}
TIMEOUTS = {"first_token": "5s", "answer": "5s", "idle": "2s"}


@contextmanager
def official() -> Iterator[Stage]:
    """Starts it, for as long as this is open."""

    def build(fakes: Fakes) -> dict[str, Any]:
        clusters = [
            Cluster("openai", "openai", f"127.0.0.1:{fakes.ports['openai'][0]}"),
            Cluster("anthropic", "claude", f"127.0.0.1:{fakes.ports['anthropic'][0]}", "ANTHROPIC_API_KEY"),
        ]
        return configuration({"providers": PROVIDERS, "timeouts": TIMEOUTS}, clusters)

    with stage(build) as made:
        yield made


def main() -> None:
    with official() as made:
        ports = {name: ports[0] for name, ports in made.fakes.ports.items()}
        print(json.dumps({"port": made.port} | ports), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
