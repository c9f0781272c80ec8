"""By the types of `google-genai`, and at Vertex also of `anthropic` and `mistralai`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.genai import types

from . import anthropic, mistral
from .shape import misfits

GEMINI = r"/v1beta/models/[^/?]+:(generateContent|streamGenerateContent\?alt=sse|batchEmbedContents|embedContent)"
VERTEX = (
    r"/v1/projects/[^/?]+/locations/[^/?]+/publishers/google/models/[^/?]+"
    r":(generateContent|streamGenerateContent\?alt=sse|predict|embedContent|batchEmbedContents)"
)

# The client takes the parts of a request apart in a config of its own; these are their types on the wire.
FIELDS: dict[str, Any] = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": list[types.SafetySetting],
    "cachedContent": str,
    "serviceTier": types.ServiceTier,
    "store": bool,
    "labels": dict[str, str],
}
GEMINI_ONLY = {"store"}
VERTEX_ONLY = {"labels"}

EMBED: dict[str, Any] = {"model": str, "content": types.Content, "taskType": str, "title": str, "outputDimensionality": int}
VERTEX_EMBED: dict[str, Any] = {"content": types.Content, "embedContentConfig": types.EmbedContentConfig}
INSTANCE: dict[str, Any] = {"content": str, "task_type": str, "title": str}
PARAMETERS: dict[str, Any] = {"autoTruncate": bool, "outputDimensionality": int}


def check_gemini(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    found = re.fullmatch(GEMINI, path)
    if not found:
        return [f"path {path}"]
    if found[1] == "batchEmbedContents":
        return _listed(body, "requests", EMBED)
    if found[1] == "embedContent":
        return _known(body, EMBED, "body")
    return _content(body, VERTEX_ONLY)


def check_vertex(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    if "/publishers/anthropic/" in path:
        return anthropic.check_vertex(path, body)
    if "/publishers/mistralai/" in path:
        return mistral.check_vertex(path, body)
    found = re.fullmatch(VERTEX, path)
    if not found:
        return [f"path {path}"]
    if found[1] == "predict":
        rest = {name: value for name, value in body.items() if name != "parameters"}
        return _listed(rest, "instances", INSTANCE) + _known(body.get("parameters", {}), PARAMETERS, "body.parameters")
    if found[1] == "embedContent":
        return _known(body, VERTEX_EMBED, "body")
    if found[1] == "batchEmbedContents":
        return _listed(body, "requests", VERTEX_EMBED)
    return _content(body, GEMINI_ONLY)


def _content(body: Any, others: set[str]) -> list[str]:
    faults = _known(body, {name: kind for name, kind in FIELDS.items() if name not in others}, "body")
    if not isinstance(body.get("contents"), list):
        return [*faults, "body.contents: missing"]
    for index, content in enumerate(body["contents"]):
        for at, part in enumerate(content.get("parts", [])):
            kinds = part.keys() - {"thought", "thoughtSignature", "mediaResolution", "videoMetadata"}
            if len(kinds) != 1:
                faults.append(f"body.contents[{index}].parts[{at}]: of the kinds {sorted(kinds)}")
    return faults or _calls(body["contents"])


def _calls(contents: Any) -> list[str]:
    """As many results as calls, in the very next turn, by the same names and ids."""
    calls: list[Any] = []
    for index, content in enumerate(contents):
        made = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        given = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if [(one.get("id"), one["name"]) for one in calls] != [(one.get("id"), one["name"]) for one in given]:
            return [f"body.contents[{index}]: results {given} for the calls {calls}"]
        calls = made
    return []


def _listed(body: Any, name: str, known: dict[str, Any]) -> list[str]:
    """A body that is one list of objects of these fields."""
    if list(body) != [name] or not isinstance(body[name], list):
        return [f"body: {sorted(body)} instead of a list of {name}"]
    return [fault for at, one in enumerate(body[name]) for fault in _known(one, known, f"body.{name}[{at}]")]


def _known(body: Any, known: dict[str, Any], path: str) -> list[str]:
    faults = [f"{path}.{name}: unknown" for name in body if name not in known]
    return faults + [fault for name in known.keys() & body.keys() for fault in misfits(body[name], known[name], f"{path}.{name}")]
