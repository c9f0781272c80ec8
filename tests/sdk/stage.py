#!/usr/bin/env python3
"""The gateway for the official clients: every provider, a fake behind each, and no rule that would lead a
request from one to another. A model's name alone says who answers.

    python3 tests/sdk/stage.py      prints what is there as JSON, and runs until its input ends

`port` is the gateway's; `fakes` are the ports of the fake providers by their dialect; `providers` says what there
is to ask, as in tests/e2e/everyone.py.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from everyone import PROVIDERS, everyone  # noqa: E402


def main() -> None:
    with everyone() as made:
        providers = [
            asdict(provider)
            | {name: getattr(provider, name) for name in ("fake", "asked", "asked_to_think")}
            | {"hello": provider.hello("")}
            for provider in PROVIDERS.values()
        ]
        ports = {name: ports[0] for name, ports in made.fakes.ports.items()}
        print(json.dumps({"port": made.port, "fakes": ports, "providers": providers}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
