"""The shapes of Bedrock's Converse request, and how its front end refuses what does not fit.

A shape is written `"name:Kind"`, with `!` after what is required, `[Kind]` for lists and `{Kind}`
for maps. A union has exactly one of its members.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .http import Json
from .protojson import decoded


class Refused(Exception):
    """A request the provider answers with an error."""

    def __init__(self, message: str, kind: str = "ValidationException", status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What a scalar must satisfy."""

    kind: str = "string"
    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()


_WRITTEN = {
    "Converse": "messages:[Message] system:[SystemContentBlock] inferenceConfig:Inference"
    " toolConfig:ToolConfig guardrailConfig:Guardrail additionalModelRequestFields:document"
    " promptVariables:document additionalModelResponseFieldPaths:[string]"
    " requestMetadata:{Metadata} performanceConfig:Performance serviceTier:ServiceTier"
    " outputConfig:OutputConfig",
    "Message": "role:Role! content:[ContentBlock]!",
    "ImageBlock": "format:ImageFormat! source:ImageSource! error:document",
    "S3Location": "uri:string! bucketOwner:string",
    "DocumentBlock": "format:DocumentFormat name:DocumentName! source:DocumentSource!"
    " context:string citations:document",
    "VideoBlock": "format:string! source:VideoSource!",
    "AudioBlock": "format:string! source:AudioSource! error:document",
    "ToolUseBlock": "toolUseId:ToolUseId! name:ToolName! input:document! type:string",
    "ToolResultBlock": "toolUseId:ToolUseId! content:[ToolResultContentBlock]! status:ToolStatus"
    " type:string",
    "CachePoint": "type:CacheType! ttl:CacheTtl",
    "ReasoningText": "text:string! signature:string",
    "Citations": "content:[document] citations:[document]",
    "Inference": "maxTokens:MaxTokens temperature:Fraction topP:Fraction"
    " stopSequences:[NonEmptyString]",
    "ToolConfig": "tools:[Tool]! toolChoice:ToolChoice",
    "ToolSpec": "name:ToolName! description:NonEmptyString inputSchema:InputSchema! strict:boolean",
    "SystemTool": "name:ToolName!",
    "Empty": "",
    "ChosenTool": "name:ToolName!",
    "Guardrail": "guardrailIdentifier:string guardrailVersion:string trace:string"
    " streamProcessingMode:string",
    "Performance": "latency:Latency",
    "ServiceTier": "type:Tier!",
    "OutputConfig": "textFormat:OutputFormat effort:string",
    "OutputFormat": "type:FormatType! structure:FormatStructure!",
    "SchemaDefinition": "schema:string! name:string description:string",
}
_UNIONS = {
    "ContentBlock": "text:string image:ImageBlock document:DocumentBlock video:VideoBlock"
    " audio:AudioBlock toolUse:ToolUseBlock toolResult:ToolResultBlock guardContent:document"
    " cachePoint:CachePoint reasoningContent:Reasoning citationsContent:Citations"
    " searchResult:document toolAddition:document toolRemoval:document",
    "SystemContentBlock": "text:NonEmptyString guardContent:document cachePoint:CachePoint",
    "ImageSource": "bytes:blob s3Location:S3Location",
    "DocumentSource": "bytes:blob s3Location:S3Location text:string content:[document]",
    "VideoSource": "bytes:blob s3Location:S3Location",
    "AudioSource": "bytes:blob s3Location:S3Location",
    "ToolResultContentBlock": "json:document text:string image:ImageBlock document:DocumentBlock"
    " video:VideoBlock searchResult:document",
    "Reasoning": "reasoningText:ReasoningText redactedContent:blob",
    "Tool": "toolSpec:ToolSpec systemTool:SystemTool cachePoint:CachePoint",
    "InputSchema": "json:document",
    "ToolChoice": "auto:Empty any:Empty tool:ChosenTool",
    "FormatStructure": "jsonSchema:SchemaDefinition",
}
_SCALARS = {
    "string": Limits(),
    "boolean": Limits("boolean"),
    "NonEmptyString": Limits(low=1),
    "Role": Limits(values=("user", "assistant", "system")),
    "ImageFormat": Limits(values=("png", "jpeg", "gif", "webp")),
    "DocumentFormat": Limits(
        values=("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
    ),
    "DocumentName": Limits(low=1, high=200),
    "ToolUseId": Limits(low=1, high=64, pattern="[a-zA-Z0-9_.:-]+"),
    "ToolName": Limits(low=1, high=64, pattern="[a-zA-Z0-9_-]+"),
    "ToolStatus": Limits(values=("success", "error")),
    "CacheType": Limits(values=("default",)),
    "CacheTtl": Limits(values=("5m", "1h")),
    "MaxTokens": Limits("integer", low=1),
    "Fraction": Limits("float", low=0, high=1),
    "Latency": Limits(values=("standard", "optimized")),
    "Tier": Limits(values=("priority", "default", "flex", "reserved")),
    "FormatType": Limits(values=("json_schema",)),
    "Metadata": Limits(high=256, pattern=r"[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}"),
}
_TYPES = {"string": (str,), "boolean": (bool,), "integer": (int,), "float": (int, float)}
_LENGTHS = {"toolConfig.tools": (1, None), "requestMetadata": (1, 16),
            "inferenceConfig.stopSequences": (0, 2500)}  # fmt: skip


def _members(written: str) -> dict[str, str]:
    return {name: kind for name, _, kind in (one.partition(":") for one in written.split())}


_STRUCTURES = {name: _members(text) for name, text in (_WRITTEN | _UNIONS).items()}


def check_shape(body: Json) -> None:
    """Refuses a body that is no Converse request, with all its faults at once."""
    faults: list[str] = []
    _check(body, "Converse", "", "", faults)
    if faults:
        plural = "s" if len(faults) > 1 else ""
        raise Refused(f"{len(faults)} validation error{plural} detected: {'; '.join(faults)}")


def _check(value: Any, kind: str, member: str, place: str, faults: list[str]) -> None:
    """Checks a value. `member` is its place as constraints name it, `place` as the rest does."""
    if kind == "document":
        return
    if kind in _STRUCTURES:
        _check_structure(value, kind, member, place, faults)
    elif kind[0] in "[{":
        _check_many(value, kind, member, place, faults)
    elif kind == "blob":
        if not isinstance(value, str) or decoded(value) is None:
            raise _unreadable(value, "Blob")
        if not value:
            faults.append(_constraint(value, member, "have length greater than or equal to 1"))
    else:
        _check_scalar(value, _SCALARS[kind], member, faults)


def _check_structure(value: Any, kind: str, member: str, place: str, faults: list[str]) -> None:
    if not isinstance(value, dict):
        raise _unreadable(value, kind)
    known = _STRUCTURES[kind]
    extra = [name for name in value if name not in known]
    if extra:
        at = f"#/{place.replace('.', '/')}" if place else "#"
        raise Refused(
            f"Malformed input request: {at}: extraneous key [{extra[0]}] is not permitted, please"
            " reformat your input and try again."
        )
    given = {name: item for name, item in value.items() if item is not None}
    if kind in _UNIONS and len(given) != 1:
        raise Refused(
            f"The {kind} object at {place} must set one of the following keys: {', '.join(known)}."
        )
    for name, inner in known.items():
        below = f"{member}.{name}" if member else name
        if name in given:
            at = f"{place}.{name}" if place else name
            _check(given[name], inner.rstrip("!"), below, at, faults)
        elif inner.endswith("!"):
            faults.append(_constraint(None, below, "not be null"))


def _check_many(value: Any, kind: str, member: str, place: str, faults: list[str]) -> None:
    inner = kind[1:-1]
    is_list = kind[0] == "["
    if not isinstance(value, list if is_list else dict):
        raise _unreadable(value, "List" if is_list else "Map")
    low, high = _LENGTHS.get(place, (None, None))
    if low is not None and len(value) < low:
        faults.append(_constraint(value, member, f"have length greater than or equal to {low}"))
    if high is not None and len(value) > high:
        faults.append(_constraint(value, member, f"have length less than or equal to {high}"))
    items = enumerate(value) if isinstance(value, list) else value.items()
    for key, item in items:
        below = f"{member}.{key + 1}.member" if is_list else f"{member}.{key}.member"
        _check(item, inner, below, f"{place}.{key}", faults)


def _check_scalar(value: Any, limits: Limits, member: str, faults: list[str]) -> None:
    if type(value) not in _TYPES[limits.kind]:
        raise _unreadable(value, limits.kind.capitalize())
    size: float = len(value) if isinstance(value, str) else value
    length = "have length" if isinstance(value, str) else "have value"
    if limits.low is not None and size < limits.low:
        low = f"{length} greater than or equal to {limits.low}"
        faults.append(_constraint(value, member, low))
    if limits.high is not None and size > limits.high:
        faults.append(_constraint(value, member, f"{length} less than or equal to {limits.high}"))
    if limits.pattern and not re.fullmatch(limits.pattern, value):
        words = f"satisfy regular expression pattern: {limits.pattern}"
        faults.append(_constraint(value, member, words))
    if limits.values and value not in limits.values:
        words = f"satisfy enum value set: [{', '.join(limits.values)}]"
        faults.append(_constraint(value, member, words))


def _constraint(value: Any, member: str, words: str) -> str:
    shown = (
        "null" if value is None else f"'{value if isinstance(value, str) else json.dumps(value)}'"
    )
    return f"Value {shown} at '{member}' failed to satisfy constraint: Member must {words}"


def _unreadable(value: Any, wanted: str) -> Refused:
    """The JSON is not of the type that the shape has."""
    tokens = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE",
              list: "START_ARRAY", dict: "START_OBJECT"}  # fmt: skip
    token = tokens.get(type(value), "NULL_VALUE")
    return Refused(f"{token} can not be converted to a {wanted}", "SerializationException")
