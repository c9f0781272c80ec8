"""The Gemini dialect of AI Studio; `vertex` serves the same models at its own paths."""

from __future__ import annotations

import dataclasses
import itertools
import re
import time
from typing import Any
from urllib.parse import unquote

from . import content, google_errors
from .content import Answer, Prompt, Tool
from .faults import Faults
from .gemini_answers import FINISHES, Shape, events, whole
from .gemini_rules import MAX_BATCH, check_generate, declared, read_body
from .gemini_turns import generation, named
from .google_errors import Refused, asked_error, error_info, error_reply, pretty_reply, quoted
from .http import Json, Request
from .replies import Event, Reply, encode_event, encode_json
from .vectors import vector

NAME = "gemini"

_SERVICE = "generativelanguage.googleapis.com"
_PATH = re.compile(r"/v1(?:beta|alpha)?/models/([^/]+):(\w+)")
_MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.5-flash", "gemini-embedding-001")
_VERBS = ("generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents")
_DIMENSIONS = 3072
_MAX_INSTANCES = 250
"""Texts that the older models embed in one `predict`."""
_FINISH = re.compile(r"\bfinish ([A-Z_]+)\b")

_numbers = itertools.count(1)


def reply(request: Request, faults: Faults) -> Reply:
    """The answer to a request: an error that was asked for, a refusal, or what the model says."""
    try:
        if error := asked_error(faults):
            raise error
        _check_key(request)
        if request.method == "GET" and request.path.endswith("/models"):
            return pretty_reply(200, {"models": [_model(name) for name in _MODELS]})
        found = _PATH.fullmatch(request.path)
        if request.method != "POST" or not found or found[2] not in _VERBS:
            raise Refused("Method not found.", code=404)
        return answer(request, unquote(found[1]), found[2], faults)
    except Refused as refused:
        return refusal(request, refused, faults)


def stream_error() -> Event:
    """The error that a stream carries once its 200 is sent."""
    return Event(google_errors.stream_error())


def refusal(request: Request, refused: Refused, faults: Faults) -> Reply:
    """An error; in an array where the answer would have been one, or when that is asked for."""
    streams = ":stream" in request.path and request.query.get("alt") != "sse"
    return error_reply(refused, faults, in_array=streams or faults.array_error)


def _check_key(request: Request) -> None:
    key = request.header("x-goog-api-key") or request.query.get("key", "")
    if not key:
        raise Refused(
            "Method doesn't allow unregistered callers (callers without established identity)."
            " Please use API Key or other form of API consumer identity to call this API.",
            code=403,
        )
    if "invalid" in key:
        message = "API key not valid. Please pass a valid API key."
        localized = {"@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                     "locale": "en-US", "message": message}  # fmt: skip
        raise Refused(message, details=[error_info("API_KEY_INVALID", _SERVICE), localized])


def _model(name: str) -> Json:
    methods = ["embedContent"] if "embedding" in name else ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "version": "001", "displayName": name,
            "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
            "supportedGenerationMethods": methods}  # fmt: skip


def answer(request: Request, model: str, verb: str, faults: Faults, provider: str = NAME) -> Reply:
    """What a model answers to one of its methods. `provider` is how it calls itself."""
    vertex = provider != NAME
    if model.startswith("no-such"):
        raise _not_found(request, model, verb, vertex=vertex)
    if "mbed" in verb:
        return _embed(request.json(), model, verb, faults, vertex=vertex)
    body = check_generate(request.json(), model, vertex=vertex)
    prompt = _prompt(body, model, provider)
    made = content.answer(prompt, faults)
    shape = _shape(body, model, made, prompt, faults, vertex=vertex)
    error = [google_errors.stream_error()] if faults.array_error else google_errors.stream_error()
    if verb == "streamGenerateContent":
        return _stream(request, events(shape), Event(error, "error"))
    return pretty_reply(200, error if faults.error_first else whole(shape))


def _not_found(request: Request, model: str, verb: str, *, vertex: bool) -> Refused:
    if vertex:
        name = request.path.partition(":")[0].split("/", 2)[2]
        return Refused(
            f"Publisher Model `{name}` was not found or your project does not have access to it."
            " Please ensure you are using a valid model version. For more information, see:"
            " https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
            code=404,
        )
    return Refused(
        f"models/{model} is not found for API version v1beta, or is not supported for {verb}."
        " Call ListModels to see the list of available models and their supported methods.",
        code=404,
    )


def _prompt(body: Json, model: str, provider: str) -> Prompt:
    contents: list[Json] = body["contents"]
    system = body.get("systemInstruction") or {}
    size = sum(len(_text_of(one)) for one in [*contents, system])
    prompt = Prompt(provider, model, size=size)
    turns = [one for one in contents if one.get("role") != "model"]
    said = [_text_of(one) for one in turns]
    prompt.text = next((text for text in reversed(said) if text), "")
    if turns and not said[-1]:
        prompt.tool_results = [_result(one) for one in named(turns[-1], "functionResponse")]
    config = body.get("generationConfig") or {}
    _read_tools(body, prompt)
    _read_format(config, prompt)
    prompt.max_tokens = config.get("maxOutputTokens")
    prompt.stops = config.get("stopSequences") or []
    thinking = config.get("thinkingConfig") or {}
    prompt.may_think = generation(model) >= (2, 5) and thinking.get("thinkingBudget") != 0
    return prompt


def _text_of(turn: Json) -> str:
    parts = turn.get("parts") or []
    return " ".join(p["text"] for p in parts if p.get("text") and not p.get("thought"))


def _result(response: Json) -> str:
    told = response.get("response") or {}
    value = next((told[name] for name in ("output", "result", "error") if name in told), told)
    return value if isinstance(value, str) else quoted(value)


def _read_tools(body: Json, prompt: Prompt) -> None:
    """The functions the model may call, as `toolConfig` leaves them."""
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode, allowed = config.get("mode", "AUTO"), config.get("allowedFunctionNames")
    functions = [one for one in declared(body) if not allowed or one["name"] in allowed]
    prompt.must_call = mode == "ANY"
    if mode != "NONE":
        prompt.tools = [
            Tool(
                one["name"],
                one.get("parametersJsonSchema") or _lowered(one.get("parameters")) or {},
            )
            for one in functions
        ]


def _read_format(config: Json, prompt: Prompt) -> None:
    schema = config.get("responseJsonSchema") or _lowered(config.get("responseSchema"))
    if schema is not None:
        prompt.schema = schema
    elif config.get("responseMimeType") == "application/json":
        prompt.schema = {"properties": {"answer": {"type": "string"}}}


def _lowered(schema: Any) -> Any:
    """A schema with the names of its types as JSON Schema writes them."""
    if isinstance(schema, list):
        return [_lowered(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _lowered(value)
        for name, value in schema.items()
    }


def _shape(
    body: Json, model: str, made: Answer, prompt: Prompt, faults: Faults, *, vertex: bool
) -> Shape:
    config = body.get("generationConfig") or {}
    wanted = [name for name in _FINISH.findall(prompt.text) if name in FINISHES]
    if config.get("responseMimeType") == "text/x.enum":
        made.pieces = [made.text.strip('"')]
    return Shape(
        made=made,
        head={"modelVersion": model, "responseId": f"Fake{next(_numbers):018d}"},
        newest=generation(model) >= (3, 0),
        gives_ids=generation(model) >= (3, 0) and not vertex,
        shows_thought=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
        count=config.get("candidateCount", 1),
        logprobs=config.get("logprobs", 0) if config.get("responseLogprobs") else None,
        blocked=faults.content_filter or "blocked prompt" in prompt.text.lower(),
        finish=wanted[0] if wanted else None,
        usage=not faults.no_usage,
        vertex=vertex,
        created=time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()) if vertex else None,
    )


def _stream(request: Request, sent: list[Event], error: Event) -> Reply:
    headers = [("content-disposition", "attachment"), *google_errors.headers()]
    if request.query.get("alt") == "sse":
        kind = ("content-type", "text/event-stream")
        return Reply(200, [kind, *headers], events=sent, error=Event(error.data), encode=_as_sse)
    kind = ("content-type", "application/json; charset=UTF-8")
    sent = [*sent, Event(None, "end")]
    return Reply(200, [kind, *headers], events=sent, error=error, encode=_Array())


def _as_sse(event: Event, faults: Faults) -> bytes:
    """Lines end in CR LF here, unless another ending is asked for."""
    return encode_event(event, faults if faults.cr else dataclasses.replace(faults, crlf=True))


class _Array:
    """The stream as one JSON array, an element at a time."""

    def __init__(self) -> None:
        self._before = b"["

    def __call__(self, event: Event, _: Faults) -> bytes:
        before, self._before = self._before, b",\r\n"
        if event.name == "end":
            return b"]" if before != b"[" else b"[]"
        text = event.data.encode() if isinstance(event.data, str) else encode_json(event.data, 2)
        return before + text + (b"\n]" if event.name == "error" else b"\n")


def _embed(body: Json | None, model: str, verb: str, faults: Faults, *, vertex: bool) -> Reply:
    kind = "BatchEmbedContentsRequest" if verb == "batchEmbedContents" else "EmbedContentRequest"
    read = read_body(body, kind, vertex=vertex)
    if kind == "EmbedContentRequest":
        text = _embedded_text(read, "EmbedContentRequest")
        found: Json = {"embedding": {"values": vector(text, _dimensions(read))}}
        return _embedded(found, [text], model, faults)
    requests = read.get("requests") or []
    if len(requests) > MAX_BATCH:
        raise Refused(
            f"* BatchEmbedContentsRequest.requests: at most {MAX_BATCH} requests can be in one"
            " batch\n"
        )
    texts = []
    for number, one in enumerate(requests):
        place = f"BatchEmbedContentsRequest.requests[{number}]"
        if one.get("model") != f"models/{model}" and not vertex:
            raise Refused(
                f"* {place}.model: the model in the request must match the model in the path\n"
            )
        texts.append(_embedded_text(one, place))
    vectors = [
        {"values": vector(text, _dimensions(one))}
        for text, one in zip(texts, requests, strict=True)
    ]
    return _embedded({"embeddings": vectors}, texts, model, faults)


def predict(body: Json | None, model: str, faults: Faults) -> Reply:
    """Embeddings as Vertex's older method gives them."""
    if "embedding-2" in model:
        raise Refused("Precondition check failed.", status="FAILED_PRECONDITION")
    read = read_body(body, "PredictRequest", vertex=True)
    instances = read.get("instances") or []
    most = 1 if model.startswith("gemini-") else _MAX_INSTANCES
    if not 1 <= len(instances) <= most:
        raise Refused(f"{most} instance(s) is allowed per prediction. Actual: {len(instances)}")
    size = _dimensions(read.get("parameters") or {}, 3072 if model.startswith("gemini-") else 768)
    predictions, characters = [], 0
    for one in instances:
        text = one.get("content", "")
        if not text:
            raise Refused("The text content is empty.")
        characters += len(text)
        statistics = {"truncated": False, "token_count": content.tokens(len(text))}
        found: Json = {"values": vector(text, size)}
        if not faults.no_usage:
            found["statistics"] = statistics
        predictions.append({"embeddings": found})
    answer = {"predictions": predictions, "metadata": {"billableCharacterCount": characters}}
    return pretty_reply(200, google_errors.stream_error() if faults.error_first else answer)


def _embedded_text(one: Json, place: str) -> str:
    text = " ".join(part.get("text", "") for part in (one.get("content") or {}).get("parts") or [])
    if not text:
        raise Refused(f"* {place}.content: contents is required and can not be empty\n")
    return text


def _dimensions(one: Json, most: int = _DIMENSIONS) -> int:
    config = one.get("embedContentConfig") or one
    wanted = config.get("outputDimensionality", most)
    if not 1 <= wanted <= most:
        raise Refused(f"output_dimensionality must be between 1 and {most}.")
    return int(wanted)


def _embedded(found: Json, texts: list[str], model: str, faults: Faults) -> Reply:
    """The newer embedding models tell what they counted; the older ones do not."""
    if "embedding-2" in model and not faults.no_usage:
        count = sum(content.tokens(len(text)) for text in texts)
        found["usageMetadata"] = {"promptTokenCount": count, "totalTokenCount": count}
    return pretty_reply(200, google_errors.stream_error() if faults.error_first else found)
