"""Vectors that depend on nothing but the model and the text, and the usual shape around them."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import struct
from dataclasses import dataclass
from typing import Any

from .content import tokens
from .http import Json

SIZES = {"text-embedding-3-large": 3072, "mistral-embed": 1024, "text-embedding-v4": 1024,
         "nomic-embed-text": 768}  # fmt: skip
DEFAULT_SIZE = 1536


@dataclass(frozen=True)
class Input:
    """One thing to embed: a text, or the tokens of one."""

    text: str
    tokens: int


def read(value: Any, *, most: int, tokens_too: bool = True) -> list[Input]:
    """The texts of an `input`: a text, texts, tokens, or lists of them. Raises `ValueError`."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int)):
        value = [value]
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise ValueError(f"input must be 1 to {most} texts")
    return [_one(item, tokens_too) for item in value]


def _one(item: Any, tokens_too: bool) -> Input:
    if isinstance(item, str) and item:
        return Input(item, tokens(len(item)))
    if tokens_too and isinstance(item, list) and item and all(type(n) is int for n in item):
        return Input("tokens:" + ",".join(map(str, item)), len(item))
    raise ValueError("input has something that is no text")


@functools.lru_cache(maxsize=1024)
def vector(model: str, text: str, size: int | None = None) -> tuple[float, ...]:
    """A vector of length 1, in numbers that 32 bits hold. A shorter one is the longer one's start,
    made length 1 again."""
    whole = SIZES.get(model, DEFAULT_SIZE)
    size = size or whole
    seed = f"{model}\0{text}".encode()
    numbers = struct.unpack(f"<{size}i", hashlib.shake_256(seed).digest(size * 4))
    length = math.sqrt(sum(float(n) * n for n in numbers))
    packed = struct.pack(f"<{size}f", *(n / length for n in numbers))
    return struct.unpack(f"<{size}f", packed)


def as_base64(numbers: tuple[float, ...]) -> str:
    """The vector as little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(model: str, inputs: list[Input], size: int | None, encoding: str | None) -> Json:
    """The answer in the OpenAI shape."""
    data = []
    for index, one in enumerate(inputs):
        numbers = vector(model, one.text, size)
        encoded = as_base64(numbers) if encoding == "base64" else list(numbers)
        data.append({"object": "embedding", "index": index, "embedding": encoded})
    total = sum(one.tokens for one in inputs)
    usage = {"prompt_tokens": total, "total_tokens": total}
    return {"object": "list", "data": data, "model": model, "usage": usage}
