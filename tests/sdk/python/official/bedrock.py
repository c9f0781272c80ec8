"""By botocore's model of the service: all required members and none that is unknown, of the right types, within
ranges, patterns and lengths, each union with exactly one member, each blob in base64."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import botocore.loaders
import botocore.model
import botocore.serialize
import botocore.validate

SERVICE = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime"
)
SERIALIZER = botocore.serialize.create_serializer(SERVICE.protocol, include_validation=False)
OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream"}


def check(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    match = re.search(r"/model/([^/]+)/(converse|converse-stream|invoke)$", path)
    if not match:
        return [f"path {path}"]
    if match[2] == "invoke":
        return []  # What is in there is the model's own affair, and no type tells of it.
    operation = SERVICE.operation_model(OPERATIONS[match[2]])
    shape = operation.input_shape
    whole = {"modelId": unquote(match[1])} | body
    try:
        parameters = _native(whole, shape)
    except (binascii.Error, ValueError) as error:
        return [f"a blob: {error}"]
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    faults = [report.generate_report()] if report.has_errors() else []
    faults = faults or [*_misfits(whole, shape, "body"), *_turns(body), *_document_names(body)]
    if faults:
        return faults
    sent = SERIALIZER.serialize_to_request(parameters, operation)
    if not path.endswith(sent["url_path"]):
        faults.append(f"botocore asks at {sent['url_path']}, and not at {path}")
    # It writes what it was given, so this finds what it would have left out.
    if json.loads(sent["body"]) != body:
        faults.append(f"botocore sends {sent['body'].decode()}")
    return faults


def _native(value: Any, shape: Any) -> Any:
    """The value as botocore's callers give it: blobs as bytes. Unknown members stay as they are."""
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        known = shape.members
        return {name: _native(inner, known[name]) if name in known else inner for name, inner in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_native(inner, shape.member) for inner in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _native(inner, shape.value) for key, inner in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def _misfits(value: Any, shape: Any, path: str) -> Iterator[str]:
    """What botocore's own validator leaves to the service: unknown members, words, patterns, lengths."""
    if getattr(shape, "is_document_type", False):
        return
    limits = shape.metadata
    if isinstance(value, (list, dict, str)) and shape.type_name != "structure" and len(value) > limits.get("max", len(value)):
        yield f"{path}: of length {len(value)}"
    if shape.type_name == "structure" and isinstance(value, dict):
        if shape.is_tagged_union and len(value) != 1:
            yield f"{path}: {len(value)} members of a union: {sorted(value)}"
        for name, inner in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown"
            else:
                yield from _misfits(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _misfits(inner, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, inner in value.items():
            yield from _misfits(key, shape.key, f"{path} key")
            yield from _misfits(inner, shape.value, f"{path}[{key}]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
        pattern = limits.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value!r} does not fit {pattern}"
    elif shape.type_name in ("float", "integer") and isinstance(value, (int, float)):
        if value > limits.get("max", value):
            yield f"{path}: {value} is too large"


def _document_names(body: Any) -> Iterator[str]:
    """What only the documentation says: letters, digits, single blanks, -()[], and each name once."""
    blocks = [block for message in body["messages"] for block in message["content"]]
    names = [block["document"]["name"] for block in blocks if "document" in block]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9\-()\[\]]+( [A-Za-z0-9\-()\[\]]+)*", name):
            yield f"a document named {name!r}"
    if len(set(names)) < len(names):
        yield f"documents of one name: {names}"


def _turns(body: Any) -> Iterator[str]:
    """What only the documentation says: the user begins, turns alternate, no text is blank, tools in the
    history need a toolConfig, and a document has a text beside it."""
    roles = [message["role"] for message in body["messages"]]
    if roles[:1] != ["user"]:
        yield "the user does not begin"
    if any(one == other for one, other in pairwise(roles)):
        yield f"turns do not alternate: {roles}"
    for index, message in enumerate(body["messages"]):
        blocks = message["content"]
        if not blocks:
            yield f"messages[{index}] is empty"
        if any("text" in block and not block["text"].strip() for block in blocks):
            yield f"messages[{index}] has a blank text"
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            yield f"messages[{index}] has a document without a text"
        if any("toolUse" in block or "toolResult" in block for block in blocks) and "toolConfig" not in body:
            yield f"messages[{index}] has tools, and there is no toolConfig"
