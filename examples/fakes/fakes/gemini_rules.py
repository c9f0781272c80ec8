"""What the Gemini API refuses on `generateContent`, and in which words."""

from __future__ import annotations

import re
from typing import Any

from .gemini_fields import AI_STUDIO_TYPES, ENUMS, VERTEX_TYPES
from .gemini_turns import check_contents, check_parts, generation, unable
from .google_errors import Refused, bad_request
from .http import Json
from .protojson import Checker

MAX_STOPS = 5
"""Stop sequences that one request may have."""
MAX_BATCH = 100
"""Texts that one `batchEmbedContents` may have."""

_BUDGETS = (("flash-lite", 512, 24576), ("flash", 1, 24576), ("pro", 128, 32768))
"""Thinking budgets of the 2.5 models beside 0 (off) and -1 (as the model likes)."""
_MIME_TYPES = ("text/plain", "application/json", "application/xml", "application/yaml",
               "text/x.enum")  # fmt: skip
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_FORMATS = {"STRING": ("enum", "date-time"), "NUMBER": ("float", "double"),
            "INTEGER": ("int32", "int64")}  # fmt: skip
_RANGES = {"temperature": (0, 2), "topP": (0, 1), "presencePenalty": (-2, 2),
           "frequencyPenalty": (-2, 2), "candidateCount": (1, 8), "logprobs": (0, 20)}  # fmt: skip


def read_body(body: Json | None, kind: str, *, vertex: bool) -> Json:
    """The body with its fields under their own names, if all of them are known and readable."""
    if body is None:
        raise Refused("Invalid JSON payload received. Unexpected token.\n\n^")
    package = "google.cloud.aiplatform.v1" if vertex else "google.ai.generativelanguage.v1beta"
    checker = Checker(VERTEX_TYPES if vertex else AI_STUDIO_TYPES, ENUMS, package)
    read: Json = checker.read(body, kind)
    if checker.violations:
        raise bad_request(checker.violations)
    return read


def check_generate(body: Json | None, model: str, *, vertex: bool) -> Json:
    """The body as `read_body` gives it, if it is a request the provider would run."""
    read = read_body(body, "GenerateContentRequest", vertex=vertex)
    check_contents(read.get("contents") or [], model, vertex=vertex)
    if "systemInstruction" in read:
        place = "GenerateContentRequest.system_instruction"
        check_parts(read["systemInstruction"], place, vertex=vertex)
    _check_tools(read, vertex=vertex)
    _check_config(read, model, vertex=vertex)
    _check_thinking(read.get("generationConfig", {}).get("thinkingConfig") or {}, model)
    return read


def declared(body: Json) -> list[Json]:
    """The functions of a request, from all its tools."""
    tools = body.get("tools") or []
    return [one for tool in tools for one in tool.get("functionDeclarations") or []]


def _check_tools(body: Json, *, vertex: bool) -> None:
    tools = body.get("tools") or []
    if vertex and sum("functionDeclarations" in tool for tool in tools) > 1:
        raise Refused("Multiple tools are supported only when they are all search tools.")
    seen: set[str] = set()
    for t, tool in enumerate(tools):
        for f, function in enumerate(tool.get("functionDeclarations") or []):
            place = f"GenerateContentRequest.tools[{t}].function_declarations[{f}]"
            name = function.get("name", "")
            if not _FUNCTION_NAME.fullmatch(name):
                raise Refused(
                    f"* {place}.name: [FIELD_INVALID] Invalid function name. Must start with a"
                    " letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores"
                    " (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.\n"
                )
            if name in seen:
                raise Refused(f"Duplicate function declaration found: {name}")
            seen.add(name)
            _check_parameters(function, place)
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed, mode = config.get("allowedFunctionNames") or [], config.get("mode", "AUTO")
    place = "GenerateContentRequest.tool_config.function_calling_config"
    if mode in ("ANY", "VALIDATED") and not seen:
        raise Refused("Function calling config is set without function_declarations.")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise Refused(f"* {place}.allowed_function_names: only allowed when mode is ANY.\n")
    if unknown := [name for name in allowed if name not in seen]:
        raise Refused(f"* {place}.allowed_function_names: {unknown[0]} is not declared.\n")


def _check_parameters(function: Json, place: str) -> None:
    if "parameters" in function and "parametersJsonSchema" in function:
        raise Refused(f"* {place}: only one of parameters and parameters_json_schema can be set.\n")
    if "parameters" in function:
        schema = function["parameters"]
        if schema.get("type") not in (None, "OBJECT"):
            raise Refused(f"* {place}.parameters.type: should be OBJECT type\n")
        check_schema(schema, f"{place}.parameters")


def check_schema(schema: Json, place: str) -> None:
    """Refuses what reads as a schema and still makes none."""
    kind = schema.get("type")
    if kind in (None, "TYPE_UNSPECIFIED") and "anyOf" not in schema and "ref" not in schema:
        raise Refused(f"* {place}.type: must be specified\n")
    if beside := [
        name for name in ("properties", "items", "enum") if name in schema and "anyOf" in schema
    ]:
        raise Refused(f"* {place}.{beside[0]}: when using any_of, it must be the only field set\n")
    if kind == "OBJECT" and schema.get("properties") == {}:
        raise Refused(f"* {place}.properties: should be non-empty for OBJECT type\n")
    if kind == "ARRAY" and "items" not in schema:
        raise Refused(f"* {place}.items: missing field.\n")
    if "enum" in schema and kind not in ("STRING", None):
        raise Refused(f"* {place}.enum: only allowed for STRING type\n")
    if "" in schema.get("enum", []):
        raise Refused(f"* {place}.enum[{schema['enum'].index('')}]: cannot be empty\n")
    formats = _FORMATS.get(kind or "", ())
    if schema.get("format") and formats and schema["format"] not in formats:
        both = " and ".join(f"'{one}'" for one in formats)
        raise Refused(f"* {place}.format: only {both} are supported for {kind} type\n")
    known = schema.get("properties", {})
    for number, name in enumerate(schema.get("required", [])):
        if name not in known:
            raise Refused(f"* {place}.required[{number}]: property is not defined\n")
    for name, below in known.items():
        check_schema(below, f"{place}.properties[{name}]")
    if "items" in schema:
        check_schema(schema["items"], f"{place}.items")
    for number, below in enumerate(schema.get("anyOf", [])):
        check_schema(below, f"{place}.any_of[{number}]")


def _check_config(body: Json, model: str, *, vertex: bool) -> None:
    config = body.get("generationConfig") or {}
    for name, (low, high) in _RANGES.items():
        if name in config and not low <= config[name] <= high:
            raise _out_of_range(name, config[name], (low, high), vertex=vertex)
    if config.get("maxOutputTokens", 1) < 1:
        raise _out_of_range("maxOutputTokens", config["maxOutputTokens"], (1, 65536), vertex=vertex)
    if len(config.get("stopSequences", [])) > MAX_STOPS:
        count = len(config["stopSequences"])
        raise _invalid(
            "stop_sequences",
            f"the number of stop sequences must not exceed {MAX_STOPS}, got {count}",
            f"it has a stopSequences field with {count} values but supports up to {MAX_STOPS}",
            vertex=vertex,
        )
    if "logprobs" in config and not config.get("responseLogprobs"):
        raise _invalid(
            "logprobs",
            "logprobs can only be set when response_logprobs is true",
            "logprobs is set and responseLogprobs is not true",
            vertex=vertex,
        )
    _check_format(body, config, model)


def _out_of_range(name: str, value: Any, limits: tuple[int, int], *, vertex: bool) -> Refused:
    low, high = limits
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return _invalid(
        words,
        f"{words} must be in the range [{low}, {high}].",
        f"it has a {name} value of {value} but the supported range is from {low} (inclusive) to"
        f" {high} (inclusive). Update the value and try again",
        vertex=vertex,
    )


def _invalid(field: str, studio: str, words: str, *, vertex: bool) -> Refused:
    place = f"GenerateContentRequest.generation_config.{field}"
    return unable(words) if vertex else Refused(f"* {place}: {studio}\n")


def _check_format(body: Json, config: Json, model: str) -> None:
    place = "GenerateContentRequest.generation_config"
    kind = config.get("responseMimeType", "text/plain")
    if kind not in _MIME_TYPES:
        listed = ", ".join(f"`{name}`" for name in _MIME_TYPES)
        raise Refused(f"* {place}.response_mime_type: allowed mimetypes are {listed}.\n")
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise Refused(
            f"* {place}: only one of response_schema and response_json_schema can be set.\n"
        )
    schema = config.get("responseSchema")
    if (schema or "responseJsonSchema" in config) and kind == "text/plain":
        raise Refused(
            f"* {place}.response_schema: only allowed when response_mime_type is one of"
            " `application/json` and `text/x.enum`.\n"
        )
    if schema:
        check_schema(schema, f"{place}.response_schema")
    if kind != "text/plain" and declared(body) and generation(model) < (3, 0):
        raise Refused(f"Function calling with a response mime type: '{kind}' is unsupported")


def _check_thinking(thinking: Json, model: str) -> None:
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    made = generation(model)
    if level is not None and made < (3, 0):
        raise Refused("Thinking level is not supported for this model.")
    if level == "MINIMAL" and "pro" in model:
        raise Refused("Thinking level MINIMAL is not supported for this model.")
    if thinking and made < (2, 5):
        raise Refused(f"Thinking is not enabled for models/{model}")
    if budget is None or budget == -1 or made != (2, 5):
        return
    if budget == 0:
        if "pro" in model:
            raise Refused("Budget 0 is invalid. This model only works in thinking mode.")
        return
    for family, low, high in _BUDGETS:
        if family in model:
            if not low <= budget <= high:
                raise Refused(
                    f"The thinking budget {budget} is invalid. Please choose a value between"
                    f" {low} and {high}."
                )
            return
