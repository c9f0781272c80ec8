"""Errors as Google's APIs write them, and the headers around every answer."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from .faults import Faults
from .http import Headers, Json
from .replies import Reply, encode_json

STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_TYPES = "type.googleapis.com/google.rpc."
_MESSAGES = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login"
         " cookie or other valid authentication credential. See"
         " https://developers.google.com/identity/sign-in/web/devconsole-project.",
    402: "Your prepayment credits are depleted. Please go to AI Studio to manage your project and"
         " billing.",
    403: "The caller does not have permission",
    404: "models/gemini-fake is not found for API version v1beta, or is not supported for"
         " generateContent. Call ListModels to see the list of available models and their"
         " supported methods.",
    409: "The operation was aborted.",
    413: "Request payload size exceeds the limit: 20971520 bytes.",
    429: "Resource has been exhausted (e.g. check quota).",
    499: "The operation was cancelled.",
    500: "An internal error has occurred. Please retry or report in"
         " https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
    504: "Deadline expired before operation could complete.",
}  # fmt: skip
_NO_MONEY = (
    "You exceeded your current quota, please check your plan and billing details. For more"
    " information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
_TOO_LONG = (
    "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
)

_numbers = itertools.count(1)


class Refused(Exception):
    """A request the provider answers with an error."""

    def __init__(
        self,
        message: str,
        *,
        code: int = 400,
        status: str | None = None,
        details: list[Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.error: Json = {
            "code": code, "message": message, "status": status or STATUSES.get(code, "UNKNOWN"),
        }  # fmt: skip
        if details:
            self.error["details"] = details


def error_info(reason: str, service: str) -> Json:
    return {
        "@type": f"{_TYPES}ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }


def bad_request(violations: list[tuple[str, str]]) -> Refused:
    """The error for fields that cannot be read, each with where it is."""
    listed = [{"field": at, "description": what} if at else {"description": what}
              for at, what in violations]  # fmt: skip
    detail = {"@type": f"{_TYPES}BadRequest", "fieldViolations": listed}
    return Refused("\n".join(what for _, what in violations), details=[detail])


def asked_error(faults: Faults) -> Refused | None:
    """The error that the faults ask for, if they do."""
    if faults.quota:
        return _exhausted(_NO_MONEY, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", faults)
    if faults.context_length:
        return Refused(_TOO_LONG)
    status = faults.status or (402 if faults.billing else None)
    if status is None and faults.huge_error is not None:
        status = 500
    if status is None:
        return None
    if status == 429:
        return _exhausted(_MESSAGES[429], "GenerateRequestsPerMinutePerProjectPerModel", faults)
    return Refused(_MESSAGES.get(status, f"Error {status}"), code=status)


def _exhausted(message: str, quota: str, faults: Faults) -> Refused:
    """Too many requests: the quota that is used up, and when to come back."""
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": "gemini-fake"},
        "quotaValue": "50",
    }
    details: list[Json] = [{"@type": f"{_TYPES}QuotaFailure", "violations": [violation]}]
    wait = 46.0 if faults.retry_after is None else faults.retry_after
    details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{wait:g}s"})
    return Refused(message, code=429, details=details)


def stream_error() -> Json:
    """The error that a stream carries once its 200 is sent."""
    return {"error": {"code": 503, "message": _MESSAGES[503], "status": STATUSES[503]}}


def error_reply(refused: Refused, faults: Faults, *, in_array: bool) -> Reply:
    """An error as a whole body; a stream that is a JSON array has it as its only element."""
    if faults.huge_error is not None:
        refused.error["message"] = "e" * faults.huge_error
    elif refused.code == 502:
        return _page(refused.code)
    body = {"error": refused.error}
    return pretty_reply(refused.code, [body] if in_array else body)


def pretty_reply(status: int, value: Any) -> Reply:
    """A JSON body with line breaks, as Google's front end writes it."""
    content = ("content-type", "application/json; charset=UTF-8")
    return Reply(status, [content, *headers()], encode_json(value, indent=2) + b"\n")


def _page(status: int) -> Reply:
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
        f"  <title>Error {status} (Server Error)!!1</title>\n  <p><b>{status}.</b>"
        " <ins>That’s an error.</ins>\n  <p>The server encountered a temporary error and could"
        " not complete your request.<p>Please try again in 30 seconds.\n"
    )
    kind = ("content-type", "text/html; charset=UTF-8")
    return Reply(status, [kind, ("referrer-policy", "no-referrer")], page.encode())


def headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    number = next(_numbers)
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("vary", "Origin, X-Origin, Referer"),
        ("server", "scaffolding on HTTPServer2"),
        ("x-xss-protection", "0"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", "gfet4t7; dur=412"),
        ("x-gemini-service-tier", "standard"),
        ("x-goog-fake-request", f"{number:016x}"),
        ("alt-svc", 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000'),
    ]


def quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
