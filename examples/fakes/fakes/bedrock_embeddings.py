"""The embedding models behind Bedrock's `invoke`: Amazon's Titan and Cohere's."""

from __future__ import annotations

from .bedrock_shapes import Refused
from .content import tokens
from .http import Json
from .vectors import vector

MAX_TEXTS = 96
"""Texts that Cohere's models take at once."""

_TITAN = {"inputText", "dimensions", "normalize", "embeddingTypes"}
_TITAN_SIZES = (256, 512, 1024)
_COHERE = {"texts", "images", "inputs", "input_type", "truncate", "embedding_types",
           "output_dimension", "max_tokens"}  # fmt: skip
_COHERE_SIZES = (256, 512, 1024, 1536)
_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")


def embed(body: Json | None, model: str) -> tuple[Json, int]:
    """The answer of an embedding model, and how many tokens it read."""
    if body is None:
        raise _malformed("expected a JSON object")
    if "titan-embed" in model:
        return _titan(body, model)
    if "cohere.embed" in model:
        return _cohere(body, model)
    raise Refused(f"The model {model} is not one that this fake invokes.")


def _malformed(why: str) -> Refused:
    words = f"Malformed input request: {why}, please reformat your input and try again."
    return Refused(words)


def _refuse_extra(body: Json, known: set[str]) -> None:
    for name in body:
        if name not in known:
            raise _malformed(f"extraneous key [{name}] is not permitted")


def _titan(body: Json, model: str) -> tuple[Json, int]:
    first = "text-v1" in model
    _refuse_extra(body, {"inputText"} if first else _TITAN)
    if "inputText" not in body:
        raise _malformed("#: required key [inputText] not found")
    text = body["inputText"]
    if not isinstance(text, str):
        raise _malformed(f"#/inputText: expected type: String, found: {_kind(text)}")
    if not text:
        raise _malformed("#/inputText: expected minLength: 1, actual: 0")
    size = 1536 if first else body.get("dimensions", 1024)
    if not first and size not in _TITAN_SIZES:
        raise _malformed(f"#/dimensions: {size} is not a valid enum value")
    values, count = vector(text, size), tokens(len(text))
    answer: Json = {"embedding": values, "inputTextTokenCount": count}
    if not first:
        answer["embeddingsByType"] = {"float": values}
    return answer, count


def _kind(value: object) -> str:
    kinds = {list: "JSONArray", dict: "JSONObject", int: "Integer", bool: "Boolean"}
    return kinds.get(type(value), "Null")


def _cohere(body: Json, model: str) -> tuple[Json, int]:
    _refuse_extra(body, _COHERE)
    texts = body.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _malformed("#: required key [texts] not found")
    if "input_type" not in body:
        raise _malformed("#: required key [input_type] not found")
    if body["input_type"] not in _INPUT_TYPES:
        raise _malformed(f"#/input_type: {body['input_type']} is not a valid enum value")
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise _malformed(f"#/texts: expected 1 to {MAX_TEXTS} items, found: {len(texts)}")
    newer = "v4" in model
    size = body.get("output_dimension", 1536 if newer else 1024)
    if "output_dimension" in body and (not newer or size not in _COHERE_SIZES):
        raise _malformed(f"#/output_dimension: {size} is not a valid enum value")
    vectors = [vector(text, size) for text in texts]
    answer: Json = {"id": "00000000-0000-4000-8000-fa4e00000000", "texts": texts}
    if body.get("embedding_types"):
        answer |= {"embeddings": {"float": vectors}, "response_type": "embeddings_by_type"}
    else:
        answer |= {"embeddings": vectors, "response_type": "embeddings_floats"}
    return answer, sum(tokens(len(text)) for text in texts)
