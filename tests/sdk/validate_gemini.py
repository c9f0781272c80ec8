"""Checks the request fixtures of the Gemini and Vertex dialects against the types of the official SDKs.

    pip install google-genai==3.4.0 anthropic==2.11.0
    python tests/sdk/validate_gemini.py [FOLDER…]

Each body that a fixture under FOLDER (tests/golden/gemini/request, tests/golden/vertex/request)
expects to be sent must consist of the SDK's own types, with no field and no word that these do not
know. What goes to Claude at Vertex is checked as `validate_anthropic.py` does.
"""

import json
import pathlib
import re
import sys
import typing
import warnings

import pydantic
import validate_anthropic
from google.genai import types

FOLDERS = ["tests/golden/gemini/request", "tests/golden/vertex/request"]

PATHS = {
    "gemini": r"/v1beta/models/[^/?]+:(generateContent|streamGenerateContent\?alt=sse)",
    "vertex": r"/v1/projects/[^/?]+/locations/[^/?]+/publishers/google/models/[^/?]+"
    r":(generateContent|streamGenerateContent\?alt=sse)",
    "claude": r"/v1/projects/[^/?]+/locations/[^/?]+/publishers/anthropic/models/[^/?]+"
    r":(rawPredict|streamRawPredict)",
}

# The SDK takes the parts of a request apart in a config of its own; these are their types on the wire.
FIELDS = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": list[types.SafetySetting],
    "serviceTier": types.ServiceTier,
    "store": bool,
}

# Not at Vertex, as the SDK says.
AI_STUDIO_ONLY = {"store"}


def check_gemini(body, api):
    faults = [f"body.{name}: unknown" for name in body if name not in FIELDS]
    if api == "vertex":
        faults += [f"body.{name}: not at Vertex" for name in AI_STUDIO_ONLY & body.keys()]
    for name in FIELDS.keys() & body.keys():
        with warnings.catch_warnings():
            # A word that an enum does not know is only warned of.
            warnings.simplefilter("error")
            try:
                pydantic.TypeAdapter(FIELDS[name]).validate_json(json.dumps(body[name]))
            except (pydantic.ValidationError, Warning) as error:
                faults.append(f"body.{name}: {error}")
    for index, content in enumerate(body["contents"]):
        for at, part in enumerate(content["parts"]):
            kinds = part.keys() - {"thoughtSignature", "mediaResolution"}
            if len(kinds) != 1:
                faults.append(f"body.contents[{index}].parts[{at}]: of the kinds {sorted(kinds)}")
    return faults + check_turns(body["contents"])


def check_turns(contents):
    """As many results as calls, in the very next turn, by the same names and ids."""
    calls = []
    for index, content in enumerate(contents):
        made = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        given = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        key = lambda call: (call.get("id"), call["name"])
        if [key(call) for call in calls] != [key(result) for result in given]:
            return [f"body.contents[{index}]: results {given} for the calls {calls}"]
        calls = made
    return []


def check_claude(body, path):
    if "model" in body:
        return ["body.model: stands in the path"]
    body = dict(body)
    version = body.pop("anthropic_version", None)
    if version not in ("vertex-2023-10-16", "2026-10-21"):
        return [f"body.anthropic_version: {version!r}"]
    body["model"] = re.search(r"/models/([^/:]+):", path).group(1)
    version = version.replace("vertex-2023-10-16", "2023-06-01")
    case = {"expect": {"body": body, "headers": {"anthropic-version": version}}}
    return validate_anthropic.check_request(case)


def check_request(case, api):
    expected = case["expect"]
    if "body" not in expected:
        return []
    path = expected["path"]
    kind = "claude" if "/publishers/anthropic/" in path else api
    faults = [] if re.fullmatch(PATHS[kind], path) else [f"path {path}"]
    if kind == "claude":
        return faults + check_claude(expected["body"], path)
    return faults + check_gemini(expected["body"], api)


def main(arguments: typing.Sequence[str]) -> int:
    wrong = sent = count = 0
    for folder in arguments or FOLDERS:
        for path in sorted(pathlib.Path(folder).glob("*.json")):
            case = json.loads(path.read_text())
            count += 1
            sent += "body" in case["expect"]
            for fault in check_request(case, path.parent.parent.name):
                wrong += 1
                print(f"{path}: {fault}")
    print(f"{count} fixtures, {sent} with a body, {wrong} faults")
    return 1 if wrong or not sent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
