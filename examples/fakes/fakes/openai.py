"""The OpenAI dialect: `POST /v1/chat/completions`, `POST /v1/embeddings` and `GET /v1/models`.

`prompt`, `written` and `embedded` also serve the providers that took over its shapes.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from . import content, embeddings
from .content import Answer, Prompt, Tool
from .faults import Faults
from .http import Headers, Json, Request
from .openai_rules import Refused, check_body, check_embeddings, check_key, reasons
from .replies import Event, Reply, html_reply, json_reply

NAME = "openai"
SNAPSHOTS = {"gpt-4o": "gpt-4o-2024-08-06", "gpt-4o-mini": "gpt-4o-mini-2024-07-18"}
"""Aliases that answer under the name of their snapshot, as the provider's do."""

_PATHS = ("/v1/chat/completions", "/v1/embeddings")
_FINISH = {"stop_sequence": "stop", "refusal": "content_filter"}
STREAM = ("content-type", "text/event-stream; charset=utf-8")
_FINGERPRINT = "fp_fa4e000001"
_OBFUSCATION = "aG3kPq0Zr8sTuV"
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-fake****."),
    402: ("insufficient_quota", "billing_hard_limit_reached",
          "Billing hard limit has been reached."),
    403: ("invalid_request_error", "unsupported_country_region_territory",
          "Country, region, or territory not supported"),
    404: ("invalid_request_error", "model_not_found",
          "The model `gpt-fake` does not exist or you do not have access to it."),
    408: ("timeout_error", None, "Request timed out."),
    409: ("invalid_request_error", None, "The resource was updated by another request."),
    429: ("requests", "rate_limit_exceeded",
          "Rate limit reached for gpt-4o in organization org-fake on requests per min (RPM):"
          " Limit 500, Used 500, Requested 1. Please try again in 120ms. Visit"
          " https://platform.openai.com/account/rate-limits to learn more."),
    500: ("server_error", None,
          "The server had an error while processing your request. Sorry about that!"),
}  # fmt: skip
_PAGES = {413: "Request Entity Too Large", 502: "Bad Gateway",
          503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}  # fmt: skip
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more"
    " information on this error, read the docs:"
    " https://platform.openai.com/docs/guides/error-codes/api-errors."
)
_TOO_LONG = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in"
    " 130013 tokens. Please reduce the length of the messages."
)
_FLAGGED = (
    "Your request was rejected as a result of our safety system. Your prompt may contain text"
    " that is not allowed by our safety system."
)

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        _raise_asked_error(faults)
        check_key(request)
        if request.method == "GET" and request.path == "/v1/models":
            return json_reply(200, models(), _headers())
        if request.method != "POST" or request.path not in _PATHS:
            raise Refused(f"Invalid URL ({request.method} {request.path})", status=404)
        if request.path == "/v1/embeddings":
            body = check_embeddings(request.json())
            answer = stream_error().data if faults.error_first else embedded(body, faults)
            return json_reply(200, answer, _headers())
        return _completion(check_body(request.json()), faults)
    except Refused as refused:
        return _error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    kind, code, message = _ERRORS[500]
    return Event({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _raise_asked_error(faults: Faults) -> None:
    if faults.quota:
        raise Refused(_QUOTA, status=429, kind="insufficient_quota", code="insufficient_quota")
    if faults.context_length:
        raise Refused(_TOO_LONG, param="messages", code="context_length_exceeded")
    if faults.content_filter:
        raise Refused(_FLAGGED, code="content_policy_violation")
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status is not None:
        kind, code, message = _ERRORS.get(status, ("server_error", None, f"Error {status}."))
        raise Refused(message, status=status, kind=kind, code=code)


def _error_reply(refused: Refused, faults: Faults) -> Reply:
    headers = _headers()
    if faults.retry_after is not None:
        headers += [
            ("retry-after-ms", f"{faults.retry_after * 1000:.0f}"),
            ("retry-after", f"{faults.retry_after:g}"),
        ]
    if faults.huge_error is not None:
        refused.error["message"] = "e" * faults.huge_error
    elif refused.status in _PAGES:
        return html_reply(refused.status, _PAGES[refused.status], headers)
    return json_reply(refused.status, {"error": refused.error}, headers)


def _headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    number = next(_numbers)
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("access-control-expose-headers", "X-Request-ID"),
        ("openai-organization", "org-fake"),
        ("openai-processing-ms", "42"),
        ("openai-project", "proj_fake"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-remaining-tokens", "29960"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-request-id", f"req_{number:032x}"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("cf-cache-status", "DYNAMIC"),
        ("set-cookie", "__cf_bm=fake-openai-cookie; path=/; domain=.api.openai.com; HttpOnly"),
        ("x-content-type-options", "nosniff"),
        ("server", "cloudflare"),
        ("cf-ray", f"{number:016x}-CDG"),
        ("alt-svc", 'h3=":443"; ma=86400'),
    ]


def models() -> Json:
    """The list of models."""
    ids = ("gpt-4o", "gpt-4o-mini", "gpt-5.4", "o3")
    known = [{"id": i, "object": "model", "created": 1715367049, "owned_by": "system"} for i in ids]
    return {"object": "list", "data": known}


def _completion(body: Json, faults: Faults) -> Reply:
    name: str = body["model"]
    model = SNAPSHOTS.get(name, name)
    asked = prompt(body, NAME)
    asked.may_think = reasons(name) and body.get("reasoning_effort") != "none"
    _, whole, events = written(body, asked, model, faults)
    if events is not None:
        return Reply(200, [STREAM, *_headers()], events=events)
    if faults.error_first:
        whole = stream_error().data
    return json_reply(200, whole, _headers())


def written(
    body: Json, asked: Prompt, model: str, faults: Faults
) -> tuple[Answer, Json, list[Event] | None]:
    """What the model says, as a whole answer and, for a request that streams, as events."""
    made = content.answer(asked, faults)
    head = {
        "id": f"chatcmpl-Fake{next(_numbers):020d}",
        "created": int(time.time()),
        "model": model,
    }
    count = body.get("n") or 1
    usage = None if faults.no_usage else _usage(made, count)
    scored = body.get("top_logprobs") or 0 if body.get("logprobs") else None
    whole = {
        "id": head["id"], "object": "chat.completion", "created": head["created"],
        "model": head["model"],
        "choices": [_choice(made, index, scored) for index in range(count)],
        "usage": usage, "service_tier": "default", "system_fingerprint": _FINGERPRINT,
    }  # fmt: skip
    if usage is None:
        del whole["usage"]
    if not body.get("stream"):
        return made, whole, None
    return made, whole, _events(body, head, made, usage, count, scored)


def embedded(body: Json, faults: Faults, model: str | None = None) -> Json:
    """The vectors of a request that has been checked."""
    inputs = embeddings.read(body["input"], most=2048)
    name, encoding = model or body["model"], body.get("encoding_format")
    answer = embeddings.answer(name, inputs, body.get("dimensions"), encoding)
    if faults.no_usage:
        del answer["usage"]
    return answer


def prompt(body: Json, provider: str) -> Prompt:
    """What a request asks; the answer will say that it comes from `provider`."""
    messages: list[Json] = body["messages"]
    prompt = Prompt(provider, body["model"], size=sum(len(text_of(m)) for m in messages))
    asked = [message for message in messages if message["role"] == "user"]
    prompt.text = text_of(asked[-1]) if asked else ""
    results = itertools.takewhile(lambda m: m["role"] == "tool", reversed(messages))
    prompt.tool_results = [text_of(message) for message in results][::-1]
    _read_tools(body, prompt)

    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        prompt.schema = wanted["json_schema"].get("schema", {})
    elif wanted.get("type") == "json_object":
        prompt.schema = {"properties": {"answer": {"type": "string"}}}
    prompt.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    stop = body.get("stop") or []
    prompt.stops = [stop] if isinstance(stop, str) else stop
    return prompt


def _read_tools(body: Json, prompt: Prompt) -> None:
    """The tools the model may call, as `tool_choice` leaves them."""
    choice = body.get("tool_choice") or "auto"
    functions = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
    prompt.must_call = choice not in ("none", "auto")
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools") or {"mode": "required", "tools": [choice]}
        prompt.must_call = allowed["mode"] == "required"
        names = [tool["function"]["name"] for tool in allowed["tools"]]
        functions = [f for f in functions if f["name"] in names]
    if choice != "none":
        prompt.tools = [Tool(f["name"], f.get("parameters") or {}) for f in functions]
    prompt.may_call_twice = body.get("parallel_tool_calls") is not False


def text_of(message: Json) -> str:
    """All the text in a message."""
    said = message.get("content")
    if isinstance(said, list):
        return " ".join(part.get("text") or "" for part in said)
    return said or ""


def _usage(made: Answer, count: int) -> Json:
    completion = made.completion_tokens * count
    return {
        "prompt_tokens": made.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": made.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": made.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": made.thought_tokens * count, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def _finish(made: Answer) -> str:
    return _FINISH.get(made.finish, made.finish)


def _choice(made: Answer, index: int, scored: int | None) -> Json:
    message: Json = {"role": "assistant", "content": made.text or None, "refusal": None}
    if made.tool_calls:
        message["tool_calls"] = [
            {"id": _call_id(), "type": "function",
             "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
            for call in made.tool_calls
        ]  # fmt: skip
    else:
        message["content"] = made.text
    message["annotations"] = []
    return {"index": index, "message": message, "logprobs": logprobs(made.pieces, scored),
            "finish_reason": _finish(made)}  # fmt: skip


def logprobs(pieces: list[str], scored: int | None) -> Json | None:
    """How likely each piece was, with `scored` alternatives; None when nobody asked."""
    if scored is None:
        return None
    return {"content": [_scored(piece, scored) for piece in pieces], "refusal": None}


def _scored(piece: str, alternatives: int) -> Json:
    others = [piece, *(f"other {n}" for n in range(1, alternatives))][:alternatives]
    top = [
        {"token": token, "logprob": -0.25 - place, "bytes": list(token.encode())}
        for place, token in enumerate(others)
    ]
    return {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": top}


def _call_id() -> str:
    return f"call_Fake{next(_numbers):020d}"


def _events(
    body: Json, head: Json, made: Answer, usage: Json | None, count: int, scored: int | None
) -> list[Event]:
    options = body.get("stream_options") or {}
    with_usage = bool(options.get("include_usage"))
    obfuscated = options.get("include_obfuscation") is not False

    def chunk(choices: list[Json], usage: Json | None = None, is_content: bool = False) -> Event:
        data: dict[str, Any] = {
            "id": head["id"], "object": "chat.completion.chunk", "created": head["created"],
            "model": head["model"], "service_tier": "default",
            "system_fingerprint": _FINGERPRINT, "choices": choices,
        }  # fmt: skip
        if with_usage:
            data["usage"] = usage
        if obfuscated:
            data["obfuscation"] = _OBFUSCATION
        return Event(data, content=is_content)

    def delta(index: int, value: Json, finish: str | None = None) -> Event:
        score = logprobs([value["content"]], scored) if value.get("content") else None
        one = {"index": index, "delta": value, "logprobs": score, "finish_reason": finish}
        carries = bool(value.get("content") or value.get("tool_calls"))
        return chunk([one], is_content=carries)

    events: list[Event] = []
    for index in range(count):
        first = None if made.tool_calls and not made.pieces else ""
        events.append(delta(index, {"role": "assistant", "content": first, "refusal": None}))
        events += [delta(index, {"content": piece}) for piece in made.pieces]
        for place, call in enumerate(made.tool_calls):
            opening = {"name": call.name, "arguments": ""}
            tool = {"index": place, "id": _call_id(), "type": "function"}
            events.append(delta(index, {"tool_calls": [{**tool, "function": opening}]}))
            for piece in content.pieces_of_json(json.dumps(call.arguments)):
                more = {"index": place, "function": {"arguments": piece}}
                events.append(delta(index, {"tool_calls": [more]}))
        events.append(delta(index, {}, _finish(made)))
    if with_usage and usage is not None:
        events.append(chunk([], usage))
    return [*events, Event("[DONE]")]
