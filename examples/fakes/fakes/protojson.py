"""A request as protobuf's JSON mapping reads it: known fields, right types, Google's words.

Message types are written as text, `"name:type other:[Message] map:{Message}"`. Field names are
camelCase there and are accepted in snake_case as well; messages name them in snake_case, as the
real ones do.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

from .http import Json

MAX_DEPTH = 100
"""How deep messages may nest: protobuf's own limit."""

_HUMP = re.compile(r"(?<!^)([A-Z])")
_SCALARS = {"string": "TYPE_STRING", "float": "TYPE_FLOAT", "int": "TYPE_INT32",
            "bool": "TYPE_BOOL", "bytes": "TYPE_BYTES"}  # fmt: skip
_STRUCT = "type.googleapis.com/google.protobuf.Struct"

Violation = tuple[str, str]
"""Where, and what is wrong there."""


def read_types(written: dict[str, str]) -> dict[str, dict[str, str]]:
    """Message types from their written form."""
    split = {
        name: [field.partition(":") for field in text.split()] for name, text in written.items()
    }
    return {name: {field: kind for field, _, kind in fields} for name, fields in split.items()}


class Checker:
    """Reads a JSON value as a message. What it finds wrong is in `violations`, in order."""

    def __init__(
        self, types: dict[str, dict[str, str]], enums: dict[str, tuple[str, ...]], package: str
    ) -> None:
        self._types = types
        self._enums = enums
        self._package = package
        self.violations: list[Violation] = []

    def read(self, value: Any, kind: str, place: str = "", depth: int = 0) -> Any:
        """The value with its field names in camelCase; None where it cannot be read."""
        if value is None:
            return None
        if depth > MAX_DEPTH:
            return self._wrong(place, "Message too deep. Max recursion depth reached.")
        if kind.startswith("["):
            return self._list(value, kind[1:-1], place, depth)
        if kind.startswith("{"):
            return self._map(value, kind[1:-1], place, depth)
        if kind in self._types:
            return self._message(value, kind, place, depth)
        if kind in self._enums:
            return self._enum(value, kind, place)
        if kind == "struct" and not isinstance(value, dict):
            return self._wrong(
                place, f"Invalid value at '{place}' ({_STRUCT}), {json.dumps(value)}"
            )
        if kind in ("struct", "value"):
            return value
        return self._scalar(value, kind, place)

    def _wrong(self, place: str, message: str) -> None:
        self.violations.append((place, message))

    def _list(self, value: Any, kind: str, place: str, depth: int) -> Any:
        # A lone element counts as a list of one, as the real parser reads it.
        items = value if isinstance(value, list) else [value]
        return [
            self._element(item, kind, f"{place}[{i}]", depth + 1) for i, item in enumerate(items)
        ]

    def _element(self, value: Any, kind: str, place: str, depth: int) -> Any:
        """One of many: absent fields may be null, elements may not."""
        if value is None and kind != "value":
            return self._wrong(place, f"Invalid value at '{place}' ({self._full(kind)}), null")
        return self.read(value, kind, place, depth)

    def _full(self, kind: str) -> str:
        return _SCALARS.get(kind, f"type.googleapis.com/{self._package}.{kind}")

    def _map(self, value: Any, kind: str, place: str, depth: int) -> Any:
        if not isinstance(value, dict):
            return self._wrong(place, f"Invalid value at '{place}' (Map), {json.dumps(value)}")
        return {
            key: self._element(item, kind, f"{place}[{i}].value", depth + 1)
            for i, (key, item) in enumerate(value.items())
        }

    def _message(self, value: Any, kind: str, place: str, depth: int) -> Any:
        if not isinstance(value, dict):
            owner, _, name = place.rpartition(".")
            if isinstance(value, list):
                return self._unknown(
                    owner, name, "Proto field is not repeating, cannot start list."
                )
            wrong = f"Invalid value at '{place}' ({self._full(kind)}), {json.dumps(value)}"
            return self._wrong(place, wrong)
        known = self._types[kind]
        read: Json = {}
        for name, item in value.items():
            field = name if name in known else camel(name)
            if field not in known:
                self._unknown(place, name, "Cannot find field.")
                continue
            below = f"{place}.{snake(field)}" if place else snake(field)
            if (
                isinstance(item, list)
                and not known[field].startswith("[")
                and known[field] != "value"
            ):
                self._unknown(place, name, "Proto field is not repeating, cannot start list.")
                continue
            read[field] = self.read(item, known[field], below, depth + 1)
        return {name: item for name, item in read.items() if item is not None}

    def _unknown(self, place: str, name: str, why: str) -> None:
        at = f" at '{place}'" if place else ""
        message = f'Invalid JSON payload received. Unknown name "{name}"{at}: {why}'
        self._wrong(place, message)

    def _enum(self, value: Any, kind: str, place: str) -> Any:
        if isinstance(value, str) and value.upper() in self._enums[kind]:
            return value.upper()
        wrong = f"Invalid value at '{place}' ({self._full(kind)}), {json.dumps(value)}"
        return self._wrong(place, wrong)

    def _scalar(self, value: Any, kind: str, place: str) -> Any:
        read: Any
        if kind in ("int", "float"):
            read = _number(value, whole=kind == "int")
        elif kind == "bytes":
            read = value if decoded(value) is not None else None
        else:
            read = value if isinstance(value, bool if kind == "bool" else str) else None
        if read is None and kind == "bytes" and isinstance(value, str):
            wrong = f"Invalid value at '{place}' (TYPE_BYTES), Base64 decoding failed for"
            return self._wrong(place, f"{wrong} {json.dumps(value[:64])}")
        if read is None:
            wrong = f"Invalid value at '{place}' ({_SCALARS[kind]}), {json.dumps(value)}"
            return self._wrong(place, wrong)
        return read


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    return _HUMP.sub(r"_\1", name).lower()


def decoded(text: Any) -> bytes | None:
    """Base64 of either alphabet, padded or not; None when it is neither."""
    if not isinstance(text, str):
        return None
    try:
        padded = text.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _number(value: Any, *, whole: bool) -> int | float | None:
    """A number, which may be written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number) or (whole and number != int(number)):
        return None
    return int(number) if whole else number
