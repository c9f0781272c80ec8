"""Vectors: in either encoding, of texts and of tokens, and from no other model than the one asked for."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from client import CLIENT_KEY
from gateway import KEYS, Cluster, Fakes, Gateway, Stage, configuration, stage
from fakes.embeddings import vector

SMALL = "text-embedding-3-small"


@pytest.fixture(scope="module")
def made():
    """Two providers of one model, a third of another, and one that has none."""

    def build(fakes):
        def provider(name, models):
            return {"api": "openai", "endpoints": [{"cluster": name}], "models": models}

        names = ["a", "b", "c"]
        gateway = {
            "providers": {
                "a": provider("a", {SMALL: {}, "own": {}, "gpt-4o": {}, "deployment": {"model": SMALL}}),
                "b": provider("b", {SMALL: {}}),
                "c": provider("c", {"text-embedding-3-large": {}, "other": {}}),
                "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"unknown-claude": {}}},
            },
            "rules": [
                {"name": "deployed", "when": {"model": "deployed"}, "targets": ["a/deployment", f"b/{SMALL}"]},
                {"name": "own", "when": {"model": "own"}, "targets": ["a/own", "c/other"]},
                {"name": "chat", "when": {"model": "chat"}, "targets": ["a/gpt-4o"]},
            ],
        }  # fmt: skip
        clusters = [Cluster(name, name, f"127.0.0.1:{port}") for name, port in zip(names, fakes.ports["openai"])]
        claude = f"127.0.0.1:{fakes.ports['anthropic'][0]}"
        return configuration(gateway, [*clusters, Cluster("claude", "claude", claude, "ANTHROPIC_API_KEY")])

    with stage(build, openai=3, anthropic=1) as made:
        made.at = dict(zip("abc", made.fakes.ports["openai"]))
        yield made


@pytest.fixture(autouse=True)
def unseen(made):
    made.fakes.reset()


def embed(made, input="hello", model=SMALL, **fields):
    body = json.dumps({"model": model, "input": input} | fields).encode()
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    return made.ask("POST", "/v1/embeddings", body, headers=headers)


def asked(made):
    return {name: made.fakes.state(port)["requests"] for name, port in made.at.items()}


def check(answer, texts, model=SMALL, size=None, encoding="float"):
    """The answer holds the vectors that the fake makes of these texts, and nothing but OpenAI's form."""
    assert answer.status == 200 and answer.ending == "complete", answer
    assert answer["content-type"] == "application/json"
    told = answer.json()
    assert list(told) == ["object", "data", "model", "usage"] and told["object"] == "list"
    assert [one["index"] for one in told["data"]] == list(range(len(texts)))
    for one, text in zip(told["data"], texts, strict=True):
        numbers = vector(model, text, size)
        if encoding == "base64":
            assert one["embedding"] == base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        else:
            assert one["embedding"] == list(numbers)
    return told


def test_a_text_becomes_a_vector(made):
    answer = embed(made)
    told = check(answer, ["hello"])
    assert told["model"] == SMALL and told["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    seen = [answer[f"x-waypost-{what}"] for what in ("provider", "model", "attempts", "rule")]
    assert seen == ["a", SMALL, "1", "model"]
    assert answer.get("x-waypost-warnings") is None


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_texts_become_vectors_in_the_encoding_that_was_asked_for(made, encoding):
    texts = ["one", "two", "drei €", "😀"]
    check(embed(made, texts, encoding_format=encoding), texts, encoding=encoding)


def test_a_length_is_asked_for(made):
    check(embed(made, ["a", "b"], dimensions=256), ["a", "b"], size=256)


@pytest.mark.parametrize(("tokens", "texts"), [([1, 2, 3], ["tokens:1,2,3"]), ([[7], [8, 9]], ["tokens:7", "tokens:8,9"])])
def test_tokens_are_passed_on(made, tokens, texts):
    told = check(embed(made, tokens), texts)
    assert told["usage"]["prompt_tokens"] == sum(text.count(",") + 1 for text in texts)


def test_many_vectors_are_longer_than_any_buffer(made):
    texts = [f"text {number}" for number in range(300)]
    answer = embed(made, texts)
    assert len(answer.body) > 4 << 20
    check(answer, texts)


def test_the_providers_key_goes_to_the_provider_and_the_clients_does_not(made):
    embed(made)
    seen = made.fakes.last(made.at["a"])
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"
    assert (seen["method"], seen["path"]) == ("POST", "/v1/embeddings")
    assert CLIENT_KEY not in json.dumps(seen)


@pytest.mark.parametrize(
    "fault", ["status=503", "status=429", "status=401", "reset", "refuse", "html200", "empty200", "wrong_shape", "malformed", "error_first"]
)  # fmt: skip
def test_the_same_model_of_another_provider_takes_over(made, fault):
    made.fakes.set(made.at["a"], fault)
    answer = embed(made, ["x", "y"])
    check(answer, ["x", "y"])
    assert (answer["x-waypost-provider"], answer["x-waypost-attempts"]) == ("b", "2")
    assert asked(made)["c"] == 0


def test_a_deployment_is_the_model_that_the_configuration_says(made):
    made.fakes.set(made.at["a"], "status=500")
    answer = embed(made, model="deployed")
    check(answer, ["hello"])
    assert (answer["x-waypost-provider"], answer["x-waypost-rule"]) == ("b", "deployed")


@pytest.mark.parametrize("fault", ["status=503", "reset", "wrong_shape"])
def test_another_model_never_takes_over(made, fault):
    made.fakes.set(made.at["a"], fault)
    answer = embed(made, model="own")
    assert answer.status in (502, 503), answer
    assert answer.error["type"] in ("server_error", "service_unavailable_error")
    assert answer["x-waypost-attempts"] == "1" and asked(made)["c"] == 0


def test_the_providers_refusal_is_the_clients_answer_when_nobody_is_left(made):
    for name in "ab":
        made.fakes.set(made.at[name], "status=429,retry_after=7")
    answer = embed(made)
    assert (answer.status, answer["retry-after"]) == (429, "7")
    assert answer.error["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": SMALL}, "input"),
        ({"input": "a"}, "model"),
        ({"model": SMALL, "input": ""}, "input"),
        ({"model": SMALL, "input": []}, "input"),
        ({"model": SMALL, "input": ["a", ""]}, "input[1]"),
        ({"model": SMALL, "input": ["a", 1]}, "input[1]"),
        ({"model": SMALL, "input": ["a"] * 2049}, "input"),
        ({"model": SMALL, "input": "a", "dimensions": 0}, "dimensions"),
        ({"model": SMALL, "input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"model": "gpt-4o", "input": "a"}, "model"),
        ({"model": "chat", "input": "a"}, "model"),
        ({"model": "unknown-claude", "input": "a"}, "model"),
    ],
)
def test_what_cannot_be_embedded_is_refused_before_it_is_sent(made, body, param):
    answer = made.ask("POST", "/v1/embeddings", json.dumps(body).encode())
    assert answer.status == 400, answer
    assert (answer.error["param"], answer.error["type"]) == (param, "invalid_request_error")
    assert made.fakes.seen() == [0, 0, 0, 0]


def test_broken_json_and_an_unknown_model_are_told(made):
    broken = made.ask("POST", "/v1/embeddings", b'{"model": "m",\n "input": [}')
    assert broken.status == 400 and "line 2 column 12" in broken.error["message"]
    unknown = embed(made, model="text-embedding-3-smal")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
    assert f'did you mean "{SMALL}"' in unknown.error["message"]


def test_a_count_that_is_missing_is_said_to_be(made):
    made.fakes.set(made.at["a"], "no_usage")
    answer = embed(made)
    assert answer.status == 200 and answer["x-waypost-warnings"] == "usage unknown"
    assert answer.json()["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_a_model_of_vectors_does_not_talk(made):
    answer = made.chat(model=SMALL)
    assert (answer.status, answer.error["param"]) == (400, "model")


def test_the_path_is_among_those_there_are(made):
    answer = made.ask("GET", "/v1/embeddings")
    assert answer.status == 404 and "POST /v1/embeddings" in answer.error["message"]


# Each provider that makes vectors


EVERYWHERE = {
    "azure": ({"endpoint": "https://res.openai.azure.com"}, "text-embedding-3-large"),
    "azure-dated": ({"api": "azure", "endpoint": "https://res.openai.azure.com", "api_version": "2024-10-21"}, "text-embedding-3-large"),
    "gemini": ({}, "gemini-embedding-001"),
    "vertex": ({"project": "p-1", "location": "us-central1"}, "gemini-embedding-001"),
    "vertex-older": ({"api": "vertex", "project": "p-1", "location": "us-central1"}, "text-embedding-005"),
    "mistral": ({}, "mistral-embed"),
    "cohere": ({"input_type": "search_query"}, "embed-v4.0"),
    "bedrock": ({"region": "us-east-1"}, "amazon.titan-embed-text-v2:0"),
    "bedrock-cohere": ({"api": "bedrock", "region": "us-east-1"}, "cohere.embed-v4:0"),
    "qwen": ({}, "text-embedding-v4"),
    "openrouter": ({}, "openai/text-embedding-3-small"),
    "together": ({}, "intfloat/multilingual-e5-large-instruct"),
    "ollama": ({}, "nomic-embed-text"),
    "vllm": ({}, "BAAI/bge-m3"),
}  # fmt: skip
"""What stands in the entry of each, and a model of its. The API has the entry's name where it has no other."""


@pytest.fixture(scope="module")
def everywhere():
    apis = {name: entry.get("api", name) for name, (entry, _) in EVERYWHERE.items()}
    fakes = Fakes(0, 0, **dict.fromkeys(apis.values(), 1))
    try:
        providers, clusters = {}, []
        for name, (entry, model) in EVERYWHERE.items():
            own = {"api": name, "endpoints": [{"cluster": name}], "models": {model: {}}}
            providers[name] = own | entry
            clusters.append(Cluster(name, name, f"127.0.0.1:{fakes.ports[apis[name]][0]}"))
        gateway = Gateway(configuration({"providers": providers}, clusters))
        try:
            yield Stage(gateway, fakes)
        finally:
            gateway.stop()
    finally:
        fakes.stop()


def as_floats(base64_text):
    data = base64.b64decode(base64_text, validate=True)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_provider_makes_vectors_in_both_encodings(everywhere, name):
    model = f"{name}/{EVERYWHERE[name][1]}"
    texts = ["one", "zwei €"] if name != "bedrock" else ["one"]
    floats = embed(everywhere, texts, model, encoding_format="float")
    packed = embed(everywhere, texts, model, encoding_format="base64")
    for answer in (floats, packed):
        assert answer.status == 200, answer
        assert answer["x-waypost-provider"] == name
        told = answer.json()
        assert told["object"] == "list" and [one["index"] for one in told["data"]] == list(range(len(texts)))
        counted = told["usage"]["prompt_tokens"] > 0
        assert counted != ("usage unknown" in (answer.get("x-waypost-warnings") or ""))
    vectors = [one["embedding"] for one in floats.json()["data"]]
    assert [as_floats(one["embedding"]) for one in packed.json()["data"]] == [
        list(struct.unpack(f"<{len(one)}f", struct.pack(f"<{len(one)}f", *one))) for one in vectors
    ]
    for numbers in vectors:
        assert len(numbers) > 100 and abs(sum(n * n for n in numbers) - 1) < 1e-3
    assert len(vectors) == 1 or vectors[0] != vectors[1]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_provider_makes_vectors_of_the_length_that_was_asked_for(everywhere, name):
    answer = embed(everywhere, "one", f"{name}/{EVERYWHERE[name][1]}", dimensions=256)
    assert answer.status == 200, answer
    assert len(answer.json()["data"][0]["embedding"]) == 256


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_providers_refusal_is_told_in_openais_words(everywhere, name):
    api = EVERYWHERE[name][0].get("api", name)
    [port] = everywhere.fakes.ports[api]
    everywhere.fakes.set(port, "status=429")
    try:
        answer = embed(everywhere, "one", f"{name}/{EVERYWHERE[name][1]}")
    finally:
        everywhere.fakes.reset()
    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error"), answer


def test_titan_takes_one_text_and_says_so(everywhere):
    answer = embed(everywhere, ["a", "b"], "bedrock/amazon.titan-embed-text-v2:0")
    assert (answer.status, answer.error["param"]) == (400, "input")
    assert "at most one text" in answer.error["message"]
