"""Checks the request fixtures of the Cohere dialect against the types of its official SDK.

    pip install cohere==7.3.1
    python tests/sdk/validate_cohere.py [FOLDER]

Each body that a fixture under FOLDER (tests/golden/cohere/request) expects to be sent must hold the
parameters of the SDK's `chat`, with no field that its types do not know, however deep. The ranges
that its documentation names are checked, too.
"""

import inspect
import json
import pathlib
import re
import sys
import typing

from cohere.v2.client import V2Client
from fits import misfits

RANGES = {
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
    "temperature": (0, 1),
}


def parameters():
    """The fields of a request, with their types."""
    hints = typing.get_type_hints(V2Client.chat, include_extras=True)
    names = inspect.signature(V2Client.chat).parameters.keys() - {"self", "request_options"}
    return {name: hints[name] for name in names}


def rules(body):
    """What the API would say beside what the types do."""
    for name, (low, high) in RANGES.items():
        if not low <= body.get(name, low) <= high:
            yield f"body.{name}: {body[name]} is not within {low} and {high}"
    if body.get("frequency_penalty") and body.get("presence_penalty"):
        yield "body: both penalties"
    if len(body.get("stop_sequences", [])) > 5:
        yield "body.stop_sequences: more than 5"
    if body.get("tools") and body.get("response_format", {}).get("type") == "json_object":
        yield "body.response_format: together with tools"
    for index, tool in enumerate(body.get("tools", [])):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", tool["function"]["name"]):
            yield f"body.tools[{index}].function.name: {tool['function']['name']!r}"
    waiting = []
    for index, message in enumerate(body["messages"]):
        role, path = message["role"], f"body.messages[{index}]"
        if role == "system" and index > 0:
            yield f"{path}: 'system' is not the first"
        if role == "tool" and message["tool_call_id"] not in waiting:
            yield f"{path}: a result of no call"
        waiting = [name for name in waiting if name != message.get("tool_call_id")]
        if role != "tool" and waiting:
            yield f"{path}: before the results of {waiting}"
        waiting += [call["id"] for call in message.get("tool_calls", [])]
        if not message.get("content") and not message.get("tool_calls"):
            yield f"{path}: neither content nor calls"


def check_request(case):
    body = case["expect"].get("body")
    if body is None:
        return []
    known = parameters()
    faults = [] if isinstance(body.get("stream"), bool) else ["body.stream: missing"]
    for name, value in body.items():
        if name in known:
            faults += misfits(value, known[name], f"body.{name}")
        elif name != "stream":
            faults.append(f"body.{name}: unknown")
    return faults + list(rules(body))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/cohere/request")
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
