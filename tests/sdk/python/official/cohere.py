"""By the parameters of `chat` and `embed` of `cohere`, and the ranges that its documentation names."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from cohere.v2.client import V2Client

from .shape import misfits

RANGES = {
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
    "temperature": (0, 1),
}


def check(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    if path == "/v2/embed":
        return _fits(body, V2Client.embed)
    if path != "/v2/chat":
        return [f"path {path}"]
    streams = body.get("stream")
    faults = [] if isinstance(streams, bool) else [f"body.stream: {streams!r}"]
    rest = {name: value for name, value in body.items() if name != "stream"}
    faults += _fits(rest, V2Client.chat_stream if streams else V2Client.chat)
    return faults or list(_rules(body))


def _fits(body: Any, method: Any) -> list[str]:
    known = _parameters(method)
    faults = [f"body.{name}: unknown" for name in body if name not in known]
    for name, (kind, required) in known.items():
        if name in body:
            faults += misfits(body[name], kind, f"body.{name}")
        elif required:
            faults.append(f"body.{name}: missing")
    return faults


@functools.cache
def _parameters(method: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a request, with their types and whether they must be there."""
    hints = typing.get_type_hints(method, include_extras=True)
    parameters = inspect.signature(method).parameters
    names = parameters.keys() - {"self", "request_options"}
    return {name: (hints[name], parameters[name].default is inspect.Parameter.empty) for name in names}


def _rules(body: Any) -> Iterator[str]:
    """What the API would say beside what the types do."""
    for name, (low, high) in RANGES.items():
        if not low <= body.get(name, low) <= high:
            yield f"body.{name}: {body[name]} is not within {low} and {high}"
    if body.get("frequency_penalty") and body.get("presence_penalty"):
        yield "body: both penalties"
    if len(body.get("stop_sequences", [])) > 5:
        yield "body.stop_sequences: more than 5"
    if body.get("tools") and body.get("response_format", {}).get("type") == "json_object":
        yield "body.response_format: together with tools"
    for index, tool in enumerate(body.get("tools", [])):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", tool["function"]["name"]):
            yield f"body.tools[{index}].function.name: {tool['function']['name']!r}"
    waiting: list[str] = []
    for index, message in enumerate(body["messages"]):
        role, path = message["role"], f"body.messages[{index}]"
        if role == "system" and index > 0:
            yield f"{path}: 'system' is not the first"
        if role == "tool" and message["tool_call_id"] not in waiting:
            yield f"{path}: a result of no call"
        waiting = [name for name in waiting if name != message.get("tool_call_id")]
        if role != "tool" and waiting:
            yield f"{path}: before the results of {waiting}"
        waiting += [call["id"] for call in message.get("tool_calls") or []]
        if not message.get("content") and not message.get("tool_calls"):
            yield f"{path}: neither content nor calls"
