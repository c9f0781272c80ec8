"""The strict reading of Anthropic's types, and the goldens of requests under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic_types import check, refuses

GOLDENS = sorted((Path(__file__).resolve().parents[2] / "golden/anthropic/request").glob("*.json"))
SENT = [path for path in GOLDENS if "body" in json.loads(path.read_text(encoding="utf-8"))["expect"]]
SAMPLING = {"temperature", "top_p", "top_k"}
"""What the client's types no longer have, because only the older version of the API takes it."""


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_what_a_golden_sends_the_official_client_could_send(path: Path) -> None:
    expected = json.loads(path.read_text(encoding="utf-8"))["expect"]
    body = expected["body"]
    if SAMPLING & body.keys():
        assert expected["headers"]["anthropic-version"] == "2023-06-01"
    check(json.dumps({name: value for name, value in body.items() if name not in SAMPLING}))


GOOD: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def message(*blocks: Any) -> dict[str, Any]:
    return GOOD | {"messages": [{"role": "user", "content": list(blocks)}]}


WRONG = {
    "nothing": {},
    "an unknown key": GOOD | {"temperature": 1},
    "a missing key": {name: GOOD[name] for name in ("model", "messages")},
    "a number as text": GOOD | {"max_tokens": "5"},
    "an unknown role": GOOD | {"messages": [{"role": "tool", "content": "hi"}]},
    "an unknown key deep inside": message({"type": "text", "text": "x", "foo": 1}),
    "a missing key deep inside": message({"type": "tool_result", "content": "x"}),
    "an unknown block": message({"type": "image_url", "image_url": "x"}),
    "a tool without a schema": GOOD | {"tools": [{"name": "x"}]},
    "an unknown choice": GOOD | {"tool_choice": {"type": "required"}},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_what_the_official_client_could_not_send_is_refused(body: Any) -> None:
    assert refuses(body)


def test_what_it_could_send_is_not() -> None:
    assert not refuses(GOOD)
    assert not refuses(message({"type": "text", "text": "x"}))
