"""Vectors through the official client, which asks for base64 by itself and decodes it."""

from __future__ import annotations

import math

import openai
import pytest
from conftest import ALL, options
from everyone import Provider
from fakes.embeddings import vector
from gateway import Stage

MODEL = "text-embedding-3-small"
EMBEDDERS = [provider for provider in ALL if provider.embeds]
# Of OpenRouter's models nothing is known, so they are asked.
OTHERS = [provider for provider in ALL if not provider.embeds and provider.name != "openrouter"]


@pytest.mark.parametrize("behind", EMBEDDERS, ids=lambda provider: provider.name)
def test_vectors_of_everyone_come_in_one_shape(client: openai.OpenAI, behind: Provider) -> None:
    model, texts = f"{behind.fake}/{behind.embeds}", ["hello", "you", "hello"]
    if not behind.batches:
        with pytest.raises(openai.BadRequestError) as raised:
            client.embeddings.create(model=model, input=texts)
        assert raised.value.param == "input" and "one" in raised.value.message
        texts = ["hello"]
    # The client asks for base64 by itself, and decodes it.
    own = client.embeddings.create(model=model, input=texts)
    floats = client.embeddings.create(model=model, input=texts, encoding_format="float")
    single = client.embeddings.create(model=model, input="hello", encoding_format="float")
    assert [one.index for one in own.data] == list(range(len(texts))) == [one.index for one in floats.data]
    for one, other in zip(own.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-3)
    vectors = [one.embedding for one in floats.data]
    assert vectors[0] == vectors[-1] == single.data[0].embedding and vectors.count(vectors[0]) == texts.count("hello")
    assert own.usage == floats.usage and own.usage.prompt_tokens == own.usage.total_tokens >= single.usage.prompt_tokens
    for answer in (own, floats, single):
        assert answer.object == "list" and answer.model
        type(answer).model_validate(answer.to_dict(), strict=True)


@pytest.mark.parametrize("behind", OTHERS, ids=lambda provider: provider.name)
def test_a_model_that_chats_has_no_vectors(client: openai.OpenAI, behind: Provider) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model=behind.asked, input="a")
    assert raised.value.param == "model" and raised.value.type == "invalid_request_error"


def test_the_clients_own_encoding_is_base64_and_it_is_decoded(client: openai.OpenAI, here: Stage) -> None:
    answer = client.embeddings.create(model=MODEL, input=["hello", "you"])
    assert [one.index for one in answer.data] == [0, 1]
    for one, text in zip(answer.data, ["hello", "you"], strict=True):
        assert one.embedding == list(vector(MODEL, text))
    assert answer.model == MODEL and answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    assert '"encoding_format":"base64"' in here.fakes.last(here.fakes.ports["openai"][0])["body"]


@pytest.mark.parametrize("given", ["hello", ["hello"]])
def test_floats_are_what_the_types_say(client: openai.OpenAI, given: str | list[str]) -> None:
    answer = client.embeddings.create(model=MODEL, input=given, encoding_format="float", dimensions=8, user="u")
    assert answer.data[0].embedding == list(vector(MODEL, "hello", 8))
    # Nothing in it that the client's types do not allow.
    type(answer).model_validate(answer.to_dict(), strict=True)


def test_tokens_are_embedded(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=[[1, 2], [3]])
    assert [one.embedding for one in answer.data] == [list(vector(MODEL, f"tokens:{text}")) for text in ("1,2", "3")]


async def _all_at_once(stage: Stage) -> list[list[float]]:
    async with openai.AsyncOpenAI(**options(stage)) as client:
        return [(await client.embeddings.create(model=MODEL, input=text)).data[0].embedding for text in "ab"]


def test_the_asynchronous_client_gets_the_same(here: Stage) -> None:
    import asyncio

    assert asyncio.run(_all_at_once(here)) == [list(vector(MODEL, text)) for text in "ab"]


def test_an_empty_text_is_a_bad_request(client: openai.OpenAI, here: Stage) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model=MODEL, input=["a", ""])
    assert raised.value.param == "input[1]" and not any(here.fakes.seen())


def test_a_model_without_vectors_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model="claude-sonnet-4-5", input="a")
    assert raised.value.param == "model"


@pytest.mark.parametrize(
    ("fault", "raises"),
    [
        ("status=429", openai.RateLimitError),
        ("status=503", openai.InternalServerError),
        ("wrong_shape", openai.InternalServerError),
        ("reset", openai.InternalServerError),
    ],
)
def test_a_failure_is_the_clients_own_error(
    client: openai.OpenAI, here: Stage, fault: str, raises: type[openai.APIStatusError]
) -> None:
    here.fakes.set(here.fakes.ports["openai"][0], fault)
    with pytest.raises(raises):
        client.embeddings.create(model=MODEL, input="a")
