"""The strict reading of the clients' types: what the goldens send fits, what is wrong does not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from official import CHECKS, check
from official.openai import OWN

GOLDENS = Path(__file__).resolve().parents[2] / "golden"
PLACED = {"model", "messages", "tools", "input", "stream"}


def sent(path: Path) -> tuple[str, Any]:
    """The API and what a golden sends; nothing where it is refused, or goes to a path of the user's own."""
    case = json.loads(path.read_text(encoding="utf-8"))
    expected, api = case["expect"], path.parent.parent.name
    if "body" not in expected or "base_url" in (case.get("provider") or {}):
        return api, None
    if api in OWN:
        # A field that the client gives and the API's types do not know is passed on as it came.
        asked = case.get("request") or json.loads(case["request_text"])
        own = {name for name in asked.keys() - PLACED if expected["body"].get(name) == asked[name]}
        expected["body"] = {name: value for name, value in expected["body"].items() if name not in own}
    return api, expected


FILES = sorted(path for kind in ("request", "embeddings_request") for path in GOLDENS.glob(f"*/{kind}/*.json"))
SENT = [(path, *found) for path in FILES if (found := sent(path))[1] is not None]


@pytest.mark.parametrize(("path", "api", "request_"), SENT, ids=[f"{one[1]}-{one[0].stem}" for one in SENT])
def test_what_a_golden_sends_the_official_client_could_send(path: Path, api: str, request_: Any) -> None:
    assert check(api, request_["path"], request_["body"], request_["headers"]) == []


def test_there_are_goldens_of_every_api() -> None:
    assert {api for _, api, _ in SENT} == CHECKS.keys()


USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {}}
FUNCTION = {"type": "function", "function": {"name": "x", "parameters": SCHEMA}}
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
CONVERSE = [{"role": "user", "content": [{"text": "hi"}]}]
CALL = {"name": "x", "args": {}}

# Of each kind of client a request that could be, at a path of that kind.
GOOD: dict[str, tuple[str, Any]] = {
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [USER]}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": CONTENTS}),
    "vertex": ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", {"contents": CONTENTS}),
    "mistral": ("/v1/chat/completions", {"model": "m", "messages": [USER]}),
    "cohere": ("/v2/chat", {"model": "m", "stream": False, "messages": [USER]}),
    "bedrock": ("/model/m/converse", {"messages": CONVERSE}),
} | {
    api: (f"{base}/chat/completions", {"model": "m", "messages": [USER]})
    for api, base in {
        "openai": "/v1", "azure": "/openai/v1", "deepseek": "/v1", "groq": "/openai/v1", "qwen": "/compatible-mode/v1",
        "xai": "/v1", "openrouter": "/api/v1", "together": "/v1", "ollama": "/v1", "vllm": "/v1",
    }.items()
}  # fmt: skip

REMOVED: Any = object()

# What is wrong, as a change at a place of the good one.
OPENAI_WRONG: dict[str, tuple[list[Any], Any]] = {
    "an unknown key": (["foo"], 1),
    "no model": (["model"], REMOVED),
    "a number as text": (["temperature"], "1"),
    "a truth as a number": (["stream"], 1),
    "an unknown role": (["messages", 0, "role"], "human"),
    "an unknown key of a message": (["messages", 0, "foo"], 1),
    "an unknown part": (["messages", 0, "content"], [{"type": "picture", "text": "x"}]),
    "a part without its text": (["messages", 0, "content"], [{"type": "text"}]),
    "a tool without a name": (["tools"], [{"type": "function", "function": {}}]),
    "an unknown choice": (["tool_choice"], "any"),
}
WRONG: dict[str, dict[str, tuple[list[Any], Any]]] = {
    "anthropic": {
        "an unknown key": (["seed"], 1),
        "sampling under the new version": (["temperature"], 1),
        "a missing key": (["max_tokens"], REMOVED),
        "a number as text": (["max_tokens"], "5"),
        "an unknown role": (["messages", 0, "role"], "tool"),
        "an unknown key deep inside": (["messages", 0, "content"], [{"type": "text", "text": "x", "foo": 1}]),
        "a missing key deep inside": (["messages", 0, "content"], [{"type": "tool_result", "content": "x"}]),
        "an unknown block": (["messages", 0, "content"], [{"type": "image_url", "image_url": "x"}]),
        "a tool without a schema": (["tools"], [{"name": "x"}]),
        "an unknown choice": (["tool_choice"], {"type": "required"}),
    },
    "gemini": {
        "an unknown key": (["messages"], []),
        "a key of Vertex": (["labels"], {"a": "b"}),
        "a missing key": (["contents"], REMOVED),
        "a key as Python spells it": (["generationConfig"], {"top_p": 1}),
        "a number as text": (["generationConfig"], {"maxOutputTokens": "5"}),
        "an unknown part": (["contents", 0, "parts", 0], {"image": "x"}),
        "a part with two contents": (["contents", 0, "parts", 0, "functionCall"], CALL),
        "bytes that are none": (["contents", 0, "parts", 0], {"inlineData": {"mimeType": "image/png", "data": "ä"}}),
        "an unknown type of a schema": (["generationConfig"], {"responseSchema": {"type": "list"}}),
        "an unknown mode": (["toolConfig"], {"functionCallingConfig": {"mode": "required"}}),
        "a result of no call": (["contents", 0, "parts", 0], {"functionResponse": {"name": "x", "response": {}}}),
    },
    "vertex": {
        "an unknown key": (["model"], "m"),
        "a key of AI Studio": (["store"], True),
        "an unknown part": (["contents", 0, "parts", 0], {"image": "x"}),
    },
    "mistral": {
        "an unknown key": (["seed"], 1),
        "a missing key": (["messages"], REMOVED),
        "a number as text": (["max_tokens"], "5"),
        "an unknown role": (["messages", 0, "role"], "developer"),
        "an unknown key of a message": (["messages", 0, "name"], "Ada"),
        "an unknown part": (["messages", 0, "content"], [{"type": "picture"}]),
        "a tool without parameters": (["tools"], [{"type": "function", "function": {"name": "x"}}]),
        "an unknown choice": (["tool_choice"], "always"),
        "an assistant last": (["messages"], [USER, {"role": "assistant", "content": "x"}]),
        "a long id": (["messages"], [USER, {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": "x", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]),
    },
    "cohere": {
        "an unknown key": (["top_p"], 1),
        "a missing key": (["messages"], REMOVED),
        "no stream": (["stream"], REMOVED),
        "a number as text": (["max_tokens"], "5"),
        "out of range": (["p"], 1),
        "an unknown role": (["messages", 0, "role"], "developer"),
        "an unknown part": (["messages", 0, "content"], [{"type": "picture"}]),
        "an unknown choice": (["tool_choice"], "auto"),
        "a system turn later": (["messages"], [USER, {"role": "system", "content": "x"}]),
        "a result of no call": (["messages"], [USER, {"role": "tool", "tool_call_id": "1", "content": "x"}]),
    },
    "bedrock": {
        "an unknown key": (["max_tokens"], 1),
        "a number as text": (["inferenceConfig"], {"maxTokens": "5"}),
        "out of range": (["inferenceConfig"], {"temperature": 2}),
        "an unknown role": (["messages", 0, "role"], "system"),
        "an unknown block": (["messages", 0, "content"], [{"picture": {}}]),
        "a block with two contents": (["messages", 0, "content"], [{"text": "x", "image": {"format": "png", "source": {"bytes": "AA=="}}}]),
        "bytes that are none": (["messages", 0, "content"], [{"image": {"format": "png", "source": {"bytes": "ä"}}}]),
        "an unknown format": (["messages", 0, "content"], [{"image": {"format": "bmp", "source": {"bytes": "AA=="}}}]),
        "blank text": (["messages", 0, "content"], [{"text": " "}]),
        "a tool without a schema": (["toolConfig"], {"tools": [{"toolSpec": {"name": "x"}}]}),
        "a long name of a tool": (["toolConfig"], {"tools": [{"toolSpec": {"name": "x" * 65, "inputSchema": {"json": SCHEMA}}}]}),
        "turns that do not alternate": (["messages"], CONVERSE * 2),
    },
} | {api: OPENAI_WRONG for api in OWN}  # fmt: skip

CASES = [(api, name) for api, wrong in WRONG.items() for name in wrong]


def headers(api: str) -> dict[str, str]:
    return {"anthropic-version": "2026-10-21"} if api == "anthropic" else {}


@pytest.mark.parametrize("api", CHECKS)
def test_a_good_request_fits(api: str) -> None:
    path, body = GOOD[api]
    assert check(api, path, body, headers(api)) == []
    assert check(api, "/v1/nowhere", body, headers(api)) == ["path /v1/nowhere"]


@pytest.mark.parametrize(("api", "name"), CASES, ids=[f"{api}-{name}" for api, name in CASES])
def test_what_the_official_client_could_not_send_is_refused(api: str, name: str) -> None:
    path, good = GOOD[api]
    (*places, last), value = WRONG[api][name]
    body = copy.deepcopy(good)
    inner = body
    for place in places:
        inner = inner[place]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    assert check(api, path, body, headers(api))


def test_sampling_fits_the_older_version_of_anthropic() -> None:
    path, body = GOOD["anthropic"]
    assert check("anthropic", path, body | {"temperature": 1}, {"anthropic-version": "2023-06-01"}) == []


def test_claude_at_vertex_has_its_model_in_the_path() -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5-5:rawPredict"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": [USER]}
    assert check("vertex", path, body, {}) == []
    for wrong in (body | {"model": "m"}, body | {"stream": True}, body | {"anthropic_version": "1"}, body | {"seed": 1}):
        assert check("vertex", path, wrong, {})
