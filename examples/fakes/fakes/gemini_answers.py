"""What the model says in Gemini's shape, whole and in pieces."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from .content import Answer, tokens
from .gemini_turns import sign_call, sign_text
from .http import Json
from .replies import Event

_FINISH = {"stop": "STOP", "stop_sequence": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS",
           "refusal": "SAFETY"}  # fmt: skip
_KEEPS_TEXT = ("STOP", "MAX_TOKENS", "CONTINUATION")
"""Endings after which the content is still there."""
_WORDLESS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
             "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE")  # fmt: skip
"""Endings before anything was said."""
FINISHES = (*_KEEPS_TEXT, *_WORDLESS, "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST",
            "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR", "ESCALATION")  # fmt: skip
"""The endings a prompt can ask for."""
_HARMS = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")

_ids = itertools.count(1)


@dataclass(frozen=True)
class Shape:
    """An answer, and what decides how it is written."""

    made: Answer
    head: Json
    newest: bool
    """Gemini 3 and later: signs what it says, and stops in a chunk of its own."""
    gives_ids: bool
    shows_thought: bool
    count: int
    logprobs: int | None
    """How many alternatives to each token are told; None for no log probabilities at all."""
    blocked: bool
    finish: str | None
    """The ending that the prompt asks for."""
    usage: bool
    vertex: bool
    created: str | None

    @property
    def reason(self) -> str:
        return self.finish or _FINISH.get(self.made.finish, self.made.finish)


def whole(shape: Shape) -> Json:
    """One answer in one piece."""
    if shape.blocked:
        return _response(shape, None, 0)
    candidates = []
    for index in range(shape.count):
        parts = [*_thoughts(shape), *_text(shape), *_calls(shape)]
        candidate: Json = {"content": {"parts": parts, "role": "model"}}
        if shape.reason not in _KEEPS_TEXT:
            candidate = {}
        elif not parts:
            candidate["content"] = {"role": "model"}
        candidate |= _ending(shape) | {"index": index}
        candidates.append(candidate | _logprobs(shape, shape.made.text))
    return _response(shape, candidates, _said(shape))


def events(shape: Shape) -> list[Event]:
    """The same answer as a stream: each chunk a whole response, the usage so far on each."""
    if shape.blocked:
        return [Event(_response(shape, None, 0))]
    return [event for index in range(shape.count) for event in _candidate_events(shape, index)]


def _candidate_events(shape: Shape, index: int) -> list[Event]:
    said = [] if shape.reason in _WORDLESS else shape.made.pieces
    chunks: list[list[Json]] = []
    if thoughts := _thoughts(shape):
        text = thoughts[0]["text"]
        half = len(text) // 2
        chunks += [[{"text": piece, "thought": True}] for piece in (text[:half], text[half:])]
    chunks += [[{"text": piece}] for piece in said]
    if calls := _calls(shape):
        chunks += [[call] for call in calls] if shape.newest else [calls]
    ends_alone = shape.newest or shape.reason not in _KEEPS_TEXT or not chunks
    sent, spoken = [], 0
    for number, parts in enumerate(chunks):
        candidate: Json = {"content": {"parts": parts, "role": "model"}}
        if not ends_alone and number == len(chunks) - 1:
            candidate |= _ending(shape)
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        spoken += len(text)
        candidate |= {"index": index} | (_logprobs(shape, text) if text else {})
        sent.append(Event(_response(shape, [candidate], tokens(spoken)), content=True))
    if ends_alone:
        last: Json = {"text": ""}
        if shape.newest and not calls and shape.reason in _KEEPS_TEXT:
            last["thoughtSignature"] = sign_text()
        candidate = {"content": {"parts": [last], "role": "model"}}
        if shape.reason not in _KEEPS_TEXT:
            candidate = {}
        candidate |= _ending(shape) | {"index": index}
        sent.append(Event(_response(shape, [candidate], _said(shape))))
    elif shape.usage:
        sent[-1].data["usageMetadata"] = _usage(shape, _said(shape))
    return sent


def _said(shape: Shape) -> int:
    """The tokens of everything but the thought."""
    return max(0, shape.made.completion_tokens - shape.made.thought_tokens)


def _thoughts(shape: Shape) -> list[Json]:
    if not shape.made.thought or not shape.shows_thought:
        return []
    return [{"text": shape.made.thought, "thought": True}]


def _text(shape: Shape) -> list[Json]:
    if not shape.made.pieces:
        return []
    part: Json = {"text": shape.made.text}
    if shape.newest and not shape.made.tool_calls:
        part["thoughtSignature"] = sign_text()
    return [part]


def _calls(shape: Shape) -> list[Json]:
    """Calls as parts. The older models leave out ids and empty arguments, and sign nothing."""
    parts: list[Json] = []
    for call in shape.made.tool_calls:
        function: Json = {"name": call.name}
        if call.arguments or shape.newest:
            function["args"] = call.arguments
        if shape.gives_ids:
            function["id"] = f"fake{next(_ids):04d}"
        part: Json = {"functionCall": function}
        if shape.newest and not parts:
            part["thoughtSignature"] = sign_call(function)
        parts.append(part)
    return parts


def _ending(shape: Shape) -> Json:
    ending: Json = {"finishReason": shape.reason}
    if shape.reason == "MALFORMED_FUNCTION_CALL":
        ending["finishMessage"] = "Malformed function call: print(default_api.forecast(city=)"
    if shape.reason == "SAFETY":
        ending["safetyRatings"] = _ratings(blocked=True)
    return ending


def _ratings(*, blocked: bool) -> list[Json]:
    first: Json = {"category": f"HARM_CATEGORY_{_HARMS[0]}", "probability": "NEGLIGIBLE"}
    if blocked:
        first |= {"probability": "HIGH", "blocked": True}
    rest = [{"category": f"HARM_CATEGORY_{h}", "probability": "NEGLIGIBLE"} for h in _HARMS[1:]]
    return [first, *rest]


def _logprobs(shape: Shape, text: str) -> Json:
    if shape.logprobs is None or not text:
        return {}
    cut = [text[start : start + 4] for start in range(0, len(text), 4)]
    chosen = [_token(token, 0) for token in cut]
    top: list[Any] = [
        {
            "candidates": [
                _token(token if i == 0 else f"{token}~{i}", i) for i in range(shape.logprobs)
            ]
        }
        for token in cut
    ]
    result: Json = {"chosenCandidates": chosen}
    if shape.logprobs:
        result["topCandidates"] = top
    return {"avgLogprobs": -0.25, "logprobsResult": result}


def _token(text: str, rank: int) -> Json:
    return {"token": text, "tokenId": 1000 + len(text), "logProbability": -0.25 - rank}


def _response(shape: Shape, candidates: list[Json] | None, said: int) -> Json:
    response: Json = {}
    if candidates is None:
        response["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
    else:
        response["candidates"] = candidates
    if shape.usage:
        response["usageMetadata"] = _usage(shape, said)
    if shape.created:
        response["createTime"] = shape.created
    return response | shape.head


def _usage(shape: Shape, said: int) -> Json:
    """Thoughts are counted beside what is said, and cached tokens inside the prompt's."""
    made, thought = shape.made, shape.made.thought_tokens
    said *= shape.count
    usage: Json = {"promptTokenCount": made.prompt_tokens}
    if made.cached_tokens:
        usage["cachedContentTokenCount"] = made.cached_tokens
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": made.cached_tokens}]
    if said:
        usage["candidatesTokenCount"] = said
    usage["totalTokenCount"] = made.prompt_tokens + said + thought
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": made.prompt_tokens}]
    if thought:
        usage["thoughtsTokenCount"] = thought
    if shape.vertex:
        usage["trafficType"] = "ON_DEMAND"
    return usage
