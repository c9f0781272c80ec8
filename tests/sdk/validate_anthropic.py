"""Checks the request fixtures of the Anthropic dialect against the types of its official SDK.

    pip install anthropic==2.11.0
    python tests/sdk/validate_anthropic.py [FOLDER]

Each body that a fixture under FOLDER (tests/golden/anthropic/request) expects to be sent must be a
`MessageCreateParams`, with no field that these types do not know, however deep.
"""

import json
import pathlib
import sys
import typing

import pydantic
from anthropic.types import message_create_params

# The SDK has no place for these since version 2; they go with the older `anthropic-version` only.
SAMPLING = {"temperature", "top_p", "top_k"}


def union_members(kind):
    """The TypedDicts of a Union, through Annotated and Iterable."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated or origin is typing.Required:
        return union_members(typing.get_args(kind)[0])
    if origin is typing.Union or "Union" in str(origin):
        return [member for part in typing.get_args(kind) for member in union_members(part)]
    return [kind]


def misfits(value, kind, path):
    """Places in `value` where it fits no type in `kind`: fields that are unknown or missing, and
    words that are none of those allowed. Pydantic looks into no `Iterable` before it is used, and
    ignores unknown fields."""
    members = union_members(kind)
    if isinstance(value, list):
        entries = [typing.get_args(m)[0] for m in members if typing.get_args(m)]
        for index, entry in enumerate(value):
            yield from misfits(entry, typing.Union[tuple(entries)], f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        words = [word for m in members for word in typing.get_args(m)]
        literal = all(typing.get_origin(m) is typing.Literal for m in members if m is not type(None))
        if isinstance(value, str) and literal and value not in words:
            yield f"{path}: {value!r} is none of {words}"
        if isinstance(value, str) and all(typing.get_origin(m) is dict for m in members):
            yield f"{path}: {value!r} is no object"
        return
    dicts = [m for m in members if hasattr(m, "__required_keys__")]
    if not dicts:
        return  # A free object, such as the input of a tool or a schema.
    best = None
    for member in dicts:
        hints = typing.get_type_hints(member, include_extras=True)
        wanted = union_members(hints["type"])[0] if "type" in hints else None
        if wanted is not None and "type" in value and value["type"] not in typing.get_args(wanted):
            continue
        role = union_members(hints["role"])[0] if "role" in hints else None
        if role is not None and value.get("role") not in typing.get_args(role):
            continue
        free = (getattr(member, "__pydantic_config__", None) or {}).get("extra") == "allow"
        found = [] if free else [f"{path}.{key}: unknown" for key in value if key not in hints]
        required = {key for key, hint in hints.items() if typing.get_origin(hint) is typing.Required}
        found += [f"{path}.{key}: missing" for key in required - value.keys()]
        for key in value.keys() & hints.keys():
            found += list(misfits(value[key], hints[key], f"{path}.{key}"))
        if best is None or len(found) < len(best):
            best = found
    yield from [f"{path}: no such type {value.get('type')!r}"] if best is None else best


def check_request(case):
    expected = case["expect"]
    if "body" not in expected:
        return []
    body = dict(expected["body"])
    kind = (
        message_create_params.MessageCreateParamsStreaming
        if body.get("stream")
        else message_create_params.MessageCreateParamsNonStreaming
    )
    faults = []
    present = SAMPLING & body.keys()
    if present and expected["headers"]["anthropic-version"] != "2023-06-01":
        faults.append(f"{sorted(present)} under the new version")
    for name in present:
        del body[name]
    try:
        pydantic.TypeAdapter(kind).validate_json(json.dumps(body))
    except pydantic.ValidationError as error:
        faults.append(str(error))
    return faults + list(misfits(body, kind, "body"))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/anthropic/request")
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
