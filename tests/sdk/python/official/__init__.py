"""Whether a request is one that the provider's own client could have sent: a file for each kind of client.

Each has `check(path, body, headers)`, which gives the places where the request does not fit, an empty list for none.
The clients themselves are lenient, since they must survive what their provider adds; here their types are read
strictly. What their types do not say and the provider refuses is checked beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from . import anthropic, bedrock, cohere, google, mistral, openai

Check = Callable[[str, Any, Mapping[str, str]], list[str]]

CHECKS: dict[str, Check] = {
    "anthropic": anthropic.check,
    "gemini": google.check_gemini,
    "vertex": google.check_vertex,
    "mistral": mistral.check,
    "cohere": cohere.check,
    "bedrock": bedrock.check,
} | {api: openai.checker(api) for api in openai.OWN}


def check(api: str, path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    """Where a request does not fit. `headers` have lower-case names."""
    return CHECKS[api](path, body, headers)


def check_received(api: str, received: Mapping[str, Any]) -> list[str]:
    """The same for a request as a fake provider tells of it."""
    headers = {name.lower(): value for name, value in received["headers"]}
    return check(api, received["path"], json.loads(received["body"]), headers)
