"""The providers that took over OpenAI's shapes, each with what it does differently.

A `Row` says what that is; `Compatible` is the dialect a row makes. The rows themselves are in
`compatible_vendors` and `compatible_hosts`.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import content, openai
from .content import Answer
from .faults import Faults
from .http import Headers, Json, Request
from .openai_rules import Refused, check_messages, check_vector_form
from .replies import Event, Reply, encode_event, html_reply, json_reply

COMMENT = ":"
"""The name of an event that is a comment line."""

Said = tuple[int, str, Any, str]
"""Status, type, code and message of an error."""

_SAID: dict[str | int, Said] = {
    400: (400, "invalid_request_error", None, "Invalid request."),
    401: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: (402, "insufficient_quota", "insufficient_balance", "Insufficient balance."),
    403: (403, "permission_error", None, "This key may not use the model."),
    404: (404, "invalid_request_error", "model_not_found",
          "The model `{model}` does not exist or you do not have access to it."),
    413: (413, "invalid_request_error", None, "Request Entity Too Large"),
    429: (429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached."),
    500: (500, "server_error", None, "Internal server error."),
    503: (503, "service_unavailable", None, "The service is overloaded."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "billing": (402, "insufficient_quota", "insufficient_balance", "Insufficient balance."),
    "context_length": (
        400, "invalid_request_error", "context_length_exceeded",
        "This model's maximum context length is 131072 tokens. However, you requested 132013"
        " tokens. Please reduce the length of the messages.",
    ),
    "content_filter": (400, "invalid_request_error", "content_filter",
                       "The request was rejected because it was considered high risk."),
}  # fmt: skip
_PAGES = {502: "Bad Gateway", 504: "Gateway Time-out"}

_numbers = itertools.count(1)


def _nothing(*_: Any) -> None:
    return None


def effort(body: Json) -> bool:
    """Whether the request asks for reasoning by its effort."""
    return (body.get("reasoningeffort") or "none") != "none"


def nested(refused: Refused, faults: Faults) -> Json:
    """The usual body of an error."""
    return {"error": refused.error}


@dataclass(frozen=True)
class Row:
    """What one provider does its own way."""

    name: str
    bases: tuple[str, ...] = ("/v1",)
    """What stands before `/chat/completions`."""
    models: tuple[str, ...] = ()
    needs_key: bool = True
    embeds: int = 0
    """Texts that one call of `/embeddings` takes; 0 when there is no such call."""
    said: dict[str | int, Said] = field(default_factory=dict)
    """Errors in its own words: by status, by fault, for a `key` or a `model` there is not, and by
    the `form` that asks for one."""
    error: Callable[[Refused, Faults], Json] = nested
    """The body of an error."""
    stream_error: Callable[[Faults], Json] | None = None
    """The chunk of an error, when it is no error's body."""
    check: Callable[[Json], None] = _nothing
    """Raises `Refused` for what only this provider refuses."""
    ignores: tuple[str, ...] = ()
    """Fields that are taken and change nothing."""
    thinks: Callable[[Json], bool] = lambda body: False
    reason: Callable[[str, Faults], Json] = lambda text, faults: {"reasoning_content": text}
    """The fields of a message or delta that carry a thought."""
    usage: Callable[[Json, Answer], None] = _nothing
    """Changes the usage, in place."""
    usage_in: str = "asked"
    """Where a stream has it: `asked` (own chunk, when asked for), `always` (own chunk),
    `finish` (in the finish chunk)."""
    whole_calls: bool = False
    """A stream carries each tool call in one piece."""
    shape: Callable[[Json, Json, Faults], None] = _nothing
    """Changes a whole answer or a chunk in place; the second argument is the request."""
    opening: tuple[str, ...] = ()
    """Comments before the first event."""
    blank_lines: int = 0
    """Before a whole body."""
    headers: Callable[[int], Headers] = lambda number: [("x-request-id", f"fake-{number:012x}")]


class Compatible:
    """The dialect of a row."""

    def __init__(self, row: Row) -> None:
        self.NAME = row.name
        self._row = row
        self._said = _SAID | row.said

    def reply(self, request: Request, faults: Faults) -> Reply:
        """The answer to a request: an error asked for, a refusal, or what the model says."""
        try:
            self._raise_asked_error(faults)
            self._check_key(request)
            operation = self._operation(request)
            if operation == "/models":
                return json_reply(200, self._models(), self._headers())
            body = request.json()
            if body is None or not isinstance(body.get("model"), str):
                raise Refused("The body is no JSON object that names a model.")
            if body["model"].startswith("no-such"):
                raise self._refused("model" if "model" in self._said else 404, body["model"])
            if operation == "/embeddings":
                return self._embeddings(body, faults)
            check_messages(body.get("messages"))
            self._row.check(body)
            return self._completion(body, faults)
        except Refused as refused:
            return self._error_reply(refused, faults)

    def stream_error(self, faults: Faults | None = None) -> Event:
        """The error that a stream carries once its 200 is sent."""
        faults = faults or Faults()
        if self._row.stream_error is not None:
            return Event(self._row.stream_error(faults))
        return Event(self._row.error(self._refused(500), faults))

    def _refused(self, which: str | int, model: str = "fake-model") -> Refused:
        unknown = (which, "error", None, f"Error {which}.")
        status, kind, code, message = self._said.get(which, unknown)
        text = message.replace("{model}", model)
        return Refused(text, status=int(status), kind=kind, code=code)

    def _raise_asked_error(self, faults: Faults) -> None:
        for name in ("quota", "billing", "context_length", "content_filter"):
            if getattr(faults, name):
                raise self._refused(name)
        status = faults.status
        if status is None and faults.huge_error is not None:
            status = 500
        if status is not None:
            raise self._refused(status)
        for form in (faults.form or "").split("+"):
            if form in self._said:
                raise self._refused(form)

    def _check_key(self, request: Request) -> None:
        scheme, _, key = request.header("authorization").partition(" ")
        missing = scheme.lower() != "bearer" or not key.strip()
        if missing and self._row.needs_key:
            raise self._refused(401)
        if "invalid" in key:
            raise self._refused("key" if "key" in self._said else 401)

    def _operation(self, request: Request) -> str:
        for base in self._row.bases:
            path = request.path.removeprefix(base)
            if request.path != base + path:
                continue
            route = f"{request.method} {path}"
            if route in ("POST /chat/completions", "GET /models"):
                return path
            if route == "POST /embeddings" and self._row.embeds:
                return path
        raise Refused(f"Unknown request URL: {request.method} {request.path}.", status=404)

    def _error_reply(self, refused: Refused, faults: Faults) -> Reply:
        headers = self._headers()
        if faults.retry_after is not None:
            headers.append(("retry-after", f"{faults.retry_after:g}"))
        if faults.huge_error is not None:
            refused.error["message"] = "e" * faults.huge_error
        elif refused.status in _PAGES:
            return html_reply(refused.status, _PAGES[refused.status], headers)
        return json_reply(refused.status, self._row.error(refused, faults), headers)

    def _headers(self) -> Headers:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        return [("date", date), *self._row.headers(next(_numbers))]

    def _models(self) -> Json:
        known = [
            {"id": i, "object": "model", "created": 1, "owned_by": self._row.name}
            for i in self._row.models
        ]
        return {"object": "list", "data": known}

    def _embeddings(self, body: Json, faults: Faults) -> Reply:
        texts = body.get("input")
        if not texts or (isinstance(texts, list) and len(texts) > self._row.embeds):
            message = "Value error, batch size is invalid, it should not be larger than"
            raise Refused(f"{message} {self._row.embeds}.: input", param="input")
        check_vector_form(body)
        answer = openai.embedded(body, faults)
        return self._whole(answer, faults)

    def _whole(self, answer: Json, faults: Faults) -> Reply:
        if faults.error_first:
            answer = self._row.error(self._refused(500), faults)
        made = json_reply(200, answer, self._headers())
        made.body = b"\n" * self._row.blank_lines + made.body
        return made

    def _completion(self, body: Json, faults: Faults) -> Reply:
        row = self._row
        read = {name: value for name, value in body.items() if name not in row.ignores}
        asked = openai.prompt(read, row.name)
        asked.may_think = bool(row.thinks(body))
        plain = {**read, "stream_options": {"include_obfuscation": False}}
        made, whole, events = openai.written(plain, asked, body["model"], faults)
        if "usage" in whole:
            _count_thought(whole["usage"], made)
            row.usage(whole["usage"], made)
        if events is None:
            for choice in whole["choices"]:
                _drop_unknown(choice["message"])
                if made.thought:
                    choice["message"] |= row.reason(made.thought, faults)
            del whole["service_tier"]
            row.shape(whole, body, faults)
            return self._whole(whole, faults)
        events = self._events(events, whole, made, body, faults)
        return Reply(200, [openai.STREAM, *self._headers()], events=events,
                     error=self.stream_error(faults), encode=encode)  # fmt: skip

    def _events(
        self, events: list[Event], whole: Json, made: Answer, body: Json, faults: Faults
    ) -> list[Event]:
        row, usage = self._row, whole.get("usage")
        told: list[Event] = []
        for event in events[:-1]:
            [choice] = event.data["choices"]
            _drop_unknown(choice["delta"])
            calls = choice["delta"].get("tool_calls")
            if row.whole_calls and calls:
                continue
            if row.whole_calls and choice["finish_reason"] is not None:
                told += _called(event, whole)
            told.append(event)
            if choice["delta"].get("role"):
                told += _thought(event, made, row, faults)
        finish = told[-1].data
        if usage is not None and row.usage_in == "finish":
            finish["usage"] = usage
        elif usage is not None and (row.usage_in == "always" or _asked(body)):
            told.append(Event({**finish, "choices": [], "usage": usage}))
        for event in told:
            del event.data["service_tier"]
            row.shape(event.data, body, faults)
        comments = [Event(text, COMMENT) for text in row.opening]
        return [*comments, *told, Event("[DONE]")]


def encode(event: Event, faults: Faults) -> bytes:
    """An event as server-sent-event lines; one that is named a comment is one."""
    if event.name != COMMENT:
        return encode_event(event, faults)
    eol = b"\r\n" if faults.crlf else b"\r" if faults.cr else b"\n"
    return b": " + str(event.data).encode() + eol + eol


def _drop_unknown(message: Json) -> None:
    """Drops what only OpenAI itself says."""
    message.pop("refusal", None)
    message.pop("annotations", None)


def _asked(body: Json) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _count_thought(usage: Json, made: Answer) -> None:
    usage["completion_tokens_details"] = {"reasoning_tokens": made.thought_tokens}
    usage["prompt_tokens_details"] = {"cached_tokens": made.cached_tokens}


def _thought(event: Event, made: Answer, row: Row, faults: Faults) -> list[Event]:
    """The deltas of the thought, after the one that names the role."""
    deltas = []
    for piece in content.halves(made.thought):
        data = copy.deepcopy(event.data)
        data["choices"][0]["delta"] = {"content": None, **row.reason(piece, faults)}
        deltas.append(Event(data, content=True))
    return deltas


def _called(finish: Event, whole: Json) -> list[Event]:
    """The calls of a whole answer, as one delta."""
    index = finish.data["choices"][0]["index"]
    calls = whole["choices"][index]["message"].get("tool_calls")
    if not calls:
        return []
    data = copy.deepcopy(finish.data)
    listed = [{"index": place, **call} for place, call in enumerate(calls)]
    data["choices"][0] |= {"delta": {"tool_calls": listed}, "finish_reason": None}
    return [Event(data, content=True)]
