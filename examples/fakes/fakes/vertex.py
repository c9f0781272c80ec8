"""The Vertex dialect: Google's own models and Anthropic's, behind one token."""

from __future__ import annotations

import re
from urllib.parse import unquote

from . import anthropic, anthropic_rules, gemini, google_errors
from .faults import Faults
from .gemini import predict
from .google_errors import Refused, asked_error, error_info
from .http import Json, Request
from .replies import Event, Reply

NAME = "vertex"
ANTHROPIC_VERSIONS = ("vertex-2023-10-16", anthropic_rules.STRICT_VERSION)

_SERVICE = "aiplatform.googleapis.com"
_PATH = re.compile(
    r"/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/publishers/(google|anthropic)/models/([^/]+):(\w+)"
)
_VERBS = {
    "google": ("generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents",
               "predict"),
    "anthropic": ("rawPredict", "streamRawPredict"),
}  # fmt: skip
_OF_THE_MODEL = (400, 413, 500, 529)
"""Statuses with which an Anthropic model answers itself; the others are Google's."""
_OAUTH = (
    " Expected OAuth 2 access token, login cookie or other valid authentication credential. See"
    " https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    found = _PATH.fullmatch(request.path)
    publisher = found[1] if found else "google"
    try:
        if publisher == "anthropic" and _answers_itself(faults):
            anthropic.raise_asked_error(faults)
        if error := asked_error(faults):
            raise error
        _check_token(request)
        if request.method != "POST" or not found or found[3] not in _VERBS[publisher]:
            raise Refused("Method not found.", code=404)
        model, verb = unquote(found[2]), found[3]
        if publisher == "anthropic":
            return _claude(request, model, faults)
        if verb == "predict":
            return predict(request.json(), model, faults)
        return gemini.answer(request, model, verb, faults, NAME)
    except Refused as refused:
        return gemini.refusal(request, refused, faults)
    except anthropic_rules.Refused as refused:
        return anthropic.error_reply(refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    return gemini.stream_error()


def _answers_itself(faults: Faults) -> bool:
    """Whether the error that the faults ask for is the model's own."""
    if faults.quota or faults.billing:
        return False
    status = 500 if faults.huge_error is not None else 400
    return (faults.status or status) in _OF_THE_MODEL


def _check_token(request: Request) -> None:
    scheme, _, token = request.header("authorization").partition(" ")
    if scheme != "Bearer" or not token.strip():
        raise Refused(
            f"Request is missing required authentication credential.{_OAUTH}",
            code=401,
            details=[error_info("CREDENTIALS_MISSING", _SERVICE)],
        )
    for word, reason in {"invalid": "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                         "expired": "ACCESS_TOKEN_EXPIRED"}.items():  # fmt: skip
        if word in token:
            raise Refused(
                f"Request had invalid authentication credentials.{_OAUTH}",
                code=401,
                details=[error_info(reason, _SERVICE)],
            )


def _claude(request: Request, model: str, faults: Faults) -> Reply:
    """A Claude model: its version is in the body, its name only in the path."""
    if model.startswith("no-such"):
        name = request.path.partition(":")[0].split("/", 2)[2]
        raise Refused(
            f"Publisher Model `{name}` was not found or your project does not have access to it."
            " Please ensure you are using a valid model version. For more information, see:"
            " https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
            code=404,
        )
    body = request.json()
    if body is None:
        raise anthropic_rules.Refused("The request body is not valid JSON")
    if "model" in body:
        raise anthropic_rules.Refused("model: Extra inputs are not permitted")
    version = body.get("anthropic_version")
    if version is None:
        raise anthropic_rules.Refused("anthropic_version: Field required")
    if version not in ANTHROPIC_VERSIONS:
        raise anthropic_rules.Refused(f'anthropic_version: "{version}" is not a valid version')
    asked: Json = {name: value for name, value in body.items() if name != "anthropic_version"}
    # Vertex names a snapshot `model@date`, which the model itself does not see.
    asked["model"] = model.replace("@", "-")
    anthropic_rules.check_body(asked, version)
    _check_sources(asked)
    answer = anthropic.message(asked, faults, NAME)
    answer.error = anthropic.stream_error()
    answer.headers += google_errors.headers()[1:4]
    return answer


def _check_sources(body: Json) -> None:
    """Vertex fetches nothing: images and documents come with the request."""
    for number, message in enumerate(body["messages"]):
        for place, block in enumerate(anthropic_rules.blocks_of(message)):
            if (block.get("source") or {}).get("type") == "url":
                # It speaks of an image whatever the block is.
                raise anthropic_rules.Refused(
                    f"messages.{number}.content.{place}.image.source.base64.data: URL sources are"
                    " not supported"
                )
