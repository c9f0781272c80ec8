"""Checks the request fixtures of the Mistral dialect against the types of its official SDK.

    pip install mistralai==3.7.0
    python tests/sdk/validate_mistral.py [FOLDER]

Each body that a fixture under FOLDER (tests/golden/mistral/request) expects to be sent must be a
`ChatCompletionRequest`, with no field that these types do not know, however deep: the API refuses
them. Ids of calls, the order of roles and the last role are checked as the API does, too.
"""

import json
import pathlib
import re
import sys

from fits import misfits
from mistralai.client.models import ChatCompletionRequest

# What may come after whom.
AFTER = {
    "system": ("user", "assistant", "system"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}


def conversation(messages):
    """What the API would say of the order of messages."""
    before = None
    for index, message in enumerate(messages):
        role, path = message["role"], f"body.messages[{index}]"
        if before and role not in AFTER[before]:
            yield f"{path}: {role!r} after {before!r}"
        before = role
        ids = [call["id"] for call in message.get("tool_calls", [])]
        for name in [*ids, *([message["tool_call_id"]] if role == "tool" else [])]:
            if not re.fullmatch("[A-Za-z0-9]{9}", name):
                yield f"{path}: the id {name!r}"
        if role == "assistant" and not message.get("content") and not ids:
            yield f"{path}: neither content nor calls"
    if before not in ("user", "tool") and not messages[-1].get("prefix"):
        yield f"body.messages: {before!r} is the last role"


def check_request(case):
    body = case["expect"].get("body")
    if body is None:
        return []
    return [*misfits(body, ChatCompletionRequest, "body"), *conversation(body["messages"])]


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/mistral/request")
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
