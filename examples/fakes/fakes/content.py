"""What the fake model says: deterministic, recognisable, and the same for every dialect.

A dialect reads its request into a `Prompt`, and writes the `Answer` in its own shape.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from .faults import Faults, without_directives
from .http import Json
from .replies import NOT_UTF8

CITIES = ("Paris", "Oslo")
MAX_SCHEMA_DEPTH = 16
"""How deep a JSON schema is followed; a schema that refers to itself ends here."""


@dataclass(frozen=True)
class Tool:
    name: str
    schema: Json


@dataclass
class Prompt:
    """What a request asks, whatever its dialect."""

    provider: str
    model: str
    text: str = ""
    """What the user said last."""
    size: int = 0
    """Characters in everything the model has to read."""
    tool_results: list[str] = field(default_factory=list)
    """Results that came after the last thing the user said."""
    tools: list[Tool] = field(default_factory=list)
    must_call: bool = False
    may_call_twice: bool = True
    schema: Json | None = None
    """The schema the answer must satisfy."""
    told_json: bool = False
    """Whether an instruction wants an object of JSON, and nothing beside it."""
    max_tokens: int | None = None
    stops: list[str] = field(default_factory=list)
    may_think: bool = False


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Json


@dataclass
class Answer:
    """What the model says. `finish` is stop, stop_sequence, length, tool_calls or refusal, or a
    word of the provider's own that a fault asked for."""

    pieces: list[str]
    """The text, cut as a stream delivers it."""
    finish: str
    prompt_tokens: int
    cached_tokens: int
    tool_calls: list[ToolCall] = field(default_factory=list)
    thought: str = ""
    redacted_thought: bool = False
    stop: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thought_tokens(self) -> int:
        return tokens(len(self.thought))

    @property
    def completion_tokens(self) -> int:
        calls = sum(len(call.name) + len(str(call.arguments)) for call in self.tool_calls)
        return max(1, tokens(len(self.text)) + self.thought_tokens + tokens(calls))


def answer(prompt: Prompt, faults: Faults) -> Answer:
    """What the model makes of a prompt. Words in it choose: weather, explain, think, cached."""
    made = _answer(prompt, faults)
    if faults.finish is not None:
        made.finish = faults.finish
    return made


def _answer(prompt: Prompt, faults: Faults) -> Answer:
    said = without_directives(prompt.text)
    words = said.lower()
    prompt_tokens = max(1, tokens(prompt.size))
    made = Answer([], "stop", prompt_tokens, prompt_tokens // 2 if "cached" in words else 0)
    if prompt.may_think and "think" in words:
        made.thought = f"Let me think about this: {said}"
        made.redacted_thought = "redacted" in words
    if faults.refusal:
        made.pieces, made.finish = ["I can't"], "refusal"
        return made

    calls = not prompt.tool_results and ("weather" in words or prompt.must_call)
    if prompt.tools and calls:
        twice = prompt.may_call_twice and "two cities" in words
        cities = CITIES if twice else CITIES[:1]
        made.tool_calls = _tool_calls(prompt.tools[0], cities, _text(prompt, said))
        made.finish = "tool_calls"
        made.pieces = split("I will look that up.", faults) if "explain" in words else []
        return made

    text = _text(prompt, said)
    schema = {"required": ["answer"], "type": "object"} if prompt.told_json else prompt.schema
    if schema is not None:
        text = json.dumps(example(schema, text), ensure_ascii=False)
    elif faults.big is not None:
        text = _padded(text, faults.big)
    else:
        text = _shortened(made, text, prompt)
    made.pieces = split(text, faults)
    return made


def wants_json(system: str) -> bool:
    """Whether an instruction says so in the words that models are usually told it."""
    return bool(re.search(r"\bone JSON object and nothing else\b", system))


def tokens(characters: int) -> int:
    """The usual rule of thumb: four characters a token."""
    return math.ceil(characters / 4)


def split(text: str, faults: Faults) -> list[str]:
    """Cuts a text as a stream delivers it; joined again it is the text of a whole answer."""
    if faults.chunks:
        text = text.ljust(faults.chunks, ".")
        size = len(text) // faults.chunks
        cuts = [size * i for i in range(faults.chunks)] + [len(text)]
        pieces = [text[start:end] for start, end in pairwise(cuts)]
    else:
        size = max(12, math.ceil(len(text) / 64))
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
    if faults.huge_event is not None:
        pieces.insert(min(1, len(pieces)), "h" * faults.huge_event)
    if faults.non_utf8:
        pieces.insert(min(1, len(pieces)), NOT_UTF8)
    return pieces


def halves(text: str) -> list[str]:
    """A thought, cut as a stream delivers it."""
    half = len(text) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]


def pieces_of_json(text: str) -> list[str]:
    """Tool arguments, cut in the middle of words as providers do."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def example(schema: Any, text: str, root: Any = None, depth: int = 0) -> Any:
    """A value that satisfies a JSON schema; its strings say `text`."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > MAX_SCHEMA_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(ref := schema.get("$ref"), str):
        return example(_resolved(root, ref), text, root, depth + 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example(schema[choice][0], text, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        known = schema.get("properties", {})
        return {
            name: example(known.get(name, {}), text, root, depth + 1)
            for name in schema.get("required", list(known))
        }
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [example(schema.get("items", {}), text, root, depth + 1) for _ in range(count)]
    return {"string": text, "integer": 1, "number": 1.5, "boolean": True}.get(kind)


def _text(prompt: Prompt, said: str) -> str:
    hello = f"Hello from {prompt.provider} ({prompt.model})."
    if prompt.tool_results:
        return f"{hello} The tools said: {'; '.join(prompt.tool_results)}"
    return f"{hello} You said: {said}"


def _tool_calls(tool: Tool, cities: tuple[str, ...], text: str) -> list[ToolCall]:
    """Calls with a city each; a tool that takes nothing is given nothing, one that requires other
    things what they ask for."""
    if not tool.schema.get("properties"):
        return [ToolCall(tool.name, {}) for _ in cities]
    if "city" not in tool.schema.get("required", ["city"]):
        return [ToolCall(tool.name, example(tool.schema, text)) for _ in cities]
    return [ToolCall(tool.name, {"city": city, "unit": "c"}) for city in cities]


def _shortened(made: Answer, text: str, prompt: Prompt) -> str:
    """Ends a text at its first stop string or at its token limit, and says which it was."""
    found = [(text.index(stop), stop) for stop in prompt.stops if stop and stop in text]
    if found:
        end, made.stop = min(found)
        text, made.finish = text[:end], "stop_sequence"
    if prompt.max_tokens is not None and tokens(len(text)) > prompt.max_tokens:
        text, made.finish, made.stop = text[: prompt.max_tokens * 4], "length", None
    return text


def _padded(text: str, size: int) -> str:
    filler = " All work and no play makes a dull gateway."
    return (text + filler * math.ceil(size / len(filler)))[:size]


def _resolved(root: Any, ref: str) -> Any:
    for name in ref.removeprefix("#").strip("/").split("/"):
        root = root.get(name) if isinstance(root, dict) and name else root
    return root
