"""Whether a JSON value is one that the types of a client describe, however deep: no field that they do not know,
none missing, no value of another type, and no word that is none of those listed. For typed dictionaries and for
the classes of pydantic."""

from __future__ import annotations

import base64
import collections.abc
import enum
import functools
import os
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
import typing_extensions

PLAIN: dict[Any, Any] = {str: str, bool: bool, int: int, float: (int, float), type(None): type(None)}
LISTS = (list, collections.abc.Sequence, collections.abc.Iterable)
URL_SAFE = str.maketrans("-_", "+/")
TAGS = ("type", "role")
"""What tells the alternatives of a union apart."""


class OfAnotherKind(str):
    """A fault that says nothing of what is inside: any other alternative is what the value is meant to be."""


@dataclass(frozen=True)
class Member:
    """A field of an object."""

    kind: Any
    required: bool


def misfits(value: Any, kind: Any, path: str) -> list[str]:
    """Places in `value` where it does not fit `kind`: those of the alternative that fits best."""
    known = members(kind)
    if len(known) > 1 and isinstance(value, dict):
        known = [one for one in known if _tagged(value, one)] or known
    best: list[str] = []
    for one in known:
        found = list(_misfits(value, one, path))
        if not found:
            return []
        if not best or _rank(found) < _rank(best):
            best = found
    return best or [f"{path}: nothing fits"]


def _rank(faults: list[str]) -> tuple[bool, int]:
    return isinstance(faults[0], OfAnotherKind), len(faults)


_members: dict[int, tuple[Any, list[Any]]] = {}


def members(kind: Any) -> list[Any]:
    """The alternatives that a type stands for, through aliases, annotations and unions."""
    # Not every type has a hash. It is kept, so that its place in memory stays its own.
    if id(kind) not in _members:
        _members[id(kind)] = kind, _alternatives(kind)
    return _members[id(kind)][1]


def _alternatives(kind: Any) -> list[Any]:
    origin = typing.get_origin(kind)
    if hasattr(origin, "__value__"):
        return _alternatives(origin.__value__[typing.get_args(kind)])
    if hasattr(kind, "__value__"):
        return _alternatives(kind.__value__)
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        return _alternatives(typing.get_args(kind)[0])
    if origin is typing.Union or type(kind).__name__ == "UnionType":
        found = [one for part in typing.get_args(kind) for one in _alternatives(part)]
        if any(map(_is_words, found)):
            # Beside listed words these stand for the words of the future. A bare `str` stands beside names of models.
            found = [one for one in found if one is not Any and not _is_unrecognized(one)]
        if any(map(typing_extensions.is_typeddict, found)):
            # The classes of answers may be sent back too; read as dictionaries they would take any key.
            found = [one for one in found if not _is_model(one)]
        # A file cannot stand in JSON.
        return [one for one in found if (typing.get_origin(one) or one) not in (typing.IO, os.PathLike)]
    return [kind]


def _is_words(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def _is_unrecognized(kind: Any) -> bool:
    return getattr(kind, "__name__", "").startswith("Unrecognized")


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _tagged(value: dict[str, Any], kind: Any) -> bool:
    """Whether what tells the alternatives apart is what this one has."""
    if not (typing_extensions.is_typeddict(kind) or _is_model(kind)):
        return True
    known = fields(kind)
    for name in TAGS:
        if name in known and name in value and misfits(value[name], known[name].kind, ""):
            return False
    return True


def _misfits(value: Any, kind: Any, path: str) -> Iterator[str]:
    """As `misfits`, for one alternative."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return
    if origin is typing.Literal:
        if not any(type(part) is type(value) and part == value for part in parts):
            yield f"{path}: {value!r} is none of {parts}"
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        words = [one.value for one in kind]
        if value not in words:
            yield f"{path}: {value!r} is none of {words}"
    elif origin in LISTS:
        if not isinstance(value, list):
            yield _wrong(value, kind, path)
            return
        for index, entry in enumerate(value):
            yield from misfits(entry, parts[0], f"{path}[{index}]")
    elif origin is dict or origin is collections.abc.Mapping or kind is dict:
        if not isinstance(value, dict):
            yield _wrong(value, kind, path)
        elif parts:
            for name, inner in value.items():
                yield from misfits(inner, parts[1], f"{path}.{name}")
    elif kind is bytes:
        if not isinstance(value, str) or not _is_base64(value):
            yield _wrong(value, kind, path)
    elif typing_extensions.is_typeddict(kind) or _is_model(kind):
        yield from objects(value, kind, path)
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (isinstance(value, bool) and kind is not bool):
            yield _wrong(value, kind, path)
    else:
        yield _wrong(value, kind, path)


def objects(value: Any, kind: Any, path: str) -> Iterator[str]:
    """As `misfits`, for an object of known fields."""
    if not isinstance(value, dict):
        yield _wrong(value, kind, path)
        return
    known = fields(kind)
    if not _is_free(kind):
        for name in value.keys() - known.keys():
            yield f"{path}.{name}: unknown"
    for name, member in known.items():
        if name in value:
            yield from misfits(value[name], member.kind, f"{path}.{name}")
        elif member.required:
            yield f"{path}.{name}: missing"


def _is_free(kind: Any) -> bool:
    """Whether it takes any key; answers do, which are classes."""
    settings = getattr(kind, "__pydantic_config__", None) or {}
    return not _is_model(kind) and settings.get("extra") == "allow"


@functools.cache
def fields(kind: Any) -> dict[str, Member]:
    """The fields of a typed dictionary or a class, by their names in JSON."""
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    if _is_model(kind):
        found = {}
        for name, field in kind.model_fields.items():
            # What has only one value has it by default in Python, and must still be said.
            required = field.is_required() or (name in TAGS and typing.get_origin(field.annotation) is typing.Literal)
            found[field.alias or name] = Member(hints[name], required)
        return found
    # What is required stands in the type; where annotations are texts, Python itself does not see it.
    return {name: Member(hint, typing.get_origin(hint) is typing_extensions.Required) for name, hint in hints.items()}


def _is_base64(text: str) -> bool:
    """In either alphabet, padded or not."""
    try:
        base64.b64decode(text.translate(URL_SAFE).rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except ValueError:
        return False
    return True


def _wrong(value: Any, kind: Any, path: str) -> OfAnotherKind:
    return OfAnotherKind(f"{path}: {str(value)[:60]!r} is no {getattr(kind, '__name__', kind)}")
