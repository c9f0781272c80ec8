"""Embeddings: the same text has the same vector, of length one, in every dialect."""

from __future__ import annotations

import hashlib
import math


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    stream = hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions * 2)
    raw = [
        int.from_bytes(stream[place : place + 2], "big") / 32767.5 - 1
        for place in range(0, len(stream), 2)
    ]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [round(value / length, 8) for value in raw]
