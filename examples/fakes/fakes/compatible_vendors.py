"""The rows of those of the compatible family that serve models of their own."""

from __future__ import annotations

import re

from .compatible import Row, effort
from .compatible_rules import check_deepseek, check_qwen, check_xai, deepseek_thinks
from .content import Answer
from .faults import Faults, has_form
from .http import Json
from .openai_rules import Refused

# DeepSeek


def _deepseek_usage(usage: Json, made: Answer) -> None:
    usage["prompt_cache_hit_tokens"] = made.cached_tokens
    usage["prompt_cache_miss_tokens"] = made.prompt_tokens - made.cached_tokens


_CODE = "invalid_request_error"
DEEPSEEK = Row(
    "deepseek",
    bases=("/v1", ""),
    models=("deepseek-chat", "deepseek-reasoner", "deepseek-v4-pro"),
    said={
        401: (401, "authentication_error", _CODE,
              "Authentication Fails, Your api key: ****fake is invalid"),
        402: (402, "unknown_error", _CODE, "Insufficient Balance"),
        404: (404, "invalid_request_error", _CODE, "Not found"),
        422: (422, "invalid_request_error", _CODE, "Invalid parameters"),
        429: (429, "rate_limit_reached_error", _CODE, "Rate limit reached"),
        503: (503, "service_unavailable_error", _CODE,
              "Service is too busy. We advise users to temporarily switch to alternative LLM API"
              " service providers."),
        "model": (400, "invalid_request_error", _CODE, "Model Not Exist"),
        "quota": (402, "unknown_error", _CODE, "Insufficient Balance"),
        "billing": (402, "unknown_error", _CODE, "Insufficient Balance"),
        "content_filter": (400, "invalid_request_error", _CODE, "Content Exists Risk"),
    },
    check=check_deepseek,
    thinks=deepseek_thinks,
    usage=_deepseek_usage,
    usage_in="finish",
    opening=("keep-alive", "keep-alive"),
    blank_lines=3,
    headers=lambda number: [("x-ds-trace-id", f"{number:032x}"), ("server", "openresty")],
)  # fmt: skip


# Qwen on DashScope


def _qwen_thinks(body: Json) -> bool:
    return body.get("enable_thinking") is True or bool(re.match(r"qwq|qwen3-\d", body["model"]))


def _qwen_error(refused: Refused, faults: Faults) -> Json:
    return {"error": refused.error, "request_id": "00000000-fake-9000-8000-000000000001"}


QWEN = Row(
    "qwen",
    bases=("/compatible-mode/v1",),
    models=("qwen-plus", "qwen3-32b", "text-embedding-v4"),
    embeds=10,
    said={
        401: (401, "invalid_request_error", "invalid_api_key",
              "Incorrect API key provided. For details, see:"
              " https://help.aliyun.com/zh/model-studio/error-code#apikey-error"),
        404: (404, "invalid_request_error", "model_not_found",
              "The model `{model}` does not exist or you do not have access to it."),
        429: (429, "Throttling.RateQuota", "Throttling.RateQuota", "Requests rate limit exceeded,"
              " please try again later."),
        500: (500, "InternalError", "InternalError", "Internal server error!"),
        503: (503, "ServiceUnavailable", "ModelServingError", "Too many requests. Your requests are"
              " being throttled due to system capacity limits."),
        "quota": (400, "Arrearage", "Arrearage",
                  "Access denied, please make sure your account is in good standing."),
        "billing": (400, "Arrearage", "Arrearage",
                    "Access denied, please make sure your account is in good standing."),
        "context_length": (400, "invalid_request_error", "invalid_parameter_error",
                           "<400> InternalError.Algo.InvalidParameter: This model's maximum context"
                           " length is 131072 tokens."),
        "content_filter": (400, "data_inspection_failed", "data_inspection_failed",
                           "Input data may contain inappropriate content."),
    },
    error=_qwen_error,
    check=check_qwen,
    thinks=_qwen_thinks,
)  # fmt: skip


# xAI


def _xai_error(refused: Refused, faults: Faults) -> Json:
    if has_form(faults, "nested_error"):
        return {"error": refused.error}
    return {"code": refused.error["type"], "error": refused.error["message"]}


def _xai_usage(usage: Json, made: Answer) -> None:
    """Reasoning counts in the total only."""
    usage["completion_tokens"] -= made.thought_tokens
    usage |= {"num_sources_used": 0, "cost_in_usd_ticks": 4200000}


def _xai_shape(data: Json, body: Json, faults: Faults) -> None:
    for choice in data["choices"]:
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = ""


_BAD_ARGUMENT = "Client specified an invalid argument"
XAI = Row(
    "xai",
    models=("grok-4", "grok-3-mini"),
    embeds=128,
    said={
        400: (400, _BAD_ARGUMENT, None, "Invalid request content."),
        401: (401, "Unauthenticated", None, "No API key provided."),
        "key": (400, _BAD_ARGUMENT, None, "Incorrect API key provided: fa***ke. You can obtain an"
                " API key from https://console.x.ai."),
        403: (403, "The caller does not have permission to execute the specified operation", None,
              "The API key has been blocked."),
        404: (404, "Some requested entity was not found", None,
              "The model {model} does not exist or your team does not have access to it."),
        429: (429, "Some resource has been exhausted", None,
              "Too many requests for team fake. Your team's rate limit is Requests per Minute."),
        500: (500, "Service error", None, "Internal error."),
        503: (503, "The service is currently unavailable", None,
              "The model is at capacity currently. Please try again later."),
        "quota": (429, "Some resource has been exhausted", None,
                  "Your team has used all available credits or reached its monthly spending"
                  " limit."),
        "context_length": (400, _BAD_ARGUMENT, None, "This model's maximum prompt length is 131072"
                           " but the request contains 132013 tokens."),
        "content_filter": (403, "The caller does not have permission to execute the specified"
                           " operation", None, "Content violates usage guidelines."),
    },
    error=_xai_error,
    check=check_xai,
    thinks=lambda body: bool(re.search(r"mini|reasoning", body["model"]) or effort(body)),
    usage=_xai_usage,
    whole_calls=True,
    shape=_xai_shape,
)  # fmt: skip


ROWS = (DEEPSEEK, QWEN, XAI)
