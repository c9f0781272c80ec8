"""What single providers of the compatible family refuse, and in which words."""

from __future__ import annotations

import re

from .http import Json
from .openai_rules import Refused

_GROQ = frozenset(
    "citation_options compound_custom disable_tool_validation documents exclude_domains"
    " frequency_penalty function_call functions include_domains include_reasoning logit_bias"
    " logprobs max_completion_tokens max_tokens messages metadata model n parallel_tool_calls"
    " presence_penalty reasoning_effort reasoning_format response_format search_settings seed"
    " service_tier stop store stream stream_options temperature tool_choice tools top_logprobs"
    " top_p user".split()
)
_GROQ_MESSAGE = frozenset(("role", "content", "tool_calls", "tool_call_id", "reasoning"))
_XAI_REASONERS = re.compile(r"grok-4|grok-code-fast")
_MUST_RETURN = "The `reasoning_content` in the thinking mode must be passed back to the API."


def deepseek_thinks(body: Json) -> bool:
    """Whether DeepSeek thinks about this request: its newer models do unless told not to."""
    wanted = (body.get("thinking") or {}).get("type")
    if wanted is None and body.get("reasoning_effort") == "none":
        wanted = "disabled"
    if wanted is not None:
        return bool(wanted == "enabled")
    return bool(re.match(r"deepseek-(reasoner|v4)", body["model"]))


def check_deepseek(body: Json) -> None:
    """Text only but for models that see, functions only, no schemas; and thoughts have to come back."""
    for place, message in enumerate(body["messages"]):
        if message["role"] == "developer":
            raise _unread(place, "unknown variant `developer`, expected one of `system`, `user`,"
                                 " `assistant`, `tool`")  # fmt: skip
        parts = message.get("content")
        for part in parts if isinstance(parts, list) else []:
            if part.get("type") != "text" and not re.search("vl|v4-flash", body["model"]):
                raise _unread(place, f"unknown variant `{part.get('type')}`, expected `text`")
    for tool in body.get("tools") or []:
        if tool.get("type") != "function":
            raise Refused(f"tools: unknown variant `{tool.get('type')}`, expected `function`")
    if (body.get("response_format") or {}).get("type") == "json_schema":
        raise Refused("This response_format type is unavailable now", code="invalid_request_error")
    # Only the V4 models are known to insist; the older reasoner is left alone.
    if deepseek_thinks(body) and not body["model"].startswith("deepseek-reasoner"):
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        if not all(message.get("reasoning_content") for message in said):
            raise Refused(_MUST_RETURN, code="invalid_request_error")


def _unread(place: int, why: str) -> Refused:
    start = "Failed to deserialize the JSON body into the target type"
    return Refused(f"{start}: messages[{place}]: {why}", status=422, code="invalid_request_error")


def check_groq(body: Json) -> None:
    """Unknown fields at any level, and fields that are known and not supported."""
    for name in body:
        if name not in _GROQ:
            raise Refused(f"property '{name}' is unsupported")
    for name in ("logprobs", "top_logprobs", "logit_bias"):
        if body.get(name):
            raise Refused(f"`{name}` is not supported with this model")
    if body.get("n") not in (None, 1):
        raise Refused("'n' : number must be at most 1", param="n")
    for place, message in enumerate(body["messages"]):
        for name in message:
            if name not in _GROQ_MESSAGE:
                where = f"'messages.{place}'"
                raise Refused(
                    f"{where} : for 'role:{message['role']}' the following must be satisfied"
                    f"[({where} : property '{name}' is unsupported)]"
                )
    if (body.get("response_format") or {}).get("type") == "json_schema":
        for name in ("stream", "tools"):
            if body.get(name):
                raise Refused(f"json_schema response format is not supported with {name}")
    if body.get("service_tier") not in (None, "auto", "on_demand", "flex", "performance"):
        raise Refused("'service_tier' : value must be one of auto, on_demand, flex, performance")


def check_qwen(body: Json) -> None:
    """Models that think answer as a stream only."""
    if body.get("stream"):
        return
    if body["model"].startswith("qwq"):
        raise Refused(
            "This model only support stream mode, please enable the stream parameter to access"
            " the model.",
            code="invalid_parameter_error",
        )
    on = body.get("enable_thinking")
    by_default = re.match(r"qwen3-\d", body["model"]) and "instruct" not in body["model"]
    if on is True or (on is None and by_default):
        message = "parameter.enable_thinking must be set to false for non-streaming calls"
        raise Refused(message, code="invalid_parameter_error")


def check_xai(body: Json) -> None:
    """What reasoning models do not take, and a search that is gone."""
    kind = "Client specified an invalid argument"
    if _XAI_REASONERS.match(body["model"]):
        for name, said in (("stop", "stop"), ("presence_penalty", "presencePenalty"),
                           ("frequency_penalty", "frequencyPenalty")):  # fmt: skip
            if body.get(name):
                message = f"Model {body['model']} does not support parameter {said}."
                raise Refused(message, kind=kind)
    for name in ("web_search_options", "search_parameters"):
        if body.get(name):
            raise Refused("Live search is deprecated.", status=410, kind=kind)
