"""Whether a JSON value is one that the pydantic types of an official SDK describe, however deep:
no field that they do not know, none missing, and no word that is none of those listed. The SDKs
themselves are lenient, since they must survive what their provider adds."""

import collections.abc
import typing

import pydantic

PLAIN = {str: str, bool: bool, int: int, float: (int, float), type(None): type(None)}


def members(kind):
    """The alternatives that a type stands for, through aliases, annotations and unions."""
    origin = typing.get_origin(kind)
    if hasattr(origin, "__value__"):
        return members(origin.__value__[typing.get_args(kind)])
    if hasattr(kind, "__value__"):
        return members(kind.__value__)
    if origin is typing.Annotated:
        first, *notes = typing.get_args(kind)
        # "A word that this SDK does not know yet", by which everything would fit.
        return [] if first is str and notes else members(first)
    if origin is typing.Union or "Union" in str(origin):
        return [member for part in typing.get_args(kind) for member in members(part)]
    if kind is typing.Any:
        return [typing.Any]
    return [kind]


def misfits(value, kind, path):
    """Places in `value` where it does not fit `kind`: those of the alternative that fits best."""
    known = members(kind)
    if len(known) > 1:
        # Beside listed words, `Any` and a bare `str` stand for those of the future.
        words = any(typing.get_origin(member) is typing.Literal for member in known)
        known = [member for member in known if not (words and member in (typing.Any, str))]
    found = [list(one(value, member, path)) for member in known]
    best = min(found, key=len, default=[f"{path}: nothing fits"])
    yield from best


def one(value, kind, path):
    """As `misfits`, for one alternative."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return
    if origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin in (list, collections.abc.Sequence):
        if not isinstance(value, list):
            yield from wrong(value, kind, path)
            return
        for index, entry in enumerate(value):
            yield from misfits(entry, arguments[0], f"{path}[{index}]")
    elif origin is dict or kind is dict:
        if not isinstance(value, dict):
            yield from wrong(value, kind, path)
    elif isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        yield from fields(value, kind, path)
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (isinstance(value, bool) and kind is not bool):
            yield from wrong(value, kind, path)
    else:
        yield from wrong(value, kind, path)


def fields(value, model, path):
    """As `misfits`, for an object."""
    if not isinstance(value, dict):
        yield from wrong(value, model, path)
        return
    hints = typing.get_type_hints(model, include_extras=True)
    known = {}
    for name, field in model.model_fields.items():
        known[field.alias or name] = (hints[name], field)
    for name in value.keys() - known.keys():
        yield f"{path}.{name}: unknown"
    for name, (kind, field) in known.items():
        if name in value:
            yield from misfits(value[name], kind, f"{path}.{name}")
        elif field.is_required() or name in ("role", "type"):
            yield f"{path}.{name}: missing"


def wrong(value, kind, path):
    # Counts for more than one unknown field, so that the alternative it is meant to be is found.
    for _ in range(3):
        yield f"{path}: {str(value)[:60]!r} is no {getattr(kind, '__name__', kind)}"
