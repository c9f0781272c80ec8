"""What api.anthropic.com refuses on `POST /v1/messages`, and in which words."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from .http import Json, Request

VERSIONS = ("2023-06-01", "2026-10-21")
STRICT_VERSION = "2026-10-21"
"""The version under which the Messages API has no sampling parameters."""

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_ARGUMENTS = _SAMPLING | frozenset(
    "max_tokens messages model cache_control container diagnostics inference_geo metadata"
    " output_config service_tier speed stop_sequences stream system thinking tool_choice"
    " tools".split()
)
_BLOCKS = {
    "text": {"text", "citations", "cache_control"},
    "image": {"source", "cache_control"},
    "document": {"source", "title", "context", "citations", "cache_control"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input", "caller", "cache_control", "toolset_name"},
    "tool_result": {"tool_use_id", "content", "is_error", "cache_control", "toolset_name"},
}
"""The keys each content block may have beside `type`."""
_TOOL_KEYS = frozenset(
    "type name description input_schema cache_control strict allowed_callers defer_loading"
    " eager_input_streaming input_examples".split()
)
_NEVER_FORCED = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-mythos-5-1")
_ALWAYS_THINKS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable", "claude-mythos")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_GENERATION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?!\d)")

ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 409: "conflict_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


class Refused(Exception):
    """A request the provider answers with an error."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: Json = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
        if code is not None:
            self.error["details"] = {"error_code": code}


def sign(thought: str) -> str:
    """The signature of a thinking block: returned with other text, it no longer fits."""
    digest = hashlib.sha256(b"fake-anthropic:" + thought.encode()).digest()
    return base64.b64encode(b"\x12\x02" + digest * 3).decode()


def generation(model: str) -> tuple[int, int]:
    """A model's generation, (4, 6) for claude-opus-4-6; (0, 0) when its name does not say."""
    found = _GENERATION.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def check_headers(request: Request) -> str:
    """The API version asked for. A key with `invalid` in it is refused as revoked."""
    bearer = request.header("authorization").removeprefix("Bearer ").strip()
    key = request.header("x-api-key") or bearer
    if not key:
        raise Refused("x-api-key header is required", status=401)
    if "invalid" in key:
        raise Refused("invalid x-api-key", status=401)
    version = request.header("anthropic-version")
    if not version:
        raise Refused("anthropic-version: header is required")
    if version not in VERSIONS:
        raise Refused(f'anthropic-version: "{version}" is not a valid version')
    return version


def check_body(body: Json | None, version: str) -> Json:
    """The body, if it is a request the provider would run."""
    if body is None:
        raise Refused("The request body is not valid JSON")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise Refused(f"{name}: Field required")
    known = _ARGUMENTS - _SAMPLING if version == STRICT_VERSION else _ARGUMENTS
    _refuse_extra(body, known, "")
    model = body["model"]
    if str(model).startswith("no-such"):
        raise Refused(f"model: {model}", status=404)
    if not isinstance(body["max_tokens"], int):
        raise Refused("max_tokens: Input should be a valid integer")
    if body["max_tokens"] < 1:
        raise Refused("max_tokens: must be greater than or equal to 1")
    _check_sampling(body, generation(model))
    _check_thinking(body, generation(model), model)
    _check_output_config(body.get("output_config") or {})
    for number, tool in enumerate(body.get("tools") or []):
        _check_tool(tool, number)
    if isinstance(body.get("system"), list):
        _check_blocks(body["system"], "system")
    _check_messages(body)
    if version == STRICT_VERSION:
        _check_strict_blocks(body["messages"])
    return body


def _refuse_extra(value: Json, known: frozenset[str] | set[str], place: str) -> None:
    for name in value:
        if name not in known:
            raise Refused(f"{place}{name}: Extra inputs are not permitted")


def _check_sampling(body: Json, made: tuple[int, int]) -> None:
    if made >= (4, 7):
        for name in sorted(_SAMPLING & body.keys()):
            if body[name] != 1:
                raise Refused(f"`{name}` is deprecated for this model.")
    if made >= (4, 1) and "temperature" in body and "top_p" in body:
        raise Refused(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only"
            " one."
        )
    if not 0 <= body.get("temperature", 1) <= 1:
        raise Refused("temperature: range: 0..1")


def _check_thinking(body: Json, made: tuple[int, int], model: str) -> None:
    thinking = body.get("thinking") or {}
    kind = thinking.get("type")
    if kind == "enabled":
        if made >= (4, 7):
            raise Refused('"thinking.type.enabled" is not supported for this model.')
        budget = thinking.get("budget_tokens", 0)
        if budget < 1024:
            raise Refused(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
            )
        if body["max_tokens"] <= budget:
            raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
        if body.get("temperature", 1) != 1:
            raise Refused("`temperature` may only be set to 1 when thinking is enabled.")
    if kind == "disabled" and model.startswith(_ALWAYS_THINKS):
        raise Refused('"thinking.type.disabled" is not supported for this model.')
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if forced and model.startswith(_NEVER_FORCED):
        raise Refused("tool_choice: forced tool use is not supported for this model.")
    if forced and kind in ("enabled", "adaptive"):
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")


def _check_output_config(config: Json) -> None:
    _refuse_extra(config, {"effort", "format"}, "output_config.")
    wanted = config.get("format")
    if wanted is None:
        return
    _refuse_extra(wanted, {"type", "schema"}, "output_config.format.")
    schema = wanted.get("schema") or {}
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise Refused(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be"
            " explicitly set to false"
        )


def _check_tool(tool: Json, number: int) -> None:
    if tool.get("type", "custom") != "custom":
        return
    place = f"tools.{number}.custom."
    _refuse_extra(tool, _TOOL_KEYS, place)
    if not _TOOL_NAME.fullmatch(tool.get("name", "")):
        raise Refused(f"{place}name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if "input_schema" not in tool:
        raise Refused(f"{place}input_schema: Field required")
    if tool["input_schema"].get("type") != "object":
        raise Refused(f"{place}input_schema.type: Input should be 'object'")


def _check_messages(body: Json) -> None:
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise Refused("messages: at least one message is required")
    if messages[0].get("role") == "assistant":
        raise Refused('messages: first message must use the "user" role')
    roles = {"user", "assistant"}
    if generation(body["model"]) >= (4, 8):
        roles.add("system")
    waiting: list[str] = []
    called: set[str] = set()
    for number, message in enumerate(messages):
        if message.get("role") not in roles:
            raise Refused(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        _refuse_extra(message, {"role", "content"}, f"messages.{number}.")
        blocks = blocks_of(message)
        _check_blocks(blocks, f"messages.{number}.content")
        _check_tool_results(blocks, waiting, number)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(called | set(waiting)) < len(called) + len(waiting):
            raise Refused(f"messages.{number}.content: `tool_use` ids must be unique")
        called.update(waiting)
        if message["role"] == "assistant":
            _check_thought_comes_first(body, blocks, number)
    if waiting:
        raise Refused(_unanswered(len(messages) - 1, waiting))
    if messages[-1]["role"] == "assistant":
        _check_prefill(body["model"], blocks_of(messages[-1]))


def blocks_of(message: Json) -> list[Json]:
    """A message's content as blocks, however it was written."""
    said = message.get("content")
    if isinstance(said, str):
        return [{"type": "text", "text": said}]
    return said if isinstance(said, list) else []


def _check_blocks(blocks: list[Json], place: str) -> None:
    for number, block in enumerate(blocks):
        kind = block.get("type")
        if kind not in _BLOCKS:
            expected = ", ".join(f"'{name}'" for name in _BLOCKS)
            raise Refused(
                f"{place}.{number}: Input tag '{kind}' found using 'type' does not match any of"
                f" the expected tags: {expected}"
            )
        here = f"{place}.{number}.{kind}."
        _refuse_extra(block, _BLOCKS[kind] | {"type"}, here)
        if kind == "text" and not block.get("text"):
            root = place.partition(".")[0]
            raise Refused(f"{root}: text content blocks must be non-empty")
        if kind == "tool_use" and not isinstance(block.get("input"), dict):
            raise Refused(f"{here}input: Input should be a valid dictionary")
        for name in ("id", "tool_use_id"):
            if name in block and not _TOOL_ID.fullmatch(block[name]):
                raise Refused(f"{here}{name}: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if kind == "thinking" and block.get("signature") != sign(block.get("thinking", "")):
            raise Refused(f"{place}.{number}: Invalid `signature` in `thinking` block")


def _check_tool_results(blocks: list[Json], waiting: list[str], number: int) -> None:
    """Every call of the turn before is answered here, ahead of anything else that is said."""
    leading: set[Any] = set()
    for block in blocks:
        if block["type"] != "tool_result":
            break
        leading.add(block.get("tool_use_id"))
    missing = [call for call in waiting if call not in leading]
    if missing:
        raise Refused(_unanswered(number - 1, missing))
    for place, block in enumerate(blocks):
        if block["type"] == "tool_result" and block.get("tool_use_id") not in waiting:
            raise Refused(
                f"messages.{number}.content.{place}: unexpected `tool_use_id` found in"
                f" `tool_result` blocks: {block.get('tool_use_id')}. Each `tool_result` block must"
                " have a corresponding `tool_use` block in the previous message."
            )


def _unanswered(number: int, calls: list[str]) -> str:
    return (
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately"
        f" after: {', '.join(calls)}. Each `tool_use` block must have a corresponding"
        " `tool_result` block in the next message."
    )


def _check_thought_comes_first(body: Json, blocks: list[Json], number: int) -> None:
    """With a thinking budget, the turn that called tools has to give its thought back."""
    enabled = (body.get("thinking") or {}).get("type") == "enabled"
    last_assistant = max(i for i, m in enumerate(body["messages"]) if m.get("role") == "assistant")
    called = any(block["type"] == "tool_use" for block in blocks)
    if not (enabled and called and number == last_assistant):
        return
    first = blocks[0]["type"]
    if first not in ("thinking", "redacted_thinking"):
        raise Refused(
            f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but"
            f" found `{first}`. When `thinking` is enabled, a final `assistant` message must start"
            " with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result`"
            " blocks)."
        )


def _check_strict_blocks(messages: list[Json]) -> None:
    """What the newer API version no longer takes inside a message."""
    for number, message in enumerate(messages):
        for place, block in enumerate(blocks_of(message)):
            here = f"messages.{number}.content.{place}"
            if message["role"] == "assistant" and block["type"] == "document":
                raise Refused(f"{here}: `document` blocks are not permitted in assistant turns")
            if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
                raise Refused(f"{here}.text.citations: Extra inputs are not permitted")


def _check_prefill(model: str, blocks: list[Json]) -> None:
    if generation(model) >= (4, 6):
        raise Refused(
            "This model does not support assistant message prefill. The conversation must end with"
            " a user message."
        )
    last = blocks[-1] if blocks else {}
    if last.get("type") == "text" and last["text"] != last["text"].rstrip():
        raise Refused("messages: final assistant content cannot end with trailing whitespace")
