"""What can be asked to go wrong, and the little language that asks for it.

A fault list is `name` or `name=value`, joined by commas: `status=429,retry_after=7`.
It is set for a whole address through `POST /fake/set`, or rides in a request's text
as a directive, `[[scope:faults]]`, where scope is a dialect (`openai`), a port (`9001`),
a model as the provider sees it (`model=gpt-4o`), or `*`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, get_type_hints

MAX_SIZE = 64 << 20
"""Largest number any fault accepts; it bounds what a typing slip can allocate."""


@dataclass(frozen=True)
class Faults:
    """What one exchange does wrong. `README.md` says what each one looks like on the wire."""

    # The provider says no, in its own words.
    status: int | None = None
    retry_after: float | None = None
    quota: bool = False
    billing: bool = False
    context_length: bool = False
    content_filter: bool = False
    huge_error: int | None = None

    # The connection misbehaves.
    refuse: bool = False
    reset: bool = False
    silent: bool = False
    silent_after_headers: bool = False
    slow: float | None = None
    slow_chunks: float | None = None

    # The stream ends badly. N counts content chunks.
    stall_after: int | None = None
    cut_after: int | None = None
    end_after: int | None = None
    error_first: bool = False
    error_after: int | None = None
    malformed: bool = False
    malformed_after: int | None = None
    array_error: bool = False
    bad_crc: bool = False

    # 200, yet no answer.
    html200: bool = False
    empty200: bool = False
    wrong_shape: bool = False

    # A right answer in an unusual wrapping.
    gzip: bool = False
    honour_gzip: bool = False
    trailers: bool = False
    bytewise: bool = False
    crlf: bool = False
    cr: bool = False
    comments: bool = False
    bom: bool = False
    multiline: bool = False
    header_non_utf8: bool = False
    many_headers: int | None = None
    content_length_lie: int | None = None

    # An unusual answer.
    big: int | None = None
    chunks: int | None = None
    huge_event: int | None = None
    no_usage: bool = False
    non_utf8: bool = False
    refusal: bool = False
    finish: str | None = None
    form: str | None = None


NO_FAULTS = Faults()


class BadFault(ValueError):
    """A fault list that cannot be read. The message names the word at fault."""


_VALUE_TYPES = get_type_hints(Faults)
FORMS = frozenset(
    "async_filter detail done json_validate_failed nested_error no_ids object_arguments"
    " reasoning_content tool_use_failed".split()
)
"""Words that `form` takes: other shapes that one provider or another is known to use."""
_BARE_VALUES = {"content_length_lie": 64}
"""What a fault that takes a number means when it is written without one."""

_DIRECTIVE = re.compile(r"\[\[([a-z]+|\*|\d+|model=[^\]\s\"]+):([^\]\"]*)\]\]")


def has_form(faults: Faults, form: str) -> bool:
    """Whether another shape was asked for; several are joined by `+`."""
    return form in (faults.form or "").split("+")


def parse(text: str, base: Faults = NO_FAULTS) -> Faults:
    """Reads a fault list, on top of the faults already in force."""
    words = text.replace(" ", "").split(",")
    asked: dict[str, Any] = dict(_parse_one(word) for word in words if word)
    return dataclasses.replace(base, **asked)


def from_directives(
    body: str, base: Faults, *, dialect: str, port: int, model: str | None
) -> Faults:
    """The faults in force for one request: those of its address, then those its text asks for."""
    scopes = {"*", dialect, str(port), f"model={model}"}
    for scope, wanted in _DIRECTIVE.findall(body):
        if scope in scopes:
            base = parse(wanted, base)
    return base


def without_directives(text: str) -> str:
    """Text as the fake model echoes it, so that a replayed history does not fail again."""
    return _DIRECTIVE.sub("", text).strip()


def _parse_one(word: str) -> tuple[str, bool | int | float | str]:
    name, given, value = word.partition("=")
    kind = _VALUE_TYPES.get(name)
    if kind is None:
        raise BadFault(f"unknown fault {name!r}")
    if kind is bool:
        if given:
            raise BadFault(f"{name} takes no value")
        return name, True
    if not given:
        if name not in _BARE_VALUES:
            raise BadFault(f"{name} needs a value, as in {name}=1")
        return name, _BARE_VALUES[name]
    if kind == str | None:
        unknown = set(value.split("+")) - FORMS if name == "form" else set()
        if unknown:
            raise BadFault(f"unknown form {min(unknown)!r}")
        return name, value
    try:
        number = int(value) if kind == int | None else float(value)
    except ValueError:
        raise BadFault(f"{name}={value} is not a number") from None
    if not (abs(number) <= MAX_SIZE and (number >= 0 or name == "content_length_lie")):
        raise BadFault(f"{name}={value} is out of range")
    if name == "status" and not 300 <= number <= 599:
        raise BadFault(f"status={value} is not between 300 and 599")
    return name, number
