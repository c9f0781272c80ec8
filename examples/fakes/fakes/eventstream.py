"""Frames of `application/vnd.amazon.eventstream`.

A frame is its length, the length of its headers, the CRC-32 of those eight bytes, the headers,
the payload, and the CRC-32 of all before it; numbers are big-endian.
"""

from __future__ import annotations

import struct
import zlib

from .faults import Faults
from .replies import Event, encode_json

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def frame(headers: dict[str, str], payload: bytes, *, broken: bool = False) -> bytes:
    """One frame. A broken one has a last checksum that does not fit."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    start = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return start + struct.pack(">I", zlib.crc32(start) ^ int(broken))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return (
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(text)) + text
    )


class Encoder:
    """Events as frames: an event's name is its type, or the name of an exception.

    Payloads of events are padded with a key `p` to a length that tells nothing about the text.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._broke = False

    def __call__(self, event: Event, faults: Faults) -> bytes:
        name = event.name or "contentBlockDelta"
        kind = "exception" if name.endswith("Exception") else "event"
        headers = {
            f":{kind}-type": name,
            ":content-type": "application/json",
            ":message-type": kind,
        }
        data = event.data
        if kind == "event" and isinstance(data, dict):
            self._sent += 1
            data = {**data, "p": _PADDING[: 5 + self._sent * 17 % 50]}
        payload = data.encode() if isinstance(data, str) else encode_json(data)
        broken = faults.bad_crc and event.content and not self._broke
        self._broke = self._broke or broken
        return frame(headers, payload, broken=broken)
