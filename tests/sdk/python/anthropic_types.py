"""Whether a request is one that the official Anthropic client could have sent.

Its types describe requests as typed dictionaries. Read strictly: no key that they do not name, and every
list looked into, which pydantic does not do where a type says `Iterable`.
"""

from __future__ import annotations

import collections.abc
import os
import typing
from typing import Any

import pydantic
import typing_extensions
from anthropic.types.message_create_params import MessageCreateParams

_known: dict[Any, Any] = {}


def strict(wanted: Any) -> Any:
    """The same type, but lists where iterables stand, and dictionaries without other keys."""
    if typing_extensions.is_typeddict(wanted):
        if wanted not in _known:
            fields = {}
            for name, kind in typing_extensions.get_type_hints(wanted, include_extras=True).items():
                # What is required stands in the type; where annotations are texts, Python itself does not see it.
                needed = typing.get_origin(kind) is typing_extensions.Required
                mark = typing_extensions.Required if needed else typing_extensions.NotRequired
                fields[name] = mark[strict(kind)]
            made = typing_extensions.TypedDict(wanted.__name__, fields)
            free = getattr(wanted, "__pydantic_config__", {}).get("extra") == "allow"
            made.__pydantic_config__ = pydantic.ConfigDict(extra="allow" if free else "forbid", strict=True)
            _known[wanted] = made
        return _known[wanted]
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Annotated:
        return strict(parts[0])
    if origin in (typing_extensions.Required, typing_extensions.NotRequired):
        return strict(parts[0])
    if origin is collections.abc.Iterable or origin is collections.abc.Sequence:
        return list[strict(parts[0])]
    if origin is typing.Union or type(wanted).__name__ == "UnionType":
        # The classes of answers may be sent back too; as dictionaries they would accept any key.
        # Files cannot stand in JSON.
        kept = [part for part in parts if not _is_model(part) and not _is_file(part)]
        return typing.Union[tuple(strict(part) for part in kept)]
    if origin in (list, dict):
        return origin[tuple(strict(part) for part in parts)]
    return wanted


def _is_model(kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Union:
        return all(_is_model(part) for part in typing.get_args(kind))
    return isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _is_file(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) in (typing.IO, os.PathLike)


_adapter = pydantic.TypeAdapter(strict(MessageCreateParams))


def check(body: str) -> None:
    """Raises pydantic.ValidationError when the official client could not have sent this."""
    _adapter.validate_json(body, strict=True)


def refuses(body: Any) -> bool:
    try:
        _adapter.validate_python(body)
    except pydantic.ValidationError:
        return True
    return False
