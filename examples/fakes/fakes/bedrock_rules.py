"""What Bedrock's Converse refuses beyond the shape of a request, and in which words."""

from __future__ import annotations

import json
import re
from typing import Any

from . import anthropic_rules
from .bedrock_shapes import Refused, check_shape
from .http import Json, Request
from .sigv4 import ALGORITHM, fault_in, read

_ARN = re.compile(r"arn:aws(-[^:]+)?:(bedrock|sagemaker):[a-z0-9-]{1,20}:(\d{12})?:[\w/.:-]+")
_ID = re.compile(r"[a-zA-Z0-9-:._]+")
_CLAUDE = re.compile(r"(?:.*[./])?anthropic\.(claude-[a-z0-9-]+)")
_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9\-()\[\]]+(\s[a-zA-Z0-9\-()\[\]]+)*\s?")
_WITHOUT_STOPS = ("openai.", "deepseek.")
"""Makers whose models take no stop sequences."""
_MODEL_SAYS = "The model returned the following errors: "
_AUTH = {
    "expired": ("ExpiredTokenException", "The security token included in the request is expired"),
    "invalid": (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
}


def check_caller(request: Request) -> None:
    """A bearer key or a signature is needed; what was found is noted for `/fake/last`."""
    given = request.header("authorization")
    if not given:
        kind = "MissingAuthenticationTokenException"
        raise Refused("Missing Authentication Token", kind, 403)
    if given.startswith(f"{ALGORITHM} "):
        _check_signature(request, given)
        return
    request.notes["signature"] = None
    scheme, _, key = given.partition(" ")
    if scheme != "Bearer" or not key.strip() or "invalid" in key:
        words = "Authentication failed: Please make sure your API Key is valid."
        raise Refused(words, "AccessDeniedException", 403)
    if "expired" in key:
        kind, words = _AUTH["expired"]
        raise Refused(words, kind, 403)


def _check_signature(request: Request, given: str) -> None:
    claim = read(given)
    wrong = "Authorization header is not well formed." if claim is None else None
    if claim is None:
        request.notes["signature"] = wrong
        raise Refused(str(wrong), "IncompleteSignatureException", 403)
    wrong = fault_in(request, claim, "bedrock")
    request.notes["signature"] = wrong or "valid"
    named = f"{claim.access_key} {request.header('x-amz-security-token')}".lower()
    for word, (kind, words) in _AUTH.items():
        if word in named:
            raise Refused(words, kind, 403)
    if wrong:
        raise Refused(wrong, "InvalidSignatureException", 403)


def check_model(model: str) -> None:
    if not (_ARN.fullmatch(model) or _ID.fullmatch(model)) or model.startswith("no-such"):
        raise Refused("The provided model identifier is invalid.")
    if "on-demand" in model:
        raise Refused(
            f"Invocation of model ID {model} with on-demand throughput isn’t supported. Retry your"
            " request with the ID or ARN of an inference profile that contains this model."
        )


def claude(model: str) -> str | None:
    """The name that Anthropic gives a model, where it is one of theirs."""
    found = _CLAUDE.search(model)
    return found[1] if found else None


def check_converse(body: Json | None, model: str) -> Json:
    """The body, if it is a request the provider would run."""
    if body is None:
        raise Refused("Unexpected character in the request body", "SerializationException")
    check_shape(body)
    _check_system(body.get("system") or [])
    _check_turns(body)
    _check_tools(body.get("toolConfig") or {})
    _check_stops(body, model)
    schema_of(body)
    if not isinstance(body.get("additionalModelRequestFields") or {}, dict):
        raise _no_object("additionalModelRequestFields")
    if name := claude(model):
        _check_as_claude(body, name)
    return body


def _check_system(blocks: list[Json]) -> None:
    for place, block in enumerate(blocks):
        if "text" in block and not block["text"].strip():
            raise _blank("SystemContentBlock", f"system.{place}")


def _blank(kind: str, place: str) -> Refused:
    return Refused(
        f"The text field in the {kind} object at {place} is blank. Add text to the text field, and"
        " try again."
    )


def _check_turns(body: Json) -> None:
    messages = body.get("messages") or []
    if not messages or messages[0]["role"] != "user":
        raise Refused(
            "A conversation must start with a user message. Try again with a conversation that"
            " starts with a user message."
        )
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if number and message["role"] == messages[number - 1]["role"]:
            raise Refused(
                "A conversation must alternate between user and assistant roles. Make sure the"
                " conversation alternates between user and assistant roles and try again."
            )
        if not message["content"]:
            raise Refused(
                f"The content field in the Message object at messages.{number} is empty. Add a"
                " ContentBlock object to the content field and try again."
            )
        for place, block in enumerate(message["content"]):
            _check_block(block, f"messages.{number}.content.{place}", message)
        waiting = _check_results(message, number, waiting)
    if waiting:
        raise Refused(_expected(len(messages), waiting))
    used = any(
        name in block
        for m in messages
        for block in m["content"]
        for name in ("toolUse", "toolResult")
    )
    if used and "toolConfig" not in body:
        raise Refused(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )


def _check_block(block: Json, place: str, message: Json) -> None:
    if "text" in block and not block["text"].strip():
        raise _blank("ContentBlock", place)
    if "toolUse" in block and not isinstance(block["toolUse"]["input"], dict):
        raise _no_object(f"{place}.toolUse.input")
    wrong_side = {"toolUse": "user", "reasoningContent": "user", "toolResult": "assistant"}
    for name, role in wrong_side.items():
        if name in block and message["role"] == role:
            raise Refused(
                f"The {name} block at {place} is not allowed in a message with role {role}."
            )
    inner = block.get("toolResult", {}).get("content", [])
    if block.get("toolResult", {}).get("status") == "error" and not inner:
        raise Refused(
            f"The content field at {place}.toolResult cannot be empty when status value is error."
        )
    for number, result in enumerate(inner):
        if "json" in result and not isinstance(result["json"], dict):
            raise _no_object(f"{place}.toolResult.content.{number}.json")
    if "document" in block:
        _check_document(block["document"], message)


def _no_object(place: str) -> Refused:
    return Refused(
        f"The format of the value at {place} is invalid. Provide a json object for the field and"
        " try again."
    )


def _check_document(document: Json, message: Json) -> None:
    if not _DOCUMENT_NAME.fullmatch(document["name"]):
        raise Refused(
            "The document file name contains invalid characters. File names can only contain"
            " alphanumeric characters, whitespace characters, hyphens, parentheses, and square"
            " brackets. The name can't contain more than one consecutive whitespace character."
        )
    if not any("text" in block for block in message["content"]):
        raise Refused("A text block must be included in a message that contains a document.")


def _check_results(message: Json, number: int, waiting: list[str]) -> list[str]:
    """Every toolUse of the turn before is answered here. Gives those that now wait."""
    answered = [b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b]
    if missing := [one for one in waiting if one not in answered]:
        raise Refused(_expected(number, missing))
    if len(answered) > len(waiting):
        raise Refused(
            f"The number of toolResult blocks at messages.{number}.content exceeds the number of"
            " toolUse blocks of previous turn."
        )
    asked = [b["toolUse"]["toolUseId"] for b in message["content"] if "toolUse" in b]
    if twice := [one for one in asked if asked.count(one) > 1]:
        raise Refused(
            f"The toolUse blocks at messages.{number}.content contain duplicate Ids: {twice[0]}"
        )
    return asked


def _expected(number: int, missing: list[str]) -> str:
    ids = ", ".join(missing)
    return f"Expected toolResult blocks at messages.{number}.content for the following Ids: {ids}"


def _check_tools(config: Json) -> None:
    seen: set[str] = set()
    for place, tool in enumerate(config.get("tools") or []):
        spec = tool.get("toolSpec")
        if spec is None:
            continue
        schema = spec["inputSchema"].get("json")
        at = f"toolConfig.tools.{place}.toolSpec.inputSchema.json"
        if not isinstance(schema, dict):
            raise _no_object(at)
        if schema.get("type") != "object":
            raise Refused(f"The value at {at}.type must be one of the following: object.")
        if spec["name"] in seen:
            raise Refused(f"The tool name {spec['name']} is defined more than once in toolConfig.")
        seen.add(spec["name"])
    chosen = (config.get("toolChoice") or {}).get("tool")
    if chosen and chosen["name"] not in seen:
        raise Refused(
            f"The tool {chosen['name']} in toolChoice is not defined in toolConfig.tools."
        )


def _check_stops(body: Json, model: str) -> None:
    stops = (body.get("inferenceConfig") or {}).get("stopSequences")
    if stops and model.startswith(_WITHOUT_STOPS):
        raise Refused(
            "This model doesn't support the stopSequences field. Remove stopSequences and try"
            " again."
        )
    if claude(model) and any(not stop.strip() for stop in stops or []):
        words = "stop_sequences: each stop sequence must contain non-whitespace"
        raise Refused(_MODEL_SAYS + words)


def schema_of(body: Json) -> Any:
    """The schema that the answer must satisfy: it is sent as a text of JSON."""
    wanted = (body.get("outputConfig") or {}).get("textFormat")
    if not wanted:
        return None
    try:
        schema = json.loads(wanted["structure"]["jsonSchema"]["schema"])
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise _no_object("outputConfig.textFormat.structure.jsonSchema.schema")
    return schema


def as_messages(body: Json, model: str) -> Json:
    """The request as Anthropic's own API has it, which is what Bedrock asks a Claude model."""
    inference = body.get("inferenceConfig") or {}
    names = {"temperature": "temperature", "topP": "top_p", "stopSequences": "stop_sequences"}
    asked: Json = {
        "model": model,
        "max_tokens": inference.get("maxTokens", 4096),
        "messages": [
            {
                "role": one["role"],
                "content": [block for b in one["content"] if (block := _as_block(b))],
            }
            for one in body["messages"]
        ],
    }
    asked |= {ours: inference[theirs] for theirs, ours in names.items() if theirs in inference}
    config = body.get("toolConfig") or {}
    specs = [tool["toolSpec"] for tool in config.get("tools") or [] if "toolSpec" in tool]
    if specs:
        asked["tools"] = [
            {"name": s["name"], "input_schema": s["inputSchema"]["json"]} for s in specs
        ]
    for kind, value in (config.get("toolChoice") or {}).items():
        asked["tool_choice"] = {"type": kind} | value
    output = body.get("outputConfig") or {}
    if "effort" in output:
        asked["output_config"] = {"effort": output["effort"]}
    if (schema := schema_of(body)) is not None:
        form = {"type": "json_schema", "schema": schema}
        asked["output_config"] = asked.get("output_config", {}) | {"format": form}
    for name, value in (body.get("additionalModelRequestFields") or {}).items():
        if name in asked and name not in ("output_config", "anthropic_beta"):
            raise Refused(f"The additional field {name} conflicts with an existing field.")
        if name != "anthropic_beta":
            asked[name] = value
    return asked


def _as_block(block: Json) -> Json | None:
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if use := block.get("toolUse"):
        return {
            "type": "tool_use",
            "id": _plain(use["toolUseId"]),
            "name": use["name"],
            "input": use["input"],
        }
    if result := block.get("toolResult"):
        return {"type": "tool_result", "tool_use_id": _plain(result["toolUseId"])}
    if reasoning := block.get("reasoningContent"):
        if "redactedContent" in reasoning:
            return {"type": "redacted_thinking", "data": reasoning["redactedContent"]}
        told = reasoning["reasoningText"]
        return {"type": "thinking", "thinking": told["text"], "signature": told.get("signature")}
    if "image" in block or "document" in block:
        return {"type": "image" if "image" in block else "document", "source": {}}
    return None


def _plain(name: str) -> str:
    """Converse takes more characters in an id than the model does, and passes on those it knows."""
    return re.sub(r"[.:]", "_", name)


def _check_as_claude(body: Json, model: str) -> None:
    try:
        anthropic_rules.check_body(as_messages(body, model), anthropic_rules.VERSIONS[0])
    except anthropic_rules.Refused as refused:
        raise Refused(f"{_MODEL_SAYS}{refused}") from None
    sources = [b["image"]["source"] for m in body["messages"] for b in m["content"] if "image" in b]
    if any("s3Location" in source for source in sources):
        raise Refused("This model doesn't support images by S3 location. Send the bytes instead.")
