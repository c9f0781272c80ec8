"""What Gemini wants of a conversation: roles, tool turns that match, and its own signatures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from typing import Any

from .google_errors import Refused
from .http import Json
from .protojson import decoded

SKIP_SIGNATURE = b"skip_thought_signature_validator"
"""What may stand in for a signature that was never had, as in a conversation from elsewhere."""

_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
         "codeExecutionResult", "toolCall", "toolResponse")  # fmt: skip
_MIME = re.compile(r"image/(png|jpe?g|webp|heic|heif|gif|bmp)|audio/[\w.+-]+|video/[\w.+-]+"
                   r"|text/[\w.+-]+|application/(pdf|json|xml|rtf)(;.*)?")  # fmt: skip
_URI = re.compile(r"(https?|gs)://\S+")
_GENERATION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_MARK = b"\x12\x24fake-gemini:"


def generation(model: str) -> tuple[int, int]:
    """A model's generation, (2, 5) for gemini-2.5-flash; an alias stands for the newest."""
    found = _GENERATION.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else (3, 5)


def sign_call(call: Json) -> str:
    """The signature of a function call; it fits no other call."""
    arguments = json.dumps(call.get("args") or {}, sort_keys=True)
    return _sign(f"call {call.get('name')} {arguments}")


def sign_text() -> str:
    """The signature at the end of a text."""
    return _sign("text")


def _sign(what: str) -> str:
    return base64.b64encode(_MARK + hashlib.sha256(what.encode()).digest()).decode()


def check_contents(contents: list[Json], model: str, *, vertex: bool) -> None:
    """Refuses a conversation that the model could not go on with."""
    if not contents:
        if vertex:
            raise unable("at least one contents field is required")
        raise Refused("* GenerateContentRequest.contents: contents is not specified\n")
    for number, content in enumerate(contents):
        place = f"GenerateContentRequest.contents[{number}]"
        if content.get("role", "user") not in ("user", "model", ""):
            raise Refused("Please use a valid role: user, model.")
        if vertex and not content.get("role"):
            raise Refused("Please use a valid role: user, model.")
        check_parts(content, place, vertex=vertex)
    _check_tool_turns(contents)
    _check_signatures(contents, model)


def unable(why: str) -> Refused:
    """A refusal in the words that Vertex puts around its reasons."""
    return Refused(
        f"Unable to submit request because {why}. Learn more:"
        " https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
    )


def check_parts(content: Json, place: str, *, vertex: bool) -> None:
    """Each part carries exactly one thing, and one that the model reads."""
    parts = content.get("parts") or []
    says = any(part.get("text") != "" or part.get("thoughtSignature") for part in parts)
    if not parts or not says:
        if vertex:
            raise unable(
                "it must include at least one parts field, which describes the prompt input"
                if not parts
                else "it has an empty text parameter. Add a value to the parameter and try again"
            )
        raise Refused(f"* {place}.parts: contents.parts must not be empty.\n")
    for number, part in enumerate(parts):
        here = f"{place}.parts[{number}]"
        carried = [name for name in _DATA if name in part]
        if not carried:
            raise Refused(
                f"* {here}.data: required oneof field 'data' must have one initialized field\n"
            )
        if len(carried) > 1:
            short = here.partition(".")[2]
            raise Refused(
                f"Invalid value at '{short}' (oneof), oneof field 'data' is already set. Cannot"
                f" set '{carried[1]}'"
            )
        _check_media(part, vertex=vertex)
        for name, words in {
            "functionCall": "function_call",
            "functionResponse": "function_response",
        }.items():
            if name in part and not part[name].get("name"):
                raise Refused(f"* {here}.{words}.name: Name cannot be empty.\n")


def _check_media(part: Json, *, vertex: bool) -> None:
    media = part.get("inlineData") or part.get("fileData")
    if media is None:
        return
    kind = media.get("mimeType", "")
    if "fileData" in part and not _URI.fullmatch(media.get("fileUri", "")):
        uri = media.get("fileUri", "")
        raise Refused(
            f"Unsupported file URI type: {uri}. File uri must be a File API (i.e."
            " https://generativelanguage.googleapis.com/files/<id>), Youtube (i.e."
            " https://www.youtube.com/watch?v=<id>), or Google Cloud Storage (i.e."
            " gs://path/to/file) file uri."
        )
    if "fileData" in part and not kind and not vertex:
        return
    if not _MIME.fullmatch(kind):
        if vertex:
            raise unable(
                f"it has a mimeType parameter with value {kind}, which is not supported. Update"
                " the mimeType and try again"
            )
        raise Refused(f"Unsupported MIME type: {kind}")
    if "inlineData" in part and not media.get("data"):
        raise Refused(
            "Unable to process input image. Please retry or report in"
            " https://developers.generativeai.google/guide/troubleshooting"
        )


def named(content: Json, name: str) -> list[Json]:
    """The function calls, or the function responses, of a turn."""
    return [part[name] for part in content.get("parts") or [] if name in part]


def _check_tool_turns(contents: list[Json]) -> None:
    """Every turn of calls is answered by the very next turn, call by call."""
    waiting: list[Json] = []
    for number, content in enumerate(contents):
        calls, answers = named(content, "functionCall"), named(content, "functionResponse")
        before = contents[number - 1].get("role", "user") if number else None
        if answers and not waiting:
            raise Refused(
                "Please ensure that function response turn comes immediately after a function call"
                " turn."
            )
        if len(answers) != len(waiting):
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number"
                " of function call parts of the function call turn."
            )
        _check_names(waiting, answers)
        if calls and (content.get("role") != "model" or before in (None, "model")):
            raise Refused(
                "Please ensure that function call turn comes immediately after a user turn or"
                " after a function response turn."
            )
        waiting = calls
    if waiting:
        raise Refused(
            "Please ensure that multiturn requests end with a user role or a function response."
        )


def _check_names(calls: list[Json], answers: list[Json]) -> None:
    asked = Counter(call.get("name") for call in calls)
    told = Counter(answer.get("name") for answer in answers)
    ids: set[Any] = {call["id"] for call in calls if "id" in call}
    strangers = [
        answer["id"] for answer in answers if ids and answer.get("id", "") not in ids | {""}
    ]
    if asked != told or strangers:
        # The real one does not say what it minds.
        raise Refused("Request contains an invalid argument.")


def _check_signatures(contents: list[Json], model: str) -> None:
    """Each step since the user last spoke opens its calls with a signature, from Gemini 3 on."""
    spoke = [
        number
        for number, content in enumerate(contents)
        if content.get("role") != "model" and not named(content, "functionResponse")
    ]
    current = max(spoke, default=-1)
    for number, content in enumerate(contents):
        first = True
        for part in content.get("parts") or []:
            signature = part.get("thoughtSignature")
            call = part.get("functionCall")
            if signature is not None:
                _check_issued(signature, call)
            elif call and first and number > current and generation(model) >= (3, 0):
                raise Refused(
                    "Function call is missing a thought_signature in functionCall parts. This is"
                    " required for tools to work correctly, and missing thought_signature may lead"
                    " to degraded model performance. Additional data, function call"
                    f" `default_api:{call.get('name')}` , position {number + 1}. Please refer to"
                    " https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
                )
            first = first and not call


def _check_issued(signature: str, call: Json | None) -> None:
    given = decoded(signature) or b""
    own = decoded(sign_call(call) if call else sign_text())
    if given not in (SKIP_SIGNATURE, own):
        raise Refused("Corrupted thought signature.")
