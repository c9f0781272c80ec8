"""Checks the request fixtures of the Bedrock dialect against botocore's model of the service.

    pip install botocore==1.44.5
    python tests/sdk/validate_bedrock.py [FOLDER]

Each body that a fixture under FOLDER (tests/golden/bedrock/request) expects to be sent must be the input
of Converse or ConverseStream: with all required members and none that is unknown, of the right types,
within the ranges, patterns and lengths, each union with exactly one member, each blob in base64. The path
must be the one that botocore makes for the model's id.
"""

import base64
import binascii
import json
import pathlib
import re
import sys
from urllib.parse import unquote

import botocore.loaders
import botocore.model
import botocore.serialize
import botocore.validate

SERVICE = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime"
)


def native(value, shape):
    """The value as botocore's callers give it: blobs as bytes. Unknown members stay as they are."""
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        known = shape.members
        return {name: native(inner, known[name]) if name in known else inner for name, inner in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [native(inner, shape.member) for inner in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: native(inner, shape.value) for key, inner in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def misfits(value, shape, path):
    """What botocore's own validator leaves to the service: unknown members, words, patterns, lengths."""
    if getattr(shape, "is_document_type", False):
        return
    limits = shape.metadata
    if shape.type_name == "structure" and isinstance(value, dict):
        if shape.is_tagged_union and len(value) != 1:
            yield f"{path}: {len(value)} members of a union: {sorted(value)}"
        for name, inner in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown"
            else:
                yield from misfits(inner, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        if len(value) > limits.get("max", len(value)):
            yield f"{path}: {len(value)} entries"
        for index, inner in enumerate(value):
            yield from misfits(inner, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        if len(value) > limits.get("max", len(value)):
            yield f"{path}: {len(value)} entries"
        for key, inner in value.items():
            yield from misfits(key, shape.key, f"{path} key")
            yield from misfits(inner, shape.value, f"{path}[{key}]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
        if len(value) > limits.get("max", len(value)):
            yield f"{path}: {len(value)} characters"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value!r} does not fit {pattern}"
    elif shape.type_name in ("float", "integer") and isinstance(value, (int, float)):
        if value > limits.get("max", value):
            yield f"{path}: {value} is too large"


def check_document_names(body):
    """What only the documentation says: letters, digits, single blanks, -()[], and each name once."""
    names = [
        block["document"]["name"]
        for message in body["messages"]
        for block in message["content"]
        if "document" in block
    ]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9\-()\[\]]+( [A-Za-z0-9\-()\[\]]+)*", name):
            yield f"a document named {name!r}"
    if len(set(names)) < len(names):
        yield f"documents of one name: {names}"


def check_turns(body):
    """What only the documentation says: the user begins, turns alternate, no text is blank, tools in the
    history need a toolConfig, and a document has a text beside it."""
    roles = [message["role"] for message in body["messages"]]
    if roles[0] != "user":
        yield "the user does not begin"
    if any(one == other for one, other in zip(roles, roles[1:])):
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


def check_request(case):
    expected = case["expect"]
    if "body" not in expected:
        return []
    match = re.search(r"/model/([^/]+)/(converse|converse-stream)$", expected["path"])
    if not match:
        return [f"path {expected['path']}"]
    model = unquote(match[1])
    name = "ConverseStream" if match[2] == "converse-stream" else "Converse"
    operation = SERVICE.operation_model(name)
    shape = operation.input_shape
    body = expected["body"]
    faults = []
    if (name == "ConverseStream") != bool(case["request"].get("stream")):
        faults.append(f"{name} for stream {case['request'].get('stream')}")
    try:
        parameters = native({"modelId": model} | body, shape)
    except binascii.Error as error:
        return [f"a blob: {error}"]
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    if report.has_errors():
        faults.append(report.generate_report())
    faults += misfits({"modelId": model} | body, shape, "body")
    faults += check_turns(body)
    faults += check_document_names(body)
    if not faults:
        serializer = botocore.serialize.create_serializer(SERVICE.protocol, include_validation=False)
        sent = serializer.serialize_to_request(parameters, operation)
        if not expected["path"].endswith(sent["url_path"]):
            faults.append(f"botocore asks at {sent['url_path']}, and the fixture at {expected['path']}")
        # botocore writes what it was given, so this finds what it would have left out.
        if json.loads(sent["body"]) != body:
            faults.append(f"botocore sends {sent['body'].decode()}")
    return faults


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/bedrock/request")
    paths = sorted(folder.glob("*.json"))
    wrong = 0
    sent = 0
    for path in paths:
        case = json.loads(path.read_text())
        sent += "body" in case["expect"]
        for fault in check_request(case):
            wrong += 1
            print(f"{path}: {fault}")
    print(f"{len(paths)} fixtures, {sent} with a body, {wrong} faults")
    return 1 if wrong or not sent else 0


if __name__ == "__main__":
    sys.exit(main())
