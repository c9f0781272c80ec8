"""The Mistral dialect: `POST /v1/chat/completions`, `POST /v1/embeddings`, `GET /v1/models`."""

from __future__ import annotations

import itertools
import json
import time

from . import content, embeddings, openai
from .content import Answer
from .faults import Faults, has_form
from .http import Headers, Json, Request
from .mistral_rules import Refused, check_body, check_embeddings, check_key
from .replies import Event, Reply, html_reply, json_reply

NAME = "mistral"

_FINISH = {"stop_sequence": "stop", "refusal": "stop"}
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "3000", "Invalid request"),
    401: ("unauthorized", None, "Unauthorized"),
    402: ("payment_required", "1400", "A valid payment method is required"),
    403: ("forbidden", "1403", "You do not have access to this model"),
    404: ("not_found", "1404", "no Route matched with those values"),
    422: ("invalid_request_error", None, "Unprocessable entity"),
    429: ("rate_limited", "1300", "Rate limit exceeded"),
    500: ("internal_server_error", "3000", "Internal server error"),
    503: ("unreachable_backend", "1100", "Service unavailable."),
}
_PAGES = {502: "Bad Gateway", 504: "Gateway Time-out"}
_NO_MONEY = "You have reached your monthly spending limit"
_TOO_LONG = (
    "Prompt contains 130013 tokens and 0 draft tokens, too large for model with 32768 maximum"
    " context length"
)
_FLAGGED = "The request was blocked by the content filtering policy of this workspace"

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        _raise_asked_error(faults)
        check_key(request)
        route = f"{request.method} {request.path}"
        if route == "GET /v1/models":
            return json_reply(200, _models(), _headers())
        if route == "POST /v1/embeddings":
            return _embeddings(check_embeddings(request.json()), faults)
        if route != "POST /v1/chat/completions":
            raise Refused("no Route matched with those values", 404, "not_found", None)
        return _completion(check_body(request.json()), faults)
    except Refused as refused:
        return _error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    kind, code, message = _ERRORS[500]
    return Event(_flat(Refused(message, 500, kind, code)))


def _raise_asked_error(faults: Faults) -> None:
    if faults.quota:
        raise Refused(_NO_MONEY, 429, "insufficient_quota", "1400")
    if faults.context_length:
        raise Refused(_TOO_LONG, 400, "invalid_request_prompt", "3051")
    if faults.content_filter:
        raise Refused(_FLAGGED, 400, "content_policy_violation", "3600")
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status is not None:
        kind, code, message = _ERRORS.get(status, ("error", None, f"Error {status}"))
        raise Refused(message, status, kind, code)


def _flat(refused: Refused) -> Json:
    message = refused.message
    return {
        "object": "error",
        "message": {"detail": message} if isinstance(message, list) else message,
        "type": refused.kind, "param": None, "code": refused.code,
        "raw_status_code": refused.status,
    }  # fmt: skip


def _error_reply(refused: Refused, faults: Faults) -> Reply:
    headers = _headers()
    if faults.retry_after is not None:
        headers.append(("retry-after", f"{faults.retry_after:g}"))
    if faults.huge_error is not None:
        refused.message = "e" * faults.huge_error
    elif refused.status in _PAGES:
        return html_reply(refused.status, _PAGES[refused.status], headers)
    body = _flat(refused)
    if has_form(faults, "detail"):
        body = {"detail": refused.message}
    elif refused.status == 401:
        body = {"message": refused.message, "request_id": f"{next(_numbers):032x}"}
    return json_reply(refused.status, body, headers)


def _headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    number = next(_numbers)
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("mistral-correlation-id", f"00000000-0000-7000-8000-{number:012x}"),
        ("x-kong-request-id", f"{number:032x}"),
        ("x-envoy-upstream-service-time", "42"),
        ("x-kong-upstream-latency", "43"),
        ("ratelimitbysize-limit", "500000"),
        ("ratelimitbysize-remaining", "499999"),
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "59"),
        ("set-cookie", "__cf_bm=fake-mistral-cookie; path=/; domain=.mistral.ai; HttpOnly"),
        ("server", "cloudflare"),
        ("cf-ray", f"{number:016x}-CDG"),
    ]


def _models() -> Json:
    ids = ("mistral-large-latest", "magistral-medium-latest", "mistral-embed")
    known = [{"id": i, "object": "model", "created": 1, "owned_by": "mistralai"} for i in ids]
    return {"object": "list", "data": known}


def _embeddings(body: Json, faults: Faults) -> Reply:
    inputs = embeddings.read(body["input"], most=2048, tokens_too=False)
    size, encoding = body.get("output_dimension"), body.get("encoding_format")
    answer = {"id": _id(), **embeddings.answer(body["model"], inputs, size, encoding)}
    answer["usage"]["completion_tokens"] = 0
    if faults.no_usage:
        del answer["usage"]
    return json_reply(200, stream_error().data if faults.error_first else answer, _headers())


def _id() -> str:
    return f"{next(_numbers):032x}"


def _completion(body: Json, faults: Faults) -> Reply:
    asked = openai.prompt(body, NAME)
    effort = body.get("reasoning_effort") or "none"
    asked.may_think = body["model"].startswith("magistral") or effort != "none"
    if body.get("prompt_mode") == "reasoning":
        asked.may_think = True
    made = content.answer(asked, faults)
    count = body.get("n") or 1
    usage = None if faults.no_usage else _usage(made, count)
    head = {"id": _id(), "created": int(time.time()), "model": body["model"]}
    scored = body.get("top_logprobs") or 0 if body.get("logprobs") else None
    if body.get("stream"):
        events = _events(head, made, usage, count, scored, faults)
        return Reply(200, [openai.STREAM, *_headers()], events=events)
    choices = [
        {"index": index, "finish_reason": _finish(made), "message": _message(made, faults),
         **_scores(made.pieces, scored)}
        for index in range(count)
    ]  # fmt: skip
    whole = {**head, "object": "chat.completion", "usage": usage, "choices": choices}
    if usage is None:
        del whole["usage"]
    return json_reply(200, stream_error().data if faults.error_first else whole, _headers())


def _usage(made: Answer, count: int) -> Json:
    completion = made.completion_tokens * count
    usage: Json = {
        "prompt_tokens": made.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": made.prompt_tokens + completion,
    }
    if made.cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": made.cached_tokens}
        usage["num_cached_tokens"] = made.cached_tokens
    return usage


def _finish(made: Answer) -> str:
    return _FINISH.get(made.finish, made.finish)


def _scores(pieces: list[str], scored: int | None) -> Json:
    scores = openai.logprobs(pieces, scored)
    if scores is None:
        return {}
    for place, one in enumerate(scores["content"]):
        one["token_id"] = place
        for other in one["top_logprobs"]:
            other["token_id"] = place
    return {"logprobs": {"content": scores["content"]}}


def _thought(text: str, closed: bool) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": closed}


def _message(made: Answer, faults: Faults) -> Json:
    said: str | list[Json] = made.text
    if made.thought:
        said = [_thought(made.thought, closed=True)]
        said += [{"type": "text", "text": made.text}] if made.pieces else []
    calls = _calls(made, faults)
    return {"role": "assistant", "tool_calls": calls or None, "content": said}


def _calls(made: Answer, faults: Faults) -> list[Json]:
    """The calls, whole. Their ids are nine letters and digits."""
    calls = []
    for place, call in enumerate(made.tool_calls):
        arguments = json.dumps(call.arguments)
        as_object = has_form(faults, "object_arguments")
        function = {"name": call.name, "arguments": call.arguments if as_object else arguments}
        one: Json = {"id": f"Fk{next(_numbers):07d}", "function": function}
        if not has_form(faults, "no_ids"):
            one |= {"type": "function", "index": place}
        calls.append(one)
    return calls


def _events(
    head: Json, made: Answer, usage: Json | None, count: int, scored: int | None, faults: Faults
) -> list[Event]:
    """Calls come whole, and with the end; so does the usage, asked for or not."""

    def chunk(index: int, delta: Json, finish: str | None = None, **more: Json) -> Event:
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        if isinstance(text := delta.get("content"), str) and text:
            choice |= _scores([text], scored)
        carries = bool(delta.get("content") or delta.get("tool_calls"))
        data = {**head, "object": "chat.completion.chunk", "choices": [choice], **more}
        return Event(data, content=carries)

    events = []
    for index in range(count):
        events.append(chunk(index, {"role": "assistant", "content": ""}))
        thoughts = content.halves(made.thought)
        for place, piece in enumerate(thoughts):
            closed = place == len(thoughts) - 1
            events.append(chunk(index, {"content": [_thought(piece, closed)]}))
        for place, piece in enumerate(made.pieces):
            # After a thought the text begins as a list, too.
            listed = made.thought and place == 0
            said = [{"type": "text", "text": piece}] if listed else piece
            events.append(chunk(index, {"content": said}))
        last: Json = {"content": ""}
        if made.tool_calls:
            last["tool_calls"] = _calls(made, faults)
        told = {"usage": usage} if usage is not None and index == count - 1 else {}
        events.append(chunk(index, last, _finish(made), **told))
    return [*events, Event("[DONE]")]
