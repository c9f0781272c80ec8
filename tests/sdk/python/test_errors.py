"""Which of its errors the official client raises, and what it says of them."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest
from conftest import ALL, SOME, options
from everyone import Provider
from gateway import KEYS, Stage


def chat(client: openai.OpenAI, model: str, text: str, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


REFUSALS = [
    ("status=400", openai.BadRequestError, 400),
    ("context_length", openai.BadRequestError, 400),
    ("content_filter", openai.BadRequestError, 400),
    ("status=404", openai.NotFoundError, 404),
    ("status=429", openai.RateLimitError, 429),
    ("quota", openai.RateLimitError, 429),
    ("status=500", openai.InternalServerError, 500),
    ("status=503", openai.InternalServerError, 503),
    ("status=529", openai.InternalServerError, 503),
    ("reset", openai.InternalServerError, 503),
    ("refuse", openai.InternalServerError, 503),
    ("malformed", openai.InternalServerError, 502),
    ("html200", openai.InternalServerError, 502),
    ("error_first", openai.InternalServerError, 500),
    ("cut_after=0", openai.InternalServerError, 503),
]


IN_AN_ANSWER = {("gemini", "content_filter"), ("vertex", "content_filter")}
"""What these tell with a 200."""

CASES = [(one, *row) for one in ALL for row in REFUSALS if (one.name, row[0]) not in IN_AN_ANSWER]


@pytest.mark.parametrize(("behind", "fault", "error", "status"), CASES, ids=[f"{one[0].name}-{one[1]}" for one in CASES])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_raised_before_anything_is_streamed(
    client: openai.OpenAI, model: str, fault: str, error: type[openai.APIStatusError], status: int, stream: bool
) -> None:
    with pytest.raises(error) as raised:
        chat(client, model, f"hi [[*:{fault}]]", stream=stream)
    problem = raised.value
    assert type(problem) is error
    assert problem.status_code // 100 == status // 100, problem
    assert isinstance(problem.body, dict) and set(problem.body) == {"message", "type", "param", "code"}
    assert problem.request_id and problem.message


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-flash", "vertex/gemini-3.8-flash"])
def test_a_blocked_prompt_is_an_answer_that_was_filtered(client: openai.OpenAI, model: str) -> None:
    assert chat(client, model, "hi [[*:content_filter]]").choices[0].finish_reason == "content_filter"
    chunks = [chunk for chunk in chat(client, model, "hi [[*:content_filter]]", stream=True) if chunk.choices]
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["content_filter"]


def test_a_limit_says_how_long_to_wait(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        chat(client, model, "hi [[*:status=429,retry_after=7]]")
    assert raised.value.response.headers["retry-after"] == "7"


def test_the_gateways_own_credential_is_not_the_clients_fault(client: openai.OpenAI, model: str) -> None:
    """A 401 would have the client's user look for a mistake in the wrong key."""
    with pytest.raises(openai.InternalServerError) as raised:
        chat(client, model, "hi [[*:status=401]]")
    assert raised.value.code == "provider_auth_failed"
    assert not [key for key in KEYS.values() if key in str(raised.value.response.text)]


def test_a_request_that_is_wrong_names_its_field(client: openai.OpenAI, here: Stage, model: str) -> None:
    for more, param in [({"temperature": 9}, "temperature"), ({"n": 0}, "n"), ({"max_tokens": 0}, "max_tokens")]:
        with pytest.raises(openai.BadRequestError) as raised:
            chat(client, model, "hi", **more)
        assert raised.value.param == param and raised.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, messages=[])
    assert not any(here.fakes.seen())


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        chat(client, "gpt-5000", "hi")
    assert raised.value.code == "model_not_found" and "gpt-4o" in raised.value.message


def test_an_unknown_path_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.completions.create(model="gpt-4o", prompt="hi")
    assert raised.value.code == "unknown_url"


# With a pause between events: an error that comes with the first content is answered by a status.


def gathered(stream: Any) -> str:
    """The text of a stream that ends in an error; the error goes on."""
    text = ""
    try:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    except Exception as problem:
        problem.add_note(text)
        raise
    return text


@pytest.mark.parametrize("fault", ["error_after=2", "end_after=2", "malformed_after=2"])
def test_an_error_within_a_stream_is_raised_behind_what_came(client: openai.OpenAI, model: str, fault: str) -> None:
    stream = chat(client, model, f"hi [[*:{fault},chunks=6,slow_chunks=0.03]]", stream=True)
    with pytest.raises(openai.APIError) as raised:
        gathered(stream)
    assert not isinstance(raised.value, openai.APIStatusError | openai.APIConnectionError)
    assert raised.value.message and isinstance(raised.value.body, dict)
    assert set(raised.value.body) == {"message", "type", "param", "code"}
    assert "Hello" in raised.value.__notes__[0]


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
def test_a_stream_that_is_cut_is_a_broken_connection(client: openai.OpenAI, model: str) -> None:
    """Envoy cuts the client's stream where the provider's was cut; nothing can be said after that."""
    stream = chat(client, model, "hi [[*:cut_after=2,chunks=6,slow_chunks=0.03]]", stream=True)
    with pytest.raises(Exception) as raised:  # noqa: PT011  Which class is the client's affair.
        gathered(stream)
    assert "Hello" in raised.value.__notes__[0]
    assert "peer closed connection" in str(raised.value) or isinstance(raised.value, openai.APIError)


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
def test_a_stream_that_falls_silent_ends(client: openai.OpenAI, model: str) -> None:
    """`timeouts.idle` is two seconds here, the client's own patience ten."""
    began = time.monotonic()
    stream = chat(client, model, "hi [[*:stall_after=2,chunks=6,slow_chunks=0.03]]", stream=True)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        gathered(stream)
    assert "Hello" in raised.value.__notes__[0]
    assert 1.5 < time.monotonic() - began < 6


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
def test_a_client_that_waits_no_longer_is_told_so_and_takes_its_request_with_it(
    here: Stage, client: openai.OpenAI, port: int, model: str
) -> None:
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=0.3), model, "hi [[*:slow=9]]")
    assert here.fakes.idle(port)
    assert here.fakes.state(port)["aborted"] == 1


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
def test_a_client_that_stops_reading_takes_its_request_with_it(
    here: Stage, client: openai.OpenAI, port: int, model: str
) -> None:
    with chat(client, model, "hi [[*:slow_chunks=0.05,chunks=200]]", stream=True) as stream:
        next(iter(stream))
    assert here.fakes.idle(port)
    assert here.fakes.state(port)["aborted"] == 1


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
@pytest.mark.parametrize("fault", ["status=429,retry_after=0.2", "status=503", "reset"])
def test_a_client_that_tries_again_succeeds(here: Stage, port: int, model: str, fault: str) -> None:
    here.fakes.set(port, fault, times=1)
    with openai.OpenAI(**options(here) | {"max_retries": 2}) as patient:
        assert chat(patient, model, "hi").choices[0].finish_reason == "stop"
    assert here.fakes.state(port)["requests"] == 2


@pytest.mark.parametrize("behind", SOME, ids=lambda provider: provider.name)
def test_a_client_without_retries_asks_once(here: Stage, client: openai.OpenAI, port: int, model: str) -> None:
    here.fakes.set(port, "status=503")
    with pytest.raises(openai.InternalServerError):
        chat(client, model, "hi")
    assert here.fakes.state(port)["requests"] == 1


def test_a_gateway_that_is_not_there_is_a_connection_error() -> None:
    with openai.OpenAI(base_url="http://127.0.0.1:1/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            chat(client, "gpt-4o", "hi")
