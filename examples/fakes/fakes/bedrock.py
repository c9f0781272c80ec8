"""The Bedrock dialect: Converse, whole and streamed, and the embedding models behind `invoke`."""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import unquote

from . import content
from .anthropic import REDACTED
from .anthropic_rules import sign
from .bedrock_embeddings import embed
from .bedrock_rules import as_messages, check_caller, check_converse, check_model, claude, schema_of
from .bedrock_shapes import Refused
from .content import Answer, Prompt, Tool
from .eventstream import CONTENT_TYPE, Encoder
from .faults import Faults
from .http import Headers, Json, Request
from .replies import Event, Reply, json_reply

NAME = "bedrock"
NAMESPACE = "http://internal.amazon.com/coral/com.amazon.bedrock/"
"""What the error type in a header may trail behind it."""

_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)")
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use",
          "refusal": "guardrail_intervened"}  # fmt: skip
_FINISHES = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "guardrail_intervened",
             "content_filtered", "malformed_model_output", "malformed_tool_use",
             "model_context_window_exceeded")  # fmt: skip
_FINISH = re.compile(r"\bfinish ([a-z_]+)\b")
_EXCEPTION = re.compile(r"\bexception (\w+Exception)\b")
_ERRORS = {
    400: ("ValidationException", "The request is not valid."),
    402: ("AccessDeniedException", "Your account has a billing issue."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model"
          " ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model from the provided"
          " model identifier."),
    408: ("ModelTimeoutException", "The model timed out while processing the request. Try again."),
    413: ("RequestEntityTooLargeException", "The request is too large."),
    424: ("ModelErrorException", "The system encountered an unexpected error during processing."
          " Try your request again."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The system encountered an unexpected error during processing."
          " Try your request again."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}  # fmt: skip
_IN_STREAM = {
    "internalServerException": 500, "modelStreamErrorException": 424, "validationException": 400,
    "throttlingException": 429, "serviceUnavailableException": 503,
}  # fmt: skip
_QUOTA = "Too many tokens per day, please wait before trying again."
_BILLING = (
    "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be"
    " provided.. Your AWS Marketplace subscription for this model cannot be completed at this"
    " time. If you recently fixed this issue, try again after 15 minutes."
)

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        _raise_asked_error(faults)
        check_caller(request)
        found = _PATH.fullmatch(request.path)
        if request.method != "POST" or not found:
            return _unknown_operation()
        model, operation = unquote(found[1]), found[2]
        check_model(model)
        if operation == "invoke":
            return _embedded(request, model, faults)
        return _converse(request, model, operation, faults)
    except Refused as refused:
        return _error_reply(refused, faults)


def stream_error(kind: str = "modelStreamErrorException") -> Event:
    """The exception that a stream carries once its 200 is sent."""
    message = _ERRORS[_IN_STREAM[kind]][1]
    data: Json = {"message": message}
    if kind == "modelStreamErrorException":
        data |= {"originalStatusCode": 500, "originalMessage": "Internal Server Error"}
    return Event(data, kind)


def _raise_asked_error(faults: Faults) -> None:
    if faults.quota:
        raise Refused(_QUOTA, "ThrottlingException", 429)
    if faults.billing:
        raise Refused(_BILLING, "AccessDeniedException", 403)
    if faults.context_length:
        raise Refused("Input is too long for requested model.")
    if faults.content_filter:
        raise Refused("Output blocked by content filtering policy")
    status = faults.status
    if status is None and faults.huge_error is not None:
        status = 500
    if status is not None:
        kind, message = _ERRORS.get(status, ("", f"Error {status}"))
        raise Refused(message, kind, status)


def _error_reply(refused: Refused, faults: Faults) -> Reply:
    headers = _headers()
    if faults.retry_after is not None:
        headers.append(("retry-after", f"{faults.retry_after:g}"))
    message = str(refused)
    if faults.huge_error is not None:
        message = "e" * faults.huge_error
    elif not refused.kind:
        page = "<html><body><b>Http/1.1 Service Unavailable</b></body> </html>"
        return Reply(refused.status, [("content-type", "text/html"), *headers], page.encode())
    coral = refused.status in (400, 429) and refused.kind != "SerializationException"
    kind = f"{refused.kind}:{NAMESPACE}" if coral else refused.kind
    # The layer that knows the caller writes its key with a capital.
    key = "Message" if "API Key" in message else "message"
    return json_reply(refused.status, {key: message}, [*headers, ("x-amzn-errortype", kind)])


def _unknown_operation() -> Reply:
    body = {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"},
            "Version": "1.0"}  # fmt: skip
    return json_reply(404, body, [*_headers(), ("x-amzn-errortype", "UnknownOperationException")])


def _headers() -> Headers:
    """What the provider tells its customer, none of which is for the customer's clients."""
    number = next(_numbers)
    return [
        ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("x-amzn-requestid", str(uuid.UUID(int=0xFA4E << 112 | number))),
    ]


def _embedded(request: Request, model: str, faults: Faults) -> Reply:
    answer, count = embed(request.json(), model)
    headers = [*_headers(), ("x-amzn-bedrock-invocation-latency", "42")]
    if faults.no_usage:
        answer.pop("inputTextTokenCount", None)
    else:
        headers.append(("x-amzn-bedrock-input-token-count", str(count)))
    return json_reply(200, stream_error().data if faults.error_first else answer, headers)


def _converse(request: Request, model: str, operation: str, faults: Faults) -> Reply:
    body = check_converse(request.json(), model)
    prompt = _prompt(body, model)
    made = content.answer(prompt, faults)
    wanted = [name for name in _FINISH.findall(prompt.text) if name in _FINISHES]
    stop = wanted[0] if wanted else _STOPS.get(made.finish, made.finish)
    kinds = [name for name in _EXCEPTION.findall(prompt.text) if name in _IN_STREAM]
    error = stream_error(kinds[0]) if kinds else stream_error()
    blocks = _blocks(made)
    if operation == "converse-stream":
        headers = [("content-type", CONTENT_TYPE), *_headers()]
        events = _events(blocks, made, stop, faults)
        return Reply(200, headers, events=events, error=error, encode=Encoder())
    answer: Json = {
        "metrics": {"latencyMs": 412},
        "output": {"message": {"content": blocks, "role": "assistant"}},
        "stopReason": stop,
        "usage": _usage(made),
    }
    if faults.no_usage:
        del answer["usage"]
    if faults.error_first:
        kind = (error.name or "")[:1].upper() + (error.name or "")[1:]
        answer = {"Output": {"__type": f"com.amazon.bedrock#{kind}"}, "Version": "1.0"}
    return json_reply(200, answer, _headers())


def _prompt(body: Json, model: str) -> Prompt:
    messages: list[Json] = body["messages"]
    every = [*(message["content"] for message in messages), body.get("system") or []]
    prompt = Prompt(NAME, model, size=sum(len(_text_of(blocks)) for blocks in every))
    turns = [message["content"] for message in messages if message["role"] == "user"]
    said = [" ".join(block["text"] for block in blocks if "text" in block) for blocks in turns]
    prompt.text = next((text for text in reversed(said) if text), "")
    if not said[-1]:
        results = [block["toolResult"] for block in turns[-1] if "toolResult" in block]
        prompt.tool_results = [_text_of(result["content"]) for result in results]
    _read_tools(body, prompt)
    prompt.schema = schema_of(body)
    prompt.told_json = content.wants_json(_text_of(body.get("system") or []))
    inference = body.get("inferenceConfig") or {}
    prompt.max_tokens = inference.get("maxTokens")
    prompt.stops = inference.get("stopSequences") or []
    extra = body.get("additionalModelRequestFields") or {}
    thinking = extra.get("thinking") or extra.get("reasoningConfig")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    prompt.may_think = kind in ("enabled", "adaptive") or bool(extra.get("reasoning_effort"))
    return prompt


def _text_of(blocks: list[Json]) -> str:
    """All the text in a message or tool result, for counting and for quoting."""
    return " ".join(_words(block) for block in blocks)


def _words(block: Json) -> str:
    if "json" in block:
        return json.dumps(block["json"], ensure_ascii=False)
    inner = block.get("toolResult", {}).get("content", [])
    return block.get("text") or _text_of(inner)


def _read_tools(body: Json, prompt: Prompt) -> None:
    """The tools the model may call, as `toolChoice` leaves them."""
    config = body.get("toolConfig") or {}
    choice = config.get("toolChoice") or {"auto": {}}
    specs = [tool["toolSpec"] for tool in config.get("tools") or [] if "toolSpec" in tool]
    if "tool" in choice:
        specs = [spec for spec in specs if spec["name"] == choice["tool"]["name"]]
    prompt.tools = [Tool(spec["name"], spec["inputSchema"]["json"]) for spec in specs]
    prompt.must_call = "auto" not in choice
    if claude(prompt.model):
        chosen = as_messages(body, "").get("tool_choice") or {}
        prompt.may_call_twice = not chosen.get("disable_parallel_tool_use")


def _blocks(made: Answer) -> list[Json]:
    blocks: list[Json] = []
    if made.redacted_thought:
        blocks.append({"reasoningContent": {"redactedContent": REDACTED}})
    if made.thought:
        told = {"text": made.thought, "signature": sign(made.thought)}
        blocks.append({"reasoningContent": {"reasoningText": told}})
    if made.pieces:
        blocks.append({"text": made.text})
    for call in made.tool_calls:
        use = {"toolUseId": f"tooluse_Fake{next(_numbers):018d}", "name": call.name,
               "input": call.arguments}  # fmt: skip
        blocks.append({"toolUse": use})
    return blocks


def _usage(made: Answer) -> Json:
    prompt = made.prompt_tokens - made.cached_tokens
    return {
        "inputTokens": prompt,
        "outputTokens": made.completion_tokens,
        "totalTokens": made.prompt_tokens + made.completion_tokens,
        "cacheReadInputTokens": made.cached_tokens,
        "cacheWriteInputTokens": 0,
    }


def _events(blocks: list[Json], made: Answer, stop: str, faults: Faults) -> list[Event]:
    """The stream: only tools announce themselves, and the usage comes after the end."""
    events = [Event({"role": "assistant"}, "messageStart")]
    for index, block in enumerate(blocks):
        events += _block_events(index, block, made)
    events.append(Event({"stopReason": stop}, "messageStop"))
    metadata: Json = {"metrics": {"latencyMs": 412}, "usage": _usage(made)}
    if faults.no_usage:
        del metadata["usage"]
    return [*events, Event(metadata, "metadata")]


def _block_events(index: int, block: Json, made: Answer) -> list[Event]:
    place: Json = {"contentBlockIndex": index}
    events: list[Event] = []
    deltas: list[Any] = []
    if "text" in block:
        deltas = [{"text": piece} for piece in made.pieces]
    elif use := block.get("toolUse"):
        start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        events.append(Event({**place, "start": start}, "contentBlockStart"))
        pieces = content.pieces_of_json(json.dumps(use["input"])) if use["input"] else []
        deltas = [{"toolUse": {"input": piece}} for piece in pieces]
    elif told := block["reasoningContent"].get("reasoningText"):
        half = len(told["text"]) // 2
        pieces = [told["text"][:half], told["text"][half:]]
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces]
        deltas.append({"reasoningContent": {"signature": told["signature"]}})
    else:
        deltas = [block]
    events += [Event({**place, "delta": d}, "contentBlockDelta", content=True) for d in deltas]
    return [*events, Event(place, "contentBlockStop")]
