"""By the types of `openai`, for all that speak like it, with what each is known to have beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai.types import embedding_create_params
from openai.types.chat import completion_create_params

from .shape import misfits


@dataclass(frozen=True)
class Own:
    """What an API has of its own."""

    path: str
    """An expression for what stands before `/chat/completions` and `/embeddings`."""
    fields: frozenset[str] = frozenset()
    """Of a request, beside those of OpenAI."""
    said: frozenset[str] = frozenset()
    """Of an assistant's message: what only answers have at OpenAI."""
    marks: frozenset[str] = frozenset()
    """Of a part of a message."""


def _own(path: str, fields: str = "", said: str = "", marks: str = "") -> Own:
    return Own(path, frozenset(fields.split()), frozenset(said.split()) | {"annotations"}, frozenset(marks.split()))


OWN = {
    "openai": _own("/v1"),
    "azure": _own("/openai/(v1|deployments/[^/?]+)"),
    "deepseek": _own("/v1", "thinking", "reasoning_content"),
    "groq": _own("/openai/v1", "reasoning_format include_reasoning", "reasoning"),
    "qwen": _own("/compatible-mode/v1", "enable_thinking thinking_budget", "reasoning_content", "cache_control"),
    "xai": _own("/v1", "search_parameters"),
    "openrouter": _own("/api/v1", "reasoning provider models", "reasoning reasoning_details", "cache_control"),
    "together": _own("/v1", "logprobs", "reasoning"),  # A number there.
    "ollama": _own("/v1", "", "reasoning"),
    "vllm": _own("/v1", "", "reasoning"),
}


def checker(api: str) -> Any:
    own = OWN[api]

    def check(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
        found = re.search(rf"{own.path}/(?P<what>chat/completions|embeddings)(\?api-version=[\w-]+)?$", path)
        if not found:
            return [f"path {path}"]
        if "/deployments/" in path:
            body = {"model": "in the path"} | body
        if found["what"] == "embeddings":
            return misfits(body, embedding_create_params.EmbeddingCreateParams, "body")
        body = {name: value for name, value in body.items() if name not in own.fields}
        if isinstance(body.get("messages"), list):
            body["messages"] = [_without(own, message) for message in body["messages"]]
        streams = body.get("stream") is True
        params = completion_create_params
        kind = params.CompletionCreateParamsStreaming if streams else params.CompletionCreateParamsNonStreaming
        return misfits(body, kind, "body")

    return check


def _without(own: Own, message: Any) -> Any:
    """A message without what is the provider's own."""
    if not isinstance(message, dict):
        return message
    said = own.said if message.get("role") == "assistant" else ()
    kept = {name: value for name, value in message.items() if name not in said}
    if own.marks and isinstance(kept.get("content"), list):
        kept["content"] = [{k: v for k, v in part.items() if k not in own.marks} for part in kept["content"]]
    return kept
