"""What api.cohere.com refuses on `/v2/chat` and `/v2/embed`, and in which words."""

from __future__ import annotations

from typing import Any

from .http import Json, Request

MAX_TEXTS = 96
"""Texts that one call of `/v2/embed` takes."""

_CHAT = frozenset(
    "citation_options documents frequency_penalty k logprobs max_tokens messages model p"
    " presence_penalty priority response_format safety_mode seed stop_sequences stream"
    " strict_tools temperature thinking tool_choice tools".split()
)
_EMBED = frozenset(
    "embedding_types images input_type inputs max_tokens model output_dimension priority texts"
    " truncate".split()
)
_MESSAGE = {
    "system": frozenset(("role", "content")),
    "user": frozenset(("role", "content")),
    "assistant": frozenset(("role", "content", "tool_calls", "tool_plan", "citations")),
    "tool": frozenset(("role", "content", "tool_call_id")),
}
_PARTS = {"system": ("text",), "user": ("text", "image_url"), "assistant": ("text", "thinking"),
          "tool": ("text", "document")}  # fmt: skip
_PART_FIELDS = frozenset(("type", "text", "image_url", "thinking", "document"))
_FUNCTION = frozenset(("name", "description", "parameters"))
_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
_SEE = "For proper usage, please refer to https://docs.cohere.com/reference/"


class Refused(Exception):
    """A request the provider answers with an error."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def check_key(request: Request) -> None:
    """A key is needed; one with `invalid` in it is refused."""
    scheme, _, key = request.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused("no api key supplied", 401)
    if "invalid" in key:
        raise Refused("invalid api token", 401)


def check_chat(body: Json | None) -> Json:
    """The body, if it is a request the provider would run."""
    body = _head(body, _CHAT, "chat")
    _check_numbers(body)
    _check_messages(body.get("messages"))
    _check_tools(body)
    wanted = body.get("response_format") or {"type": "text"}
    _known(wanted, frozenset(("type", "json_schema")), "chat")
    if wanted.get("type") not in ("text", "json_object"):
        raise Refused(f"invalid response_format type: {wanted.get('type')}")
    if wanted["type"] == "json_object" and (body.get("tools") or body.get("documents")):
        raise Refused("invalid request: response_format is not supported with RAG or tools")
    thinking = body.get("thinking") or {"type": "disabled"}
    _known(thinking, frozenset(("type", "token_budget")), "chat")
    if thinking.get("type") not in ("enabled", "disabled"):
        raise Refused("invalid request: thinking.type must be one of 'enabled' or 'disabled'")
    return body


def check_embed(body: Json | None) -> Json:
    """The body, if it asks for vectors that the provider would make."""
    body = _head(body, _EMBED, "embed")
    if body.get("input_type") is None:
        raise Refused("invalid request: valid input_type must be provided with the provided model")
    if body["input_type"] not in _INPUT_TYPES:
        raise Refused(f"invalid input_type: must be one of {', '.join(_INPUT_TYPES)}")
    given = [name for name in ("texts", "images", "inputs") if body.get(name)]
    if len(given) != 1:
        raise Refused("invalid request: exactly one of texts, images or inputs must be provided")
    texts = body[given[0]]
    if not isinstance(texts, list) or len(texts) > MAX_TEXTS:
        message = f"total number of texts must be at most {MAX_TEXTS} - received {len(texts)}"
        raise Refused(f"invalid request: {message}")
    if given[0] == "texts" and not all(isinstance(text, str) and text for text in texts):
        raise Refused("invalid request: texts must not contain empty strings")
    for kind in body.get("embedding_types") or []:
        if kind not in ("float", "base64"):
            raise Refused(f"invalid embedding_types: {kind}")
    if body.get("output_dimension") not in (None, 256, 512, 1024, 1536):
        raise Refused("invalid output_dimension: must be one of 256, 512, 1024, 1536")
    if body.get("truncate") not in (None, "NONE", "START", "END"):
        raise Refused("invalid truncate: must be one of NONE, START, END")
    return body


def _head(body: Json | None, known: frozenset[str], page: str) -> Json:
    if body is None:
        raise Refused("invalid request: the request body is not valid JSON")
    _known(body, known, page)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused("model is required, please specify the model you want to use")
    if model.startswith("no-such"):
        raise Refused(
            f"model '{model}' not found, make sure the correct model ID was used and that you"
            " have access to the model.",
            404,
        )
    return body


def _known(value: Json, known: frozenset[str], page: str) -> None:
    for name in value:
        if name not in known:
            message = f"unknown field: parameter '{name}' is not a valid field."
            raise Refused(f"{message} {_SEE}{page}", 422)


def _check_numbers(body: Json) -> None:
    p, k = body.get("p"), body.get("k")
    if p is not None and not 0.01 <= p <= 0.99:
        raise Refused("invalid request: p must be between 0.01 and 0.99 inclusive.")
    if k is not None and not 0 <= k <= 500:
        raise Refused("invalid request: k must be between 0 and 500 inclusive.")
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise Refused("invalid request: temperature must be between 0 and 2 inclusive.")
    penalties = [body.get(name) for name in ("frequency_penalty", "presence_penalty")]
    for name, value in zip(("frequency_penalty", "presence_penalty"), penalties, strict=True):
        if value is not None and not 0 <= value <= 1:
            raise Refused(f"invalid request: {name} must be between 0 and 1 inclusive.")
    if all(penalties):
        raise Refused(
            "invalid request: cannot specify both frequency_penalty and presence_penalty"
        )
    if len(body.get("stop_sequences") or []) > 5:
        raise Refused("invalid request: stop_sequences must have at most 5 elements.")


def _check_tools(body: Json) -> None:
    for tool in body.get("tools") or []:
        _known(tool, frozenset(("type", "function")), "chat")
        if tool.get("type") != "function":
            raise Refused("invalid tool: type must be 'function'")
        _known(tool["function"], _FUNCTION, "chat")
        if not isinstance(tool["function"].get("parameters"), dict):
            raise Refused("invalid tool: parameters must be provided")
    if body.get("tool_choice") not in (None, "REQUIRED", "NONE"):
        raise Refused("invalid tool_choice: must be one of 'REQUIRED' or 'NONE'")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("invalid request: messages must not be empty")
    waiting: list[str] = []
    for place, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _MESSAGE:
            raise Refused(f"invalid request: invalid role '{role}' provided in message at {place}")
        _known(message, _MESSAGE[role], "chat")
        if role == "system" and any(m["role"] != "system" for m in messages[:place]):
            raise Refused("invalid request: system turn must be the first")
        if role != "tool" and waiting:
            raise Refused(f"missing tool results for tool call ids: {', '.join(waiting)}")
        if role == "tool":
            name = message.get("tool_call_id")
            if name not in waiting:
                raise Refused(
                    f"cannot find the tool call id '{name}' in the previous assistant message"
                )
            waiting.remove(name)
        _check_content(message, role, place)
        if role == "assistant":
            waiting = [_call_id(call) for call in message.get("tool_calls") or []]
    if waiting:
        raise Refused(f"missing tool results for tool call ids: {', '.join(waiting)}")


def _call_id(call: Json) -> str:
    _known(call, frozenset(("id", "type", "function")), "chat")
    if not isinstance(call["function"].get("arguments"), str):
        raise Refused("invalid tool call: arguments must be a string")
    return str(call["id"])


def _check_content(message: Json, role: str, place: int) -> None:
    content = message.get("content")
    if not content and not (role == "assistant" and message.get("tool_calls")):
        raise Refused(f"invalid request: message at {place} must have non-empty content")
    for part in content if isinstance(content, list) else []:
        kind = part.get("type")
        if kind not in _PARTS[role]:
            raise Refused(f"invalid content type '{kind}' for role '{role}' at {place}")
        _known(part, _PART_FIELDS, "chat")
