"""The Cohere dialect: `POST /v2/chat`, `POST /v2/embed` and `GET /v1/models`.

A stream is named events, from `message-start` to `message-end`; there is no `[DONE]`.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from . import content, embeddings, openai
from .cohere_rules import Refused, check_chat, check_embed, check_key
from .content import Answer, Prompt, Tool, tokens
from .faults import Faults, has_form
from .http import Headers, Json, Request
from .replies import Event, Reply, html_reply, json_reply

NAME = "cohere"

_FINISH = {"stop": "COMPLETE", "stop_sequence": "STOP_SEQUENCE", "length": "MAX_TOKENS",
           "tool_calls": "TOOL_CALL", "refusal": "ERROR_TOXIC"}  # fmt: skip
_MESSAGES = {
    400: "invalid request",
    401: "invalid api token",
    402: "Please add or update your payment method at https://dashboard.cohere.com/billing",
    403: "this model is not available to your organization",
    404: "model 'command-fake' not found, make sure the correct model ID was used and that you"
    " have access to the model.",
    422: "invalid request: unprocessable entity",
    429: "You are past the per minute request limit, please wait and try again later.",
    498: "invalid token",
    499: "the request was cancelled by the client",
    500: "internal server error, this has been reported to our developers.",
    501: "not implemented",
    503: "service unavailable, please try again",
    504: "gateway timeout",
}
_PAGES = {502: "Bad Gateway"}
_NO_QUOTA = (
    "You are using a Trial key, which is limited to 1000 API calls / month. You can continue to"
    " use the Trial key for free or upgrade to a Production key with higher rate limits at"
    " 'https://dashboard.cohere.com/api-keys'."
)
_TOO_LONG = (
    "too many tokens: size limit exceeded by 2013 tokens. Try using shorter or fewer inputs. The"
    " limit for this model is 128000 tokens."
)
_FLAGGED = "the prompt was blocked by our content filtering policy"

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        _raise_asked_error(faults)
        check_key(request)
        route = f"{request.method} {request.path}"
        if route == "GET /v1/models":
            return json_reply(200, _models(), _headers())
        if route == "POST /v2/embed":
            return _embed(check_embed(request.json()), faults)
        if route != "POST /v2/chat":
            raise Refused(f"404 page not found: {request.path}", 404)
        return _chat(check_chat(request.json()), faults)
    except Refused as refused:
        return _error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    return _event("message-end", delta={"finish_reason": "ERROR", "error": _MESSAGES[500]})


def _raise_asked_error(faults: Faults) -> None:
    if faults.quota:
        raise Refused(_NO_QUOTA, 429)
    if faults.context_length:
        raise Refused(_TOO_LONG)
    if faults.content_filter:
        raise Refused(_FLAGGED)
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status is not None:
        raise Refused(_MESSAGES.get(status, f"error {status}"), status)


def _error_reply(refused: Refused, faults: Faults) -> Reply:
    headers = _headers()
    if faults.retry_after is not None:
        headers.append(("retry-after", f"{faults.retry_after:g}"))
    if faults.huge_error is not None:
        refused.message = "e" * faults.huge_error
    elif refused.status in _PAGES:
        return html_reply(refused.status, _PAGES[refused.status], headers)
    return json_reply(refused.status, {"id": _id(), "message": refused.message}, headers)


def _id() -> str:
    return f"00000000-0000-4000-a000-{next(_numbers):012x}"


def _headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("x-debug-trace-id", f"{next(_numbers):032x}"),
        ("x-endpoint-monthly-call-limit", "1000"),
        ("x-trial-endpoint-call-limit", "20"),
        ("x-trial-endpoint-call-remaining", "19"),
        ("num_chars", "42"),
        ("num_tokens", "12"),
        ("x-envoy-upstream-service-time", "42"),
        ("via", "1.1 google"),
        ("server", "envoy"),
    ]


def _models() -> Json:
    chat = {"name": "command-a-03-2025", "endpoints": ["chat"], "context_length": 256000}
    embed = {"name": "embed-v4.0", "endpoints": ["embed"], "context_length": 128000}
    return {"models": [chat, embed]}


def _embed(body: Json, faults: Faults) -> Reply:
    texts = body.get("texts") or [_embedded_text(one) for one in body.get("inputs") or []]
    known = texts or body["images"]
    size = body.get("output_dimension")
    vectors = [embeddings.vector(body["model"], text, size) for text in known]
    made: Json = {}
    for kind in body.get("embedding_types") or ["float"]:
        if kind == "float":
            made[kind] = [list(one) for one in vectors]
        else:
            made[kind] = [embeddings.as_base64(one) for one in vectors]
    billed = {"input_tokens": float(sum(tokens(len(text)) for text in known))}
    meta: Json = {"api_version": {"version": "2"}}
    if not faults.no_usage:
        meta["billed_units"] = billed
    answer = {"id": _id(), "embeddings": made, "texts": texts, "meta": meta,
              "response_type": "embeddings_by_type"}  # fmt: skip
    return json_reply(200, _spoiled(answer, faults), _headers())


def _embedded_text(one: Json) -> str:
    return " ".join(part.get("text") or "" for part in one["content"])


def _spoiled(answer: Json, faults: Faults) -> Json:
    return {"id": _id(), "message": _MESSAGES[500]} if faults.error_first else answer


def _chat(body: Json, faults: Faults) -> Reply:
    made = content.answer(_prompt(body), faults)
    cited = _citations(body, made)
    usage = None if faults.no_usage else _usage(made)
    if body.get("stream"):
        headers = [openai.STREAM, *_headers()]
        return Reply(200, headers, events=_events(body, made, cited, usage, faults))
    message: Json = {"role": "assistant"}
    if made.tool_calls:
        message["tool_calls"] = _calls(made)
        if made.pieces:
            message["tool_plan"] = made.text
    said = [{"type": "thinking", "thinking": made.thought}] if made.thought else []
    if not made.tool_calls:
        said.append({"type": "text", "text": made.text})
    if said:
        message["content"] = said
    if cited:
        message["citations"] = cited
    whole: Json = {"id": _id(), "message": message, "finish_reason": _finish(made)}
    if usage is not None:
        whole["usage"] = usage
    if body.get("logprobs"):
        whole["logprobs"] = [_score(place, text) for place, text in enumerate(made.pieces)]
    return json_reply(200, _spoiled(whole, faults), _headers())


def _prompt(body: Json) -> Prompt:
    messages: list[Json] = body["messages"]
    prompt = Prompt(NAME, body["model"], size=sum(len(_text_of(m)) for m in messages))
    asked = [message for message in messages if message["role"] == "user"]
    prompt.text = openai.text_of(asked[-1]) if asked else ""
    results = itertools.takewhile(lambda m: m["role"] == "tool", reversed(messages))
    prompt.tool_results = [_text_of(message) for message in results][::-1]
    functions = [tool["function"] for tool in body.get("tools") or []]
    if body.get("tool_choice") != "NONE":
        prompt.tools = [Tool(f["name"], f["parameters"]) for f in functions]
    prompt.must_call = body.get("tool_choice") == "REQUIRED"
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        plain = {"properties": {"answer": {"type": "string"}}}
        prompt.schema = wanted.get("json_schema") or plain
    prompt.max_tokens = body.get("max_tokens")
    prompt.stops = body.get("stop_sequences") or []
    kind = (body.get("thinking") or {}).get("type")
    prompt.may_think = kind == "enabled" or (kind is None and "reasoning" in body["model"])
    return prompt


def _text_of(message: Json) -> str:
    """The text of a message; a document is quoted as its JSON."""
    said = message.get("content") or ""
    if isinstance(said, str):
        return said
    return " ".join(_text_of_part(part) for part in said)


def _text_of_part(part: Json) -> str:
    if part["type"] != "document":
        return part.get("text") or part.get("thinking") or ""
    data = part["document"].get("data")
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def _usage(made: Answer) -> Json:
    """Tokens are what the model read and wrote; billed units leave out the template."""
    read, written = float(made.prompt_tokens), float(made.completion_tokens)
    billed = float(max(1, made.prompt_tokens // 2))
    return {
        "billed_units": {"input_tokens": billed, "output_tokens": written},
        "tokens": {"input_tokens": read, "output_tokens": written},
        "cached_tokens": float(made.cached_tokens),
    }


def _finish(made: Answer) -> str:
    return _FINISH.get(made.finish, made.finish)


def _score(place: int, text: str) -> Json:
    return {"text": text, "token_ids": [place], "logprobs": [-0.25]}


def _calls(made: Answer) -> list[Json]:
    return [
        {"id": f"{call.name}_fake{next(_numbers):08d}", "type": "function",
         "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in made.tool_calls
    ]  # fmt: skip


def _citations(body: Json, made: Answer) -> list[Json]:
    """The first word, as if each document and each tool result had said it."""
    mode = (body.get("citation_options") or {}).get("mode")
    if made.tool_calls or not made.pieces or mode in ("OFF", "DISABLED"):
        return []
    sources: list[Json] = []
    for place, document in enumerate(body.get("documents") or []):
        data = document if isinstance(document, str) else document.get("data", document)
        known = data if isinstance(data, dict) else {"text": data}
        name = document.get("id") if isinstance(document, dict) else None
        name = name or f"doc:{place}"
        sources.append({"type": "document", "id": name, "document": {"id": name, **known}})
    messages = body["messages"]
    results = itertools.takewhile(lambda m: m["role"] == "tool", reversed(messages))
    for message in reversed(list(results)):
        name = f"{message['tool_call_id']}:0"
        output = {"content": _text_of(message)}
        sources.append({"type": "tool", "id": name, "tool_output": output})
    first = made.text.split(" ")[0]
    one = {"start": 0, "end": len(first), "text": first, "sources": sources,
           "type": "TEXT_CONTENT", "content_index": 0}  # fmt: skip
    return [one] if sources else []


def _event(kind: str, *, is_content: bool = False, **data: Any) -> Event:
    return Event({"type": kind, **data}, kind, is_content)


def _events(
    body: Json, made: Answer, cited: list[Json], usage: Json | None, faults: Faults
) -> list[Event]:
    opening = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
               "citations": []}  # fmt: skip
    events = [_event("message-start", id=_id(), delta={"message": opening})]
    index = 0
    if made.thought:
        events += _content_events(index, "thinking", content.halves(made.thought), False)
        index += 1
    if made.tool_calls:
        for piece in made.pieces:
            plan = {"tool_plan": piece}
            events.append(_event("tool-plan-delta", is_content=True, delta={"message": plan}))
        for place, call in enumerate(_calls(made)):
            events += _call_events(place, call)
    else:
        events += _content_events(index, "text", made.pieces, bool(body.get("logprobs")))
    for place, one in enumerate(cited):
        delta = {"message": {"citations": {**one, "content_index": index}}}
        events.append(_event("citation-start", index=place, delta=delta))
        events.append(_event("citation-end", index=place))
    ending: Json = {"finish_reason": _finish(made)}
    if usage is not None:
        ending["usage"] = usage
    events.append(_event("message-end", delta=ending))
    return [*events, Event("[DONE]")] if has_form(faults, "done") else events


def _content_events(index: int, kind: str, pieces: list[str], scored: bool) -> list[Event]:
    start = {"content": {"type": kind, kind: ""}}
    events = [_event("content-start", index=index, delta={"message": start})]
    for place, piece in enumerate(pieces):
        delta: Json = {"message": {"content": {kind: piece}}}
        more = {"logprobs": _score(place, piece)} if scored else {}
        one = _event("content-delta", is_content=True, index=index, delta=delta, **more)
        events.append(one)
    return [*events, _event("content-end", index=index)]


def _call_events(index: int, call: Json) -> list[Event]:
    """A call, its arguments in pieces; `tool_calls` is one object here, and not a list."""
    arguments = call["function"]["arguments"]
    pieces = content.pieces_of_json(arguments) if arguments != "{}" else []
    opening = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
    events = [_event("tool-call-start", index=index, delta={"message": {"tool_calls": opening}})]
    for piece in pieces:
        delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
        events.append(_event("tool-call-delta", is_content=True, index=index, delta=delta))
    return [*events, _event("tool-call-end", index=index)]
