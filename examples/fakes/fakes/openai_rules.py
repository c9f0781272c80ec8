"""What api.openai.com refuses on `POST /v1/chat/completions`, and in which words."""

from __future__ import annotations

import re
from typing import Any

from . import embeddings
from .http import Json, Request

KNOWN_ARGUMENTS = frozenset(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens"
    " max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction"
    " presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention"
    " reasoning_effort response_format safety_identifier seed service_tier stop store stream"
    " stream_options temperature tool_choice tools top_logprobs top_p user verbosity"
    " web_search_options".split()
)
KNOWN_EMBEDDING_ARGUMENTS = frozenset("dimensions encoding_format input model user".split())
ROLES = ("system", "assistant", "user", "function", "tool", "developer")

_REASONING_MODEL = re.compile(r"gpt-5|o[134](-|$)")
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header"
    " using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with"
    " blank username) if you're accessing the API from your browser and are prompted for a"
    " username and password. You can obtain an API key from"
    " https://platform.openai.com/account/api-keys."
)
_BAD_KEY = (
    "Incorrect API key provided: {key}. You can find your API key at"
    " https://platform.openai.com/account/api-keys."
)
BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using"
    " your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was"
    " not valid JSON. If you have trouble figuring out how to fix this, please contact us through"
    " our help center at help.openai.com.)"
)


class Refused(Exception):
    """A request the provider answers with an error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": kind, "param": param, "code": code}


def reasons(model: str) -> bool:
    """Whether it thinks before it answers."""
    return bool(_REASONING_MODEL.match(model))


def check_key(request: Request) -> None:
    """A key is needed; one with `invalid` in it is refused as revoked."""
    scheme, _, key = request.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused(_NO_KEY, status=401)
    if "invalid" in key:
        masked = key[:8] + "*" * 8 + key[-4:]
        raise Refused(_BAD_KEY.format(key=masked), status=401, code="invalid_api_key")


def check_body(body: Json | None) -> Json:
    """The body, if it is a request the provider would run."""
    body = _checked_head(body, KNOWN_ARGUMENTS)
    _check_parameters(body, body["model"])
    check_messages(body.get("messages"))
    return body


def check_embeddings(body: Json | None) -> Json:
    """The body, if it asks for vectors that the provider would make."""
    body = _checked_head(body, KNOWN_EMBEDDING_ARGUMENTS)
    if "input" not in body:
        code = "missing_required_parameter"
        raise Refused("Missing required parameter: 'input'.", param="input", code=code)
    try:
        embeddings.read(body["input"], most=2048)
    except ValueError:
        message = "'$.input' is invalid. Please check the API reference:"
        raise Refused(f"{message} https://platform.openai.com/docs/api-reference.") from None
    check_vector_form(body, takes_size=body["model"] != "text-embedding-ada-002")
    return body


def check_vector_form(body: Json, *, takes_size: bool = True) -> None:
    """Refuses lengths and encodings of vectors that there are not."""
    size, encoding = body.get("dimensions"), body.get("encoding_format")
    if size is not None and not takes_size:
        raise Refused("This model does not support specifying dimensions.")
    if size is not None and (type(size) is not int or not 0 < size <= 4096):
        message = f"Invalid value for 'dimensions' = {size}. Must be greater than 0."
        raise Refused(message, param="dimensions")
    if encoding not in (None, "float", "base64"):
        supported = "Supported values are: 'float' and 'base64'."
        message = f"Invalid value: '{encoding}'. {supported}"
        raise Refused(message, param="encoding_format", code="invalid_value")


def _checked_head(body: Json | None, known: frozenset[str]) -> Json:
    if body is None:
        raise Refused(BAD_JSON)
    unknown = [name for name in body if name not in known]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise Refused(f"Unrecognized request argument{plural} supplied: {', '.join(unknown)}")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused("you must provide a model parameter")
    if model.startswith("no-such"):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refused(message, status=404, code="model_not_found")
    return body


def _check_parameters(body: Json, model: str) -> None:
    if "stream_options" in body and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(message, param="stream_options")
    if not reasons(model):
        if "reasoning_effort" in body:
            raise Refused("Unrecognized request argument supplied: reasoning_effort")
        return
    if body.get("max_tokens") is not None:
        raise Refused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
            " 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature") not in (None, 1):
        raise Refused(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this"
            " model. Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )


def check_messages(messages: Any) -> None:
    """Refuses messages without a known role, and calls and results that do not match."""
    if messages is None:
        code = "missing_required_parameter"
        raise Refused("Missing required parameter: 'messages'.", param="messages", code=code)
    if not isinstance(messages, list) or not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise Refused(message, param="messages", code="empty_array")
    waiting: dict[str, None] = {}
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            expected = ", ".join(f"'{name}'" for name in ROLES)
            raise Refused(
                f"Invalid value: '{role}'. Supported values are: {expected}.",
                param=f"messages[{number}].role",
                code="invalid_value",
            )
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                raise Refused(
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    " preceeding message with 'tool_calls'.",
                    param=f"messages.[{number}].role",
                )
            del waiting[message["tool_call_id"]]
            continue
        _check_all_answered(waiting, number)
        if role == "assistant":
            waiting = {call.get("id"): None for call in message.get("tool_calls") or []}
        if message.get("content") is None and not (role == "assistant" and _says(message)):
            raise Refused(
                "Invalid value for 'content': expected a string, got null.",
                param=f"messages.[{number}].content",
            )
    _check_all_answered(waiting, len(messages))


def _says(message: Json) -> bool:
    return any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))


def _check_all_answered(waiting: dict[str, None], number: int) -> None:
    if waiting:
        raise Refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages:"
            f" {', '.join(map(str, waiting))}",
            param=f"messages.[{number - 1}].role",
        )
