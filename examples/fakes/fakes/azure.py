"""The Azure OpenAI dialect: OpenAI's, by deployment, with the results of content filters.

Classic paths name the deployment, `/openai/deployments/{d}/chat/completions?api-version=…`;
v1 paths leave it to the body, `/openai/v1/chat/completions`. Embeddings likewise.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import unquote

from . import openai
from .faults import Faults, has_form
from .http import Headers, Json, Request
from .openai_rules import Refused, check_body, check_embeddings
from .replies import Event, Reply, html_reply, json_reply

NAME = "azure"

_CLASSIC = re.compile(r"/openai/deployments/([^/]+)/(chat/completions|embeddings)")
_V1 = re.compile(r"/openai/v1/(chat/completions|embeddings)")
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_SINCE = {"tools": "2023-12-01", "tool_choice": "2023-12-01", "stream_options": "2024-09-01"}
"""The API version that first took an argument."""

_BAD_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a"
    " valid key for an active subscription and use a correct regional API endpoint for your"
    " resource."
)
_BAD_TOKEN = (
    "Unauthorized. Access token is missing, invalid, audience is incorrect"
    " (https://cognitiveservices.azure.com), or have expired."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within"
    " the last 5 minutes, please wait a moment and try again."
)
_FLAGGED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management"
    " policy. Please modify your prompt and retry. To learn more about our content filtering"
    " policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
)
_TOO_MANY = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21"
    " have exceeded {what} of your current OpenAI S0 pricing tier. Please retry after {seconds:g}"
    " seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further"
    " increase the default rate limit."
)
_TOO_LONG = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in"
    " 130013 tokens. Please reduce the length of the messages."
)
_MESSAGES = {
    400: ("BadRequest", "Bad request."),
    401: ("401", _BAD_KEY),
    402: ("402", "The subscription is disabled."),
    403: ("AccessDenied", "Access denied due to Virtual Network/Firewall rules."),
    404: ("DeploymentNotFound", _NO_DEPLOYMENT),
    408: ("Timeout", "The operation was timeout."),
    500: ("InternalServerError", "The server had an error processing your request."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request."),
}
_PAGES = {502: "Bad Gateway", 504: "Gateway Time-out"}

_numbers = itertools.count(1)


class _Answered(Exception):
    """A refusal in the provider's own shape."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        _raise_asked_error(faults)
        _check_key(request)
        deployment, operation = _route(request)
        if operation == "models":
            return json_reply(200, openai.models(), _headers())
        body = dict(request.json() or {})
        if deployment is not None:
            _check_version(request, body)
            body["model"] = deployment
        _check_deployment(body)
        checked = body if request.json() is not None else None
        if operation == "embeddings":
            return _embeddings(check_embeddings(checked), faults)
        return _completion(_checked(check_body(checked)), faults)
    except Refused as refused:
        return _error_reply(_Answered(refused.status, {"error": refused.error}), faults)
    except _Answered as refused:
        return _error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    return Event(_error(500).body)


def _raise_asked_error(faults: Faults) -> None:
    if faults.quota:
        seconds = 86400 if faults.retry_after is None else faults.retry_after
        raise _too_many("the total quota", seconds, "insufficient_quota")
    if faults.context_length:
        raise Refused(_TOO_LONG, param="messages", code="context_length_exceeded")
    if faults.content_filter:
        flagged = _results(severity="medium", filtered=True)
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": flagged}
        error = {"message": _FLAGGED, "type": None, "param": "prompt", "code": "content_filter",
                 "status": 400, "innererror": inner}  # fmt: skip
        raise _Answered(400, {"error": error})
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status == 429:
        seconds = 7 if faults.retry_after is None else faults.retry_after
        raise _too_many("call rate limit", seconds, "429")
    if status is not None:
        raise _error(status)


def _error(status: int) -> _Answered:
    code, message = _MESSAGES.get(status, (str(status), f"Error {status}."))
    return _Answered(status, {"error": {"code": code, "message": message}})


def _too_many(what: str, seconds: float, code: str) -> _Answered:
    message = _TOO_MANY.format(what=what, seconds=seconds)
    return _Answered(429, {"error": {"code": code, "message": message}})


def _error_reply(refused: _Answered, faults: Faults) -> Reply:
    headers = _headers()
    seconds = faults.retry_after
    if seconds is None and refused.status == 429:
        seconds = 7
    if seconds is not None:
        headers += [("retry-after-ms", f"{seconds * 1000:.0f}"), ("retry-after", f"{seconds:g}")]
    if faults.huge_error is not None:
        refused.body["error"]["message"] = "e" * faults.huge_error
    elif refused.status in _PAGES:
        return html_reply(refused.status, _PAGES[refused.status], headers)
    return json_reply(refused.status, refused.body, headers)


def _headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    number = next(_numbers)
    return [
        ("apim-request-id", f"00000000-0000-4000-8000-{number:012x}"),
        ("x-request-id", f"00000000-0000-4000-9000-{number:012x}"),
        ("x-ms-region", "East US"),
        ("x-ms-deployment-name", "fake-deployment"),
        ("x-ms-rai-invoked", "true"),
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-remaining-tokens", "29960"),
        ("azureml-model-session", "d000-fake"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
    ]


def _check_key(request: Request) -> None:
    """One key: `api-key`, or a bearer token. One with `invalid` in it is refused."""
    key, token = request.header("api-key"), request.header("authorization")
    if key and token:
        raise _Answered(400, {"error": {"code": "400", "message": "Send api-key or a token."}})
    if key and "invalid" in key:
        raise _error(401)
    scheme, _, bearer = token.partition(" ")
    if not key and (scheme.lower() != "bearer" or not bearer.strip() or "invalid" in bearer):
        raise _Answered(401, {"statusCode": 401, "message": _BAD_TOKEN})


def _route(request: Request) -> tuple[str | None, str]:
    """The deployment, when the path names it, and the operation."""
    if request.method == "GET" and request.path in ("/openai/models", "/openai/v1/models"):
        return None, "models"
    if request.method == "POST":
        if found := _CLASSIC.fullmatch(request.path):
            return unquote(found[1]), found[2]
        if found := _V1.fullmatch(request.path):
            version = request.query.get("api-version", "v1")
            if version in ("v1", "preview", "latest"):
                return None, found[1]
            raise _Answered(400, {"error": {"code": "BadRequest",
                                            "message": "API version not supported"}})  # fmt: skip
    raise _Answered(404, {"error": {"code": "404", "message": "Resource not found"}})


def _check_version(request: Request, body: Json) -> None:
    version = request.query.get("api-version", "")
    if not _DATED.fullmatch(version):
        raise _Answered(404, {"error": {"code": "404", "message": "Resource not found"}})
    for name, since in _SINCE.items():
        if name in body and version[:10] < since:
            raise Refused(f"Unrecognized request argument supplied: {name}")


def _check_deployment(body: Json) -> None:
    if str(body.get("model", "")).startswith("no-such"):
        raise _error(404)


def _checked(body: Json) -> Json:
    for place, message in enumerate(body["messages"]):
        parts = message.get("content")
        for part in parts if isinstance(parts, list) else []:
            if part.get("type") == "image_url" and not isinstance(part.get("image_url"), dict):
                where = f"messages[{place}].content"
                raise Refused(f"Invalid type for '{where}': expected an object.", param=where)
        for call in message.get("tool_calls") or []:
            if not isinstance(call.get("function", {}).get("arguments", ""), str):
                where = f"messages[{place}].tool_calls"
                raise Refused(f"Invalid type for '{where}': expected a string.", param=where)
    return body


def _embeddings(body: Json, faults: Faults) -> Reply:
    answer = openai.embedded(body, faults)
    return json_reply(200, stream_error().data if faults.error_first else answer, _headers())


def _results(severity: str = "safe", filtered: bool = False) -> Json:
    calm = {"filtered": False, "severity": "safe"}
    return {"hate": {"filtered": filtered, "severity": severity}, "self_harm": calm,
            "sexual": calm, "violence": calm}  # fmt: skip


def _prompt_results() -> list[Json]:
    calm = {**_results(), "jailbreak": {"filtered": False, "detected": False}}
    return [{"prompt_index": 0, "content_filter_results": calm}]


def _answer_results(finish: str | None) -> Json:
    found = _results("medium", filtered=True) if finish == "content_filter" else _results()
    quiet = {"filtered": False, "detected": False}
    return {**found, "protected_material_code": quiet, "protected_material_text": quiet}


def _completion(body: Json, faults: Faults) -> Reply:
    deployment: str = body["model"]
    model = openai.SNAPSHOTS.get(deployment, deployment)
    _, whole, events = openai.written(body, openai.prompt(body, NAME), model, faults)
    if events is not None:
        return Reply(200, [openai.STREAM, *_headers()], events=_events(events, faults))
    for choice in whole["choices"]:
        choice["content_filter_results"] = _answer_results(choice["finish_reason"])
    whole["prompt_filter_results"] = _prompt_results()
    return json_reply(200, stream_error().data if faults.error_first else whole, _headers())


def _events(events: list[Event], faults: Faults) -> list[Event]:
    opening = {**_nobody(), "choices": [], "prompt_filter_results": _prompt_results()}
    made = [Event(opening)]
    later = has_form(faults, "async_filter")
    said = 0
    for event in events:
        choices = event.data["choices"] if isinstance(event.data, dict) else []
        for choice in choices:
            text = choice["delta"].get("content") or ""
            said += len(text)
            if not later:
                choice["content_filter_results"] = (
                    _results() if text else _finish_results(choice["finish_reason"])
                )
        made.append(event)
        # With an asynchronous filter, what it found arrives on its own: after text, and after
        # the end.
        if later and choices and (event.content or choices[0]["finish_reason"]):
            made.append(Event(_annotation(choices[0]["index"], said)))
    return made


def _finish_results(finish: str | None) -> Json:
    return _answer_results(finish) if finish else {}


def _annotation(index: int, said: int) -> Json:
    offsets = {"check_offset": said, "start_offset": 0, "end_offset": said}
    found: dict[str, Any] = {
        "index": index, "finish_reason": None, "content_filter_results": _answer_results(None),
        "content_filter_offsets": offsets,
    }  # fmt: skip
    return {**_nobody(), "choices": [found]}


def _nobody() -> Json:
    return {"id": "", "object": "", "created": 0, "model": ""}
