"""The rows of those of the compatible family that serve models of others."""

from __future__ import annotations

import re

from .compatible import Row, Said, effort
from .compatible_rules import check_groq
from .content import Answer
from .faults import Faults, has_form
from .http import Headers, Json
from .openai_rules import Refused

_BUSY = "Internal server error, please retry."


def _reasoning(text: str, faults: Faults) -> Json:
    return {"reasoning": text}


# Groq


def _groq_thinks(body: Json) -> bool:
    hidden = body.get("reasoning_format") == "hidden" or body.get("include_reasoning") is False
    model = body["model"]
    return not hidden and bool(re.search(r"gpt-oss|qwen3|deepseek-r1|qwq", model) or effort(body))


def _groq_error(refused: Refused, faults: Faults) -> Json:
    told = {name: refused.error[name] for name in ("message", "type", "code")}
    if told["code"] is None:
        del told["code"]
    if told.get("code") == "tool_use_failed":
        told["failed_generation"] = '<function=forecast {"city": "Paris" </function>'
    if told.get("code") == "json_validate_failed":
        told["failed_generation"] = '{"answer": '
    return {"error": told}


def _groq_usage(usage: Json, made: Answer) -> None:
    usage |= {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.03,
              "total_time": 0.032}  # fmt: skip


def _groq_shape(data: Json, body: Json, faults: Faults) -> None:
    name = f"req_{data['id'][-20:]}"
    data["x_groq"] = {"id": name}
    if data["object"] == "chat.completion":
        data["service_tier"] = "on_demand"
        return
    if data["choices"] and data["choices"][0]["finish_reason"] is not None:
        # Its usage comes here whether it was asked for or not.
        if "usage" in data:
            data["x_groq"]["usage"] = data.pop("usage")
    elif data["choices"] and not data["choices"][0]["delta"].get("role"):
        del data["x_groq"]


_FAILED = "See 'failed_generation' for more details."
_TPM = (
    "for model `llama-3.3-70b-versatile` in organization `org_fake` service tier `on_demand` on"
    " tokens per minute (TPM): Limit 12000, Requested 13000"
)
GROQ = Row(
    "groq",
    bases=("/openai/v1",),
    models=("llama-3.3-70b-versatile", "openai/gpt-oss-120b"),
    said={
        401: (401, "invalid_request_error", "invalid_api_key", "Invalid API Key"),
        413: (413, "tokens", "rate_limit_exceeded", f"Request too large {_TPM}"),
        429: (429, "tokens", "rate_limit_exceeded",
              f"Rate limit reached {_TPM}. Please try again in 7.66s."),
        498: (498, "service_unavailable", "capacity_exceeded",
              "Flex tier capacity exceeded. Please try again later."),
        499: (499, "request_cancelled", None, "The request was cancelled."),
        500: (500, "internal_server_error", None, "Internal Server Error"),
        503: (503, "internal_server_error", None, "Service Unavailable"),
        "context_length": (400, "invalid_request_error", "context_length_exceeded",
                           "Please reduce the length of the messages or completion."),
        "tool_use_failed": (400, "invalid_request_error", "tool_use_failed",
                            f"Failed to call a function. Please adjust your prompt. {_FAILED}"),
        "json_validate_failed": (400, "invalid_request_error", "json_validate_failed",
                                 f"Failed to generate JSON. Please adjust your prompt. {_FAILED}"),
    },
    error=_groq_error,
    check=check_groq,
    thinks=_groq_thinks,
    reason=_reasoning,
    usage=_groq_usage,
    usage_in="finish",
    whole_calls=True,
    shape=_groq_shape,
    headers=lambda number: [
        ("x-request-id", f"req_fake{number:020d}"), ("x-groq-region", "fake-1"),
        ("x-ratelimit-remaining-requests", "999"), ("x-ratelimit-reset-tokens", "1.2s"),
    ],
)  # fmt: skip


# OpenRouter


def _router_error(refused: Refused, faults: Faults) -> Json:
    metadata: Json = {"provider_name": "Fake", "raw": refused.error["message"]}
    if "flagged" in refused.error["message"]:
        metadata = {"provider_name": "Fake", "reasons": ["violence"], "flagged_input": "…"}
    told = {"code": refused.status, "message": refused.error["message"], "metadata": metadata}
    return {"error": told, "user_id": "user_fake"}


def _router_stream_error(faults: Faults) -> Json:
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""},
              "finish_reason": "error", "native_finish_reason": "error"}  # fmt: skip
    return {
        "id": "gen-fake", "provider": "Fake", "model": "fake/model", "created": 1763700000,
        "object": "chat.completion.chunk", "choices": [choice],
        "error": {"code": 502, "message": _BUSY, "metadata": {"provider_name": "Fake"}},
    }  # fmt: skip


def _router_reason(text: str, faults: Faults) -> Json:
    detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
    return {"reasoning": text, "reasoning_details": [detail]}


def _router_thinks(body: Json) -> bool:
    asked = body.get("reasoning") or {}
    return (bool(asked) and not asked.get("exclude")) or effort(body)


def _router_usage(usage: Json, made: Answer) -> None:
    usage |= {"cost": 0.00042, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}


def _router_shape(data: Json, body: Json, faults: Faults) -> None:
    data["provider"] = "Fake"
    data["id"] = data["id"].replace("chatcmpl-", "gen-")
    for choice in data["choices"]:
        choice["native_finish_reason"] = choice["finish_reason"]
    if not data["choices"]:
        delta = {"role": "assistant", "content": ""}
        data["choices"] = [{"index": 0, "delta": delta, "finish_reason": None,
                            "native_finish_reason": None, "logprobs": None}]  # fmt: skip


OPENROUTER = Row(
    "openrouter",
    bases=("/api/v1",),
    models=("openai/gpt-4o", "anthropic/claude-sonnet-4.5"),
    embeds=2048,
    said={
        401: (401, "", None, "No auth credentials found"),
        402: (402, "", None, "Insufficient credits. Add more using"
              " https://openrouter.ai/settings/credits"),
        404: (404, "", None, "No endpoints found for {model}."),
        429: (429, "", None, "Rate limit exceeded: free-models-per-min."),
        500: (500, "", None, _BUSY),
        502: (502, "", None, "Provider returned error"),
        503: (503, "", None, "No instances available"),
        "model": (400, "", None, "{model} is not a valid model ID"),
        "quota": (429, "", None, "Rate limit exceeded: free-models-per-day. Add 10 credits to"
                  " unlock 1000 free model requests per day"),
        "billing": (402, "", None, "Insufficient credits. Add more using"
                    " https://openrouter.ai/settings/credits"),
        "content_filter": (403, "", None, "Input was flagged"),
    },
    error=_router_error,
    stream_error=_router_stream_error,
    thinks=_router_thinks,
    reason=_router_reason,
    usage=_router_usage,
    usage_in="always",
    shape=_router_shape,
    opening=("OPENROUTER PROCESSING", "OPENROUTER PROCESSING"),
    headers=lambda number: [("x-generation-id", f"gen-{number:012d}"), ("server", "cloudflare")],
)  # fmt: skip


# Together


def _few(usage: Json, made: Answer) -> None:
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        del usage[name]


def _together_usage(usage: Json, made: Answer) -> None:
    _few(usage, made)
    usage["cached_tokens"] = made.cached_tokens


def _together_shape(data: Json, body: Json, faults: Faults) -> None:
    data["id"] = data["id"].replace("chatcmpl-", "o")
    del data["system_fingerprint"]
    for choice in data["choices"]:
        choice["seed"] = 42
        if choice["finish_reason"] == "stop":
            choice["finish_reason"] = "eos"
        if "delta" in choice:
            choice["text"] = choice["delta"].get("content") or ""
    if data["object"] == "chat.completion":
        data["prompt"] = []


TOGETHER = Row(
    "together",
    models=("meta-llama/Llama-3.3-70B-Instruct-Turbo", "BAAI/bge-base-en-v1.5"),
    embeds=2048,
    said={
        401: (401, "invalid_request_error", "invalid_api_key",
              "Invalid API key provided. You can find your API key at"
              " https://api.together.ai/settings/api-keys."),
        404: (404, "invalid_request_error", "model_not_available", "Unable to access model {model}."
              " Please visit https://api.together.ai/models to view the list of supported models."),
        429: (429, "model_rate_limit", None, "You have been rate limited."),
        503: (503, "server_error", "service_unavailable", "The server is overloaded."),
        "context_length": (422, "invalid_request_error", None, "Input validation error: `inputs`"
                           " tokens + `max_new_tokens` must be <= 131073. This model's maximum"
                           " context length is 131073."),
    },
    thinks=lambda body: bool(re.search(r"R1|Thinking|gpt-oss", body["model"])),
    reason=_reasoning,
    usage=_together_usage,
    usage_in="finish",
    shape=_together_shape,
)  # fmt: skip


# Ollama


def _ollama_error(refused: Refused, faults: Faults) -> Json:
    if has_form(faults, "nested_error"):
        return {"error": {**refused.error, "type": "api_error", "code": None}}
    return {"error": refused.error["message"]}


def _ollama_shape(data: Json, body: Json, faults: Faults) -> None:
    data["system_fingerprint"] = "fp_ollama"
    for choice in data["choices"]:
        said = choice.get("message") or choice.get("delta") or {}
        for call in said.get("tool_calls") or []:
            if has_form(faults, "no_ids"):
                del call["id"]
            else:
                call["id"] = f"call_{call['id'][-8:]}"


OLLAMA = Row(
    "ollama",
    models=("llama3.2:latest", "nomic-embed-text"),
    needs_key=False,
    embeds=2048,
    said={
        401: (401, "api_error", None, "unauthorized"),
        404: (404, "api_error", None, 'model "{model}" not found, try pulling it first'),
        500: (500, "api_error", None, "llama runner process has terminated: exit status 2"),
        503: (503, "api_error", None, "server busy, please try again. maximum pending requests"
              " exceeded"),
        "context_length": (400, "api_error", None,
                           "the input length exceeds the maximum context length"),
    },
    error=_ollama_error,
    ignores=("tool_choice", "parallel_tool_calls"),
    thinks=lambda body: body.get("think") is True or effort(body),
    reason=_reasoning,
    usage=_few,
    whole_calls=True,
    shape=_ollama_shape,
    headers=lambda number: [],
)  # fmt: skip


# vLLM


def _vllm_error(refused: Refused, faults: Faults) -> Json:
    error = {**refused.error, "type": refused.error["type"], "code": refused.status}
    if has_form(faults, "nested_error"):
        return {"error": error}
    return {"object": "error", **error}


def _vllm_reason(text: str, faults: Faults) -> Json:
    old = has_form(faults, "reasoning_content")
    return {"reasoning_content" if old else "reasoning": text}


def _vllm_usage(usage: Json, made: Answer) -> None:
    del usage["completion_tokens_details"]


def _vllm_shape(data: Json, body: Json, faults: Faults) -> None:
    del data["system_fingerprint"]
    if data["object"] == "chat.completion":
        data |= {"prompt_logprobs": None, "kv_transfer_params": None}
    elif not data["choices"]:
        data["choices"] = None
    for choice in data["choices"] or []:
        choice["stop_reason"] = None
        said = choice.get("message") or choice.get("delta") or {}
        for call in said.get("tool_calls") or []:
            if "id" in call:
                call["id"] = f"chatcmpl-tool-{call['id'][-20:]}"


def _vllm_headers(number: int) -> Headers:
    return [("server", "uvicorn"), ("x-request-id", f"{number:032x}")]


_BAD = "BadRequestError"
_VLLM_SAID: dict[str | int, Said] = {
    400: (400, _BAD, None, "Bad request."),
    401: (401, "Unauthorized", None, "Unauthorized"),
    404: (404, "NotFoundError", None, "The model `{model}` does not exist."),
    500: (500, "InternalServerError", None, "EngineCore encountered an issue."),
    503: (503, "ServiceUnavailableError", None, "The model is paused."),
    "context_length": (400, _BAD, None, "This model's maximum context length is 8192 tokens."
                       " However, you requested 9001 tokens in the messages. Please reduce the"
                       " length of the messages."),
}  # fmt: skip
VLLM = Row(
    "vllm",
    models=("Qwen/Qwen3-8B", "BAAI/bge-m3"),
    needs_key=False,
    embeds=2048,
    said=_VLLM_SAID,
    error=_vllm_error,
    thinks=lambda body: bool(re.search(r"Qwen3|R1|gpt-oss", body["model"]) or effort(body)),
    reason=_vllm_reason,
    usage=_vllm_usage,
    shape=_vllm_shape,
    headers=_vllm_headers,
)


ROWS = (GROQ, OPENROUTER, TOGETHER, OLLAMA, VLLM)
