"""What api.mistral.ai refuses, and in which words.

What does not fit the schema is a 422 that lists each place; what fits it and still makes no
conversation is a 400 with a numeric code.
"""

from __future__ import annotations

import re
from typing import Any

from . import embeddings
from .http import Json, Request

_REQUEST = frozenset(
    "frequency_penalty guardrails logprobs max_tokens messages metadata min_tokens model n"
    " parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_logprobs prompt_mode"
    " random_seed reasoning_effort repetition_penalty response_format safe_prompt service_tier"
    " stop stream temperature tool_choice tools top_k top_logprobs top_p"
    " top_prompt_logprobs".split()
)
_EMBEDDING = frozenset("encoding_format input metadata model output_dimension output_dtype".split())
_MESSAGE = {
    "system": frozenset(("role", "content")),
    "user": frozenset(("role", "content")),
    "assistant": frozenset(("role", "content", "tool_calls", "prefix")),
    "tool": frozenset(("role", "content", "tool_call_id", "name")),
}
_PART = {
    "text": frozenset(("type", "text")),
    "image_url": frozenset(("type", "image_url")),
    "document_url": frozenset(("type", "document_url", "document_name")),
    "file": frozenset(("type", "file_id")),
    "input_audio": frozenset(("type", "input_audio")),
    "reference": frozenset(("type", "reference_ids")),
    "thinking": frozenset(("type", "thinking", "signature", "closed")),
}
_CALL = frozenset(("id", "type", "function", "index"))
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))
_FORMAT = frozenset(("type", "json_schema"))
_SCHEMA = frozenset(("name", "description", "schema", "strict"))
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_RANGES = {"temperature": (0, 1.5), "top_p": (0, 1), "presence_penalty": (-2, 2),
           "frequency_penalty": (-2, 2), "n": (1, 64), "max_tokens": (0, 1 << 31),
           "random_seed": (0, 1 << 63), "top_logprobs": (0, 20)}  # fmt: skip
_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")


class Refused(Exception):
    """A request the provider answers with an error. A list as message is what 422 has to say."""

    def __init__(self, message: Any, status: int, kind: str, code: str | None) -> None:
        super().__init__(str(message))
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code


def check_key(request: Request) -> None:
    """A key is needed; one with `invalid` in it is refused."""
    scheme, _, key = request.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not key.strip() or "invalid" in key:
        raise Refused("Unauthorized", 401, "unauthorized", None)


def check_body(body: Json | None) -> Json:
    """The body, if it is a request the provider would run."""
    found = Faulty()
    if body is None:
        found.add("json_invalid", (0,), "JSON decode error")
        found.raise_any()
        raise AssertionError
    found.extra(body, _REQUEST, ())
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.add("float_type", (name,), "Input should be a valid number")
        elif value < low:
            text = f"Input should be greater than or equal to {low}"
            found.add("greater_than_equal", (name,), text)
        elif value > high:
            text = f"Input should be less than or equal to {high}"
            found.add("less_than_equal", (name,), text)
    found.one_of(body.get("reasoning_effort"), (None, *_EFFORTS), ("reasoning_effort",))
    found.one_of(body.get("service_tier"), (None, "auto", "standard_only"), ("service_tier",))
    if not isinstance(body.get("model"), str):
        found.add("missing", ("model",), "Field required")
    messages = body.get("messages")
    if not isinstance(messages, list):
        found.add("missing", ("messages",), "Field required")
        messages = []
    for place, message in enumerate(messages):
        _check_message(found, message, ("messages", place))
    _check_tools(found, body)
    _check_format(found, body.get("response_format"))
    found.raise_any()
    _check_model(body)
    _check_conversation(messages)
    return body


def check_embeddings(body: Json | None) -> Json:
    """The body, if it asks for vectors that the provider would make."""
    found = Faulty()
    body = body or {}
    found.extra(body, _EMBEDDING, ())
    for name in ("model", "input"):
        if name not in body:
            found.add("missing", (name,), "Field required")
    found.one_of(body.get("encoding_format"), (None, "float", "base64"), ("encoding_format",))
    found.one_of(body.get("output_dtype"), (None, "float"), ("output_dtype",))
    size = body.get("output_dimension")
    if size is not None and (type(size) is not int or not 0 < size <= 4096):
        found.add("greater_than", ("output_dimension",), "Input should be greater than 0")
    try:
        embeddings.read(body.get("input"), most=2048, tokens_too=False)
    except ValueError:
        found.add("string_type", ("input",), "Input should be a valid string")
    found.raise_any()
    _check_model(body)
    return body


class Faulty:
    """Gathers what does not fit the schema."""

    def __init__(self) -> None:
        self.details: list[Json] = []

    def add(self, kind: str, place: tuple[Any, ...], message: str) -> None:
        self.details.append({"type": kind, "loc": ["body", *place], "msg": message, "input": None})

    def extra(self, value: Json, known: frozenset[str], place: tuple[Any, ...]) -> None:
        for name in value:
            if name not in known:
                self.add("extra_forbidden", (*place, name), "Extra inputs are not permitted")

    def one_of(self, value: Any, known: tuple[Any, ...], place: tuple[Any, ...]) -> None:
        if not isinstance(value, str | None) or value not in known:
            expected = " or ".join(f"'{one}'" for one in known if one)
            self.add("literal_error", place, f"Input should be {expected}")

    def raise_any(self) -> None:
        if self.details:
            raise Refused(self.details, 422, "invalid_request_error", None)


def _check_message(found: Faulty, message: Any, place: tuple[Any, ...]) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _MESSAGE:
        text = "Input tag does not match any of the expected tags: "
        found.add("union_tag_invalid", place, text + "'assistant', 'system', 'tool', 'user'")
        return
    found.extra(message, _MESSAGE[role], (*place, role))
    content = message.get("content")
    if content is None and role in ("system", "user", "tool"):
        found.add("missing", (*place, role, "content"), "Field required")
    for number, part in enumerate(content if isinstance(content, list) else []):
        _check_part(found, part, (*place, role, "content", number))
    for number, call in enumerate(message.get("tool_calls") or []):
        where = (*place, role, "tool_calls", number)
        found.extra(call, _CALL, where)
        found.extra(call["function"], frozenset(("name", "arguments")), (*where, "function"))


def _check_part(found: Faulty, part: Any, place: tuple[Any, ...]) -> None:
    kind = part.get("type", "text") if isinstance(part, dict) else None
    if kind not in _PART:
        found.add("union_tag_invalid", place, f"Input tag '{kind}' does not match any of the tags")
        return
    found.extra(part, _PART[kind], place)
    if kind == "input_audio" and not isinstance(part.get("input_audio"), str):
        found.add("string_type", (*place, "input_audio"), "Input should be a valid string")
    if kind == "image_url" and isinstance(part.get("image_url"), dict):
        found.extra(part["image_url"], frozenset(("url", "detail")), (*place, "image_url"))


def _check_tools(found: Faulty, body: Json) -> None:
    for number, tool in enumerate(body.get("tools") or []):
        place = ("tools", number, "function")
        if tool.get("type", "function") != "function" or not isinstance(tool.get("function"), dict):
            found.add("literal_error", ("tools", number, "type"), "Input should be 'function'")
            continue
        found.extra(tool, frozenset(("type", "function")), ("tools", number))
        found.extra(tool["function"], _FUNCTION, place)
        if not isinstance(tool["function"].get("parameters"), dict):
            found.add("missing", (*place, "parameters"), "Field required")
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        found.extra(choice, frozenset(("type", "function")), ("tool_choice",))
        if "function" not in choice:
            found.add("missing", ("tool_choice", "function"), "Field required")
    else:
        found.one_of(choice, (None, "auto", "none", "any", "required"), ("tool_choice",))


def _check_format(found: Faulty, wanted: Any) -> None:
    if wanted is None:
        return
    found.extra(wanted, _FORMAT, ("response_format",))
    kinds = ("text", "json_object", "json_schema")
    found.one_of(wanted.get("type"), kinds, ("response_format", "type"))
    if wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema") or {}
        found.extra(schema, _SCHEMA, ("response_format", "json_schema"))
        for name in ("name", "schema"):
            if name not in schema:
                found.add("missing", ("response_format", "json_schema", name), "Field required")


def _check_model(body: Json) -> None:
    if body["model"].startswith("no-such"):
        raise Refused(f"Invalid model: {body['model']}", 400, "invalid_model", "1500")


def _order(message: str) -> Refused:
    return Refused(message, 400, "invalid_request_message_order", "3230")


def _check_conversation(messages: list[Json]) -> None:
    if not messages:
        raise _order("Conversation must have at least one message")
    before, waiting = None, 0
    for message in messages:
        role = message["role"]
        if before == "tool" and role in ("user", "system"):
            raise _order(f"Unexpected role '{role}' after role 'tool'")
        if waiting and role != "tool":
            raise _order("Not the same number of function calls and responses")
        if role == "tool":
            if not waiting:
                raise _order(f"Unexpected role 'tool' after role '{before}'")
            _check_call_id(message.get("tool_call_id"))
            waiting -= 1
        if role == "assistant":
            calls = message.get("tool_calls") or []
            if not message.get("content") and not calls:
                text = "Assistant message must have either content or tool_calls, but not none."
                raise Refused(text, 400, "invalid_request_assistant_message", "3240")
            for call in calls:
                _check_call_id(call.get("id"))
            waiting = len(calls)
        before = role
    if waiting:
        raise _order("Not the same number of function calls and responses")
    if before not in ("user", "tool") and not messages[-1].get("prefix"):
        expected = "User or Tool (or Assistant with prefix True)"
        raise _order(f"Expected last role {expected} for serving but got {before}")


def _check_call_id(name: Any) -> None:
    if not isinstance(name, str) or not _CALL_ID.fullmatch(name):
        text = f"Tool call id was {name} but must be a-z, A-Z, 0-9, with a length of 9."
        raise Refused(text, 400, "invalid_function_call", "3280")
