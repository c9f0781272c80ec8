"""By the types of `anthropic`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from anthropic.types import message_create_params

from .shape import misfits

OLD, NEW = "2023-06-01", "2026-10-21"
SAMPLING = {"temperature", "top_p", "top_k"}
"""What the types no longer have, because only the older version of the API takes it."""

CLAUDE = r"/v1/projects/[^/?]+/locations/[^/?]+/publishers/anthropic/models/([^/?:]+):(rawPredict|streamRawPredict)"
VERTEX_VERSIONS = {"vertex-2023-10-16": OLD, NEW: NEW}


def check(path: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    if path != "/v1/messages":
        return [f"path {path}"]
    return _faults(body, headers.get("anthropic-version"))


def check_vertex(path: str, body: Any) -> list[str]:
    """A request to Claude at Vertex: the model stands in the path, the version in the body."""
    found = re.fullmatch(CLAUDE, path)
    if not found:
        return [f"path {path}"]
    faults = ["body.model: stands in the path"] if "model" in body else []
    if bool(body.get("stream")) != (found[2] == "streamRawPredict"):
        faults.append(f"{found[2]} for stream {body.get('stream')}")
    body = {"model": found[1]} | body
    version = body.pop("anthropic_version", None)
    return faults + _faults(body, VERTEX_VERSIONS.get(version, version))


def _faults(body: Any, version: str | None) -> list[str]:
    faults = [] if version in (OLD, NEW) else [f"version {version}"]
    sampling = SAMPLING & body.keys()
    if sampling and version != OLD:
        faults.append(f"{sorted(sampling)} under version {version}")
    body = {name: value for name, value in body.items() if name not in SAMPLING}
    streams = body.get("stream") is True
    params = message_create_params
    kind = params.MessageCreateParamsStreaming if streams else params.MessageCreateParamsNonStreaming
    return faults + misfits(body, kind, "body")
