"""By the types of `mistralai`. The API refuses fields that it does not know; the order of the roles and the form of
ids are its own rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mistralai.client.models import ChatCompletionRequest, EmbeddingRequest

from .shape import misfits

VERTEX = r"/v1/projects/[^/?]+/locations/[^/?]+/publishers/mistralai/models/([^/?:]+):(rawPredict|streamRawPredict)"

# What may come after whom.
AFTER = {
    "system": ("user", "assistant", "system"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}


def check(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    if path == "/v1/embeddings":
        return misfits(body, EmbeddingRequest, "body")
    if path != "/v1/chat/completions":
        return [f"path {path}"]
    return _chat(body)


def check_vertex(path: str, body: Any) -> list[str]:
    """A request to a model of Mistral's at Vertex: the model stands in the path and in the body."""
    found = re.fullmatch(VERTEX, path)
    if not found:
        return [f"path {path}"]
    if bool(body.get("stream")) != (found[2] == "streamRawPredict"):
        return [f"{found[2]} for stream {body.get('stream')}"]
    return _chat(body)


def _chat(body: Any) -> list[str]:
    return misfits(body, ChatCompletionRequest, "body") or list(_conversation(body["messages"]))


def _conversation(messages: Any) -> Iterator[str]:
    """What the API would say of the order of messages."""
    before = None
    for index, message in enumerate(messages):
        role, path = message["role"], f"body.messages[{index}]"
        if before and role not in AFTER[before]:
            yield f"{path}: {role!r} after {before!r}"
        before = role
        ids = [call["id"] for call in message.get("tool_calls") or []]
        for name in [*ids, *([message["tool_call_id"]] if role == "tool" else [])]:
            if not re.fullmatch("[A-Za-z0-9]{9}", name):
                yield f"{path}: the id {name!r}"
        if role == "assistant" and not message.get("content") and not ids:
            yield f"{path}: neither content nor calls"
    if before not in ("user", "tool") and not (messages and messages[-1].get("prefix")):
        yield f"body.messages: {before!r} is the last role"
