"""Requests of the dialects whose bodies are nothing like OpenAI's: one user message each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

VERTEX_PATH = "/v1/projects/p-1/locations/europe-west4/publishers"


def _gemini(text: str, more: Json) -> tuple[str, Json]:
    model = more.pop("model", "gemini-3.5-flash")
    method = "streamGenerateContent?alt=sse" if more.pop("stream", False) else "generateContent"
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return f"/v1beta/models/{model}:{method}", {"contents": contents} | more


def _vertex(text: str, more: Json) -> tuple[str, Json]:
    path, body = _gemini(text, more)
    return path.replace("/v1beta", f"{VERTEX_PATH}/google"), body


def _bedrock(text: str, more: Json) -> tuple[str, Json]:
    model = more.pop("model", "us.anthropic.claude-haiku-4-5-20251001-v1:0")
    method = "converse-stream" if more.pop("stream", False) else "converse"
    messages = [{"role": "user", "content": [{"text": text}]}]
    return f"/model/{quote(model, safe='')}/{method}", {"messages": messages} | more


NATIVE: dict[str, Callable[[str, Json], tuple[str, Json]]] = {
    "gemini": _gemini,
    "vertex": _vertex,
    "bedrock": _bedrock,
}
"""What a dialect sends for a text: its path, and its body. `more` goes into the body, except for
`model` and `stream`."""
