"""The Anthropic dialect: `POST /v1/messages` and `GET /v1/models`."""

from __future__ import annotations

import itertools
import json
import time

from . import content
from .anthropic_rules import (
    ERROR_TYPES,
    Refused,
    blocks_of,
    check_body,
    check_headers,
    generation,
    sign,
)
from .content import Answer, Prompt, Tool
from .faults import Faults
from .http import Headers, Json, Request
from .replies import Event, Reply, html_reply, json_reply

NAME = "anthropic"
REDACTED = "EmwKAhgBEgyFakeRedactedThought=="

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_MESSAGES = {
    400: "messages: Input should be a valid list",
    401: "invalid x-api-key",
    402: "Your organization has a billing issue. Please check your payment details.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "model: claude-fake",
    408: "Request timed out",
    413: "Request exceeds the maximum size",
    429: (
        "This request would exceed your organization's rate limit of 50 requests per minute."
        " For details, refer to: https://docs.claude.com/en/api/rate-limits."
    ),
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}
_PAGES = {502: "Bad Gateway", 503: "Service Temporarily Unavailable"}

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        raise_asked_error(faults)
        version = check_headers(request)
        if request.method == "GET" and request.path == "/v1/models":
            return json_reply(200, _models(), _headers(_request_id()))
        if request.method != "POST" or request.path != "/v1/messages":
            raise Refused("Not Found", status=404)
        return message(check_body(request.json(), version), faults)
    except Refused as refused:
        return error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    error = {"type": ERROR_TYPES[529], "message": _MESSAGES[529]}
    return Event({"type": "error", "error": error, "request_id": _request_id()}, "error")


def raise_asked_error(faults: Faults) -> None:
    """Refuses with the error that the faults ask for, if they do."""
    if faults.quota:
        message = "This organization has reached its spend limit."
        raise Refused(message, status=429, code="enforced_spend_limit_reached")
    if faults.context_length:
        raise Refused("prompt is too long: 213462 tokens > 200000 maximum")
    if faults.content_filter:
        raise Refused("Output blocked by content filtering policy")
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status is not None:
        raise Refused(_MESSAGES.get(status, f"Error {status}"), status=status)


def error_reply(refused: Refused, faults: Faults) -> Reply:
    request_id = _request_id()
    headers = _headers(request_id)
    if faults.retry_after is not None:
        headers.append(("retry-after", f"{faults.retry_after:g}"))
    if refused.status >= 500 or refused.status == 429:
        headers.append(("x-should-retry", "true"))
    if faults.huge_error is not None:
        refused.error["message"] = "e" * faults.huge_error
    elif refused.status in _PAGES:
        return html_reply(refused.status, _PAGES[refused.status], headers)
    body = {"type": "error", "error": refused.error, "request_id": request_id}
    return json_reply(refused.status, body, headers)


def _request_id() -> str:
    return f"req_011CFake{next(_numbers):016d}"


def _headers(request_id: str) -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    headers = [("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))]
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    limits = {"requests": 50, "input-tokens": 30000, "output-tokens": 8000, "tokens": 38000}
    for name, limit in limits.items():
        headers += [
            (f"anthropic-ratelimit-{name}-limit", str(limit)),
            (f"anthropic-ratelimit-{name}-remaining", str(limit - 1)),
            (f"anthropic-ratelimit-{name}-reset", reset),
        ]
    return [
        *headers,
        ("request-id", request_id),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("anthropic-organization-id", "6f0a7a1e-0000-4000-8000-fake00000000"),
        ("server", "cloudflare"),
        ("x-envoy-upstream-service-time", "42"),
        ("via", "1.1 google"),
        ("cf-cache-status", "DYNAMIC"),
        ("set-cookie", "_cfuvid=fake-anthropic-cookie; HttpOnly; path=/; Domain=api.anthropic.com"),
        ("x-robots-tag", "none"),
        ("cf-ray", f"{next(_numbers):016x}-CDG"),
    ]


def _models() -> Json:
    names = {"claude-sonnet-4-5": "Claude Sonnet 4.5", "claude-haiku-4-5": "Claude Haiku 4.5"}
    known = [
        {"type": "model", "id": i, "display_name": name, "created_at": "2025-09-29T00:00:00Z"}
        for i, name in names.items()
    ]
    return {
        "data": known,
        "has_more": False,
        "first_id": known[0]["id"],
        "last_id": known[-1]["id"],
    }


def message(body: Json, faults: Faults, provider: str = NAME) -> Reply:
    """What a model answers to a request in order. `provider` is how it calls itself."""
    made = content.answer(_prompt(body, provider), faults)
    usage = _usage(made)
    answer: Json = {
        "model": body["model"], "id": f"msg_01Fake{next(_numbers):018d}", "type": "message",
        "role": "assistant", "content": _blocks(body, made), "stop_reason": _stop_reason(made),
        "stop_sequence": made.stop, "usage": usage,
    }  # fmt: skip
    if made.finish == "refusal":
        explanation = "This request was declined by a safety policy."
        details = {"type": "refusal", "category": "general_harms", "explanation": explanation}
        answer["stop_details"] = details
    if body.get("stream"):
        headers = [("content-type", "text/event-stream; charset=utf-8"),
                   ("cache-control", "no-cache"), *_headers(_request_id())]  # fmt: skip
        return Reply(200, headers, events=_events(answer, made, faults))
    if faults.no_usage:
        del answer["usage"]
    if faults.error_first:
        answer = stream_error().data
    return json_reply(200, answer, _headers(_request_id()))


def _prompt(body: Json, provider: str) -> Prompt:
    messages: list[Json] = body["messages"]
    size = sum(len(_text_of(message)) for message in messages)
    size += len(_text_of({"content": body.get("system")}))
    prompt = Prompt(provider, body["model"], size=size)
    turns = [blocks_of(message) for message in messages if message["role"] == "user"]
    said = [" ".join(b["text"] for b in blocks if b["type"] == "text") for blocks in turns]
    prompt.text = next((text for text in reversed(said) if text), "")
    if not said[-1]:
        results = [block for block in turns[-1] if block["type"] == "tool_result"]
        prompt.tool_results = [_text_of(block) for block in results]
    _read_tools(body, prompt)

    wanted = (body.get("output_config") or {}).get("format")
    prompt.schema = wanted["schema"] if wanted else None
    prompt.told_json = content.wants_json(_text_of({"content": body.get("system")}))
    prompt.max_tokens = body["max_tokens"]
    prompt.stops = body.get("stop_sequences") or []
    kind = (body.get("thinking") or {}).get("type")
    prompt.may_think = kind in ("enabled", "adaptive", "between_tools")
    return prompt


def _read_tools(body: Json, prompt: Prompt) -> None:
    """The tools the model may call, as `tool_choice` leaves them."""
    choice = body.get("tool_choice") or {"type": "auto"}
    tools = [tool for tool in body.get("tools") or [] if "input_schema" in tool]
    if choice["type"] == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    if choice["type"] != "none":
        prompt.tools = [Tool(tool["name"], tool["input_schema"]) for tool in tools]
    prompt.must_call = choice["type"] in ("any", "tool")
    prompt.may_call_twice = not choice.get("disable_parallel_tool_use")


def _text_of(message: Json) -> str:
    """All the text in a message or tool result, for counting and for quoting."""
    said = message.get("content") or ""
    if isinstance(said, str):
        return said
    return " ".join(block.get("text") or _text_of(block) for block in said)


def _shows_thought(body: Json) -> bool:
    """Newer models keep their thought to themselves unless they are asked to show it."""
    by_default = "omitted" if generation(body["model"]) >= (4, 7) else "summarized"
    return bool(body["thinking"].get("display", by_default) == "summarized")


def _usage(made: Answer) -> Json:
    return {
        "input_tokens": made.prompt_tokens - made.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": made.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": made.completion_tokens,
        "output_tokens_details": {"thinking_tokens": made.thought_tokens},
        "service_tier": "standard",
    }


def _stop_reason(made: Answer) -> str:
    return _STOP_REASONS.get(made.finish, made.finish)


def _blocks(body: Json, made: Answer) -> list[Json]:
    blocks: list[Json] = []
    if made.redacted_thought:
        blocks.append({"type": "redacted_thinking", "data": REDACTED})
    if made.thought:
        shown = made.thought if _shows_thought(body) else ""
        blocks.append({"type": "thinking", "thinking": shown, "signature": sign(shown)})
    if made.pieces:
        blocks.append({"type": "text", "text": made.text})
    for call in made.tool_calls:
        name = f"toolu_01Fake{next(_numbers):018d}"
        blocks.append({"type": "tool_use", "id": name, "name": call.name, "input": call.arguments})
    return blocks


def _events(message: Json, made: Answer, faults: Faults) -> list[Event]:
    usage = message["usage"]
    opening = {**message, "content": [], "stop_reason": None, "stop_sequence": None,
               "usage": {**usage, "output_tokens": 1}}  # fmt: skip
    opening.pop("stop_details", None)
    opening["usage"].pop("output_tokens_details")
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    if "stop_details" in message:
        ending["stop_details"] = message["stop_details"]
    last = {"type": "message_delta", "delta": ending, "usage": {
        name: usage[name] for name in (
            "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
            "output_tokens", "output_tokens_details",
        )
    }}  # fmt: skip
    if faults.no_usage:
        del opening["usage"], last["usage"]

    events = [_event({"type": "message_start", "message": opening})]
    for index, block in enumerate(message["content"]):
        events += _block_events(index, block, made)
        if index == 0:
            events.insert(2, _event({"type": "ping"}))
    return [*events, _event(last), _event({"type": "message_stop"})]


def _block_events(index: int, block: Json, made: Answer) -> list[Event]:
    start, deltas = block, []
    if block["type"] == "text":
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in made.pieces]
    elif block["type"] == "thinking":
        start = {"type": "thinking", "thinking": "", "signature": ""}
        thought = block["thinking"]
        half = len(thought) // 2
        pieces = [piece for piece in (thought[:half], thought[half:]) if piece]
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "tool_use":
        start = {**block, "input": {}}
        arguments = json.dumps(block["input"]) if block["input"] else ""
        pieces = ["", *content.pieces_of_json(arguments)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        _event({"type": "content_block_start", "index": index, "content_block": start}),
        *(
            _event({"type": "content_block_delta", "index": index, "delta": delta}, content=True)
            for delta in deltas
        ),
        _event({"type": "content_block_stop", "index": index}),
    ]


def _event(data: Json, content: bool = False) -> Event:
    return Event(data, data["type"], content)
