"""What the official client makes of answers: whole, streamed, with tools, with a schema, with thoughts. Whoever
answers, it is the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import openai
import pydantic
import pytest
from conftest import ALL, options
from everyone import PROVIDERS, Provider
from gateway import Stage
from openai.types.chat import ChatCompletionMessage

THINKERS = [provider for provider in ALL if provider.thinks]
named = {"ids": lambda provider: provider.name}

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def test_a_chat_is_answered(client: openai.OpenAI, behind: Provider, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, user("hello")],
        max_completion_tokens=500,
        stop=["never"],
        user="customer-1",
        metadata={"task": "test"},
    )
    assert answer.object == "chat.completion" and answer.id and answer.created > 1_700_000_000
    assert answer.model.startswith(behind.said or behind.model)
    [choice] = answer.choices
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    assert choice.message.content == behind.hello("You said: hello")
    assert choice.message.tool_calls is None and choice.message.refusal is None
    usage = answer.usage
    assert usage and usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    # Nothing in it that the client's types do not allow.
    type(answer).model_validate(answer.to_dict(), strict=True)


def test_the_headers_say_who_answered(client: openai.OpenAI, behind: Provider, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[user("hello")])
    assert raw.headers["x-waypost-provider"] == behind.fake
    assert raw.headers["x-waypost-model"] == behind.model
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_a_short_answer_says_that_it_was_cut(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user("hello")], max_tokens=2)
    assert answer.choices[0].finish_reason == "length"


def test_cached_tokens_are_told(client: openai.OpenAI, behind: Provider, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user("this is cached " * 20)])
    assert answer.usage and answer.usage.prompt_tokens > 20
    details = answer.usage.prompt_tokens_details
    assert bool(details and details.cached_tokens) == behind.caches
    assert not details or not details.cached_tokens or details.cached_tokens < answer.usage.prompt_tokens


@pytest.mark.parametrize("usage", [None, False, True])
def test_a_stream_is_the_answer_in_pieces(client: openai.OpenAI, behind: Provider, model: str, usage: bool | None) -> None:
    wanted: Any = openai.omit if usage is None else {"include_usage": usage}
    chunks = list(
        client.chat.completions.create(model=model, messages=[user("hello")], stream=True, stream_options=wanted)
    )
    assert len({chunk.id for chunk in chunks}) == 1 and len({chunk.created for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    if usage:
        *chunks, final = chunks
        assert final.choices == [] and final.usage
        assert final.usage.total_tokens == final.usage.prompt_tokens + final.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks)
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == behind.hello("You said: hello")
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


def test_a_stream_is_gathered_by_the_clients_own_means(client: openai.OpenAI, behind: Provider, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=[user("weather in two cities, explain")], tools=[WEATHER],
        stream_options={"include_usage": True},
    ) as stream:  # fmt: skip
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    message: Any = final.choices[0].message
    if behind.plans:
        assert not message.content and message.reasoning_content == "I will look that up."
    else:
        assert "content.delta" in kinds and message.content == "I will look that up."
    assert message.tool_calls and [json.loads(c.function.arguments)["city"] for c in message.tool_calls] == ["Paris", "Oslo"]
    assert final.usage and final.usage.completion_tokens


def turn(client: openai.OpenAI, streamed: bool, **ask: Any) -> tuple[str | None, Any]:
    """How an answer ends, and its message with what a client keeps that knows OpenAI's fields alone."""
    if not streamed:
        choice = client.chat.completions.create(**ask).choices[0]
        calls = [call.to_dict() for call in choice.message.tool_calls or []]
        return choice.finish_reason, {"role": "assistant", "content": choice.message.content} | ({"tool_calls": calls} if calls else {})
    text, finish, pieces = "", None, {}
    for chunk in client.chat.completions.create(**ask, stream=True):
        finish = chunk.choices[0].finish_reason or finish
        text += chunk.choices[0].delta.content or ""
        for piece in chunk.choices[0].delta.tool_calls or []:
            call = pieces.setdefault(piece.index, {"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
            call["id"] = piece.id or call["id"]
            if piece.function:
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
    assert sorted(pieces) == list(range(len(pieces)))
    calls = list(pieces.values())
    return finish, {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})


@pytest.mark.parametrize(("text", "cities"), [("weather", ["Paris"]), ("weather in two cities", ["Paris", "Oslo"])])
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_their_results_read_turn_after_turn(
    client: openai.OpenAI, behind: Provider, model: str, text: str, cities: list[str], streamed: bool
) -> None:
    messages: list[Any] = []
    ids: list[str] = []
    for _ in range(3):
        messages.append(user(text))
        finish, message = turn(client, streamed, model=model, messages=messages, tools=[WEATHER])
        assert finish == "tool_calls"
        calls = message["tool_calls"]
        assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"city": c, "unit": "c"} for c in cities]
        assert {call["function"]["name"] for call in calls} == {"get_weather"}
        ids += [call["id"] for call in calls]
        messages.append(message)
        for call, city in zip(calls, cities, strict=True):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"sun in {city}"})
        finish, message = turn(client, streamed, model=model, messages=messages, tools=[WEATHER])
        results = "; ".join(f"sun in {city}" for city in cities)
        assert (finish, message["content"]) == ("stop", behind.hello(f"The tools said: {results}"))
        messages.append(message)
    assert len(set(ids)) == 3 * len(cities)


def test_a_tool_that_takes_nothing_is_called_with_an_empty_object(client: openai.OpenAI, model: str) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather_now"}}
    answer = client.chat.completions.create(model=model, messages=[user("weather")], tools=[tool])
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function" and json.loads(call.function.arguments) == {}
    chunks = client.chat.completions.create(model=model, messages=[user("weather")], tools=[tool], stream=True)
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or []]
    assert json.loads("".join((piece.function and piece.function.arguments) or "" for piece in pieces)) == {}


NAMED = {"type": "function", "function": {"name": "get_weather"}}


def test_how_tools_may_be_called_is_obeyed_or_refused(client: openai.OpenAI, behind: Provider, model: str) -> None:
    def calls(text: str, **more: Any) -> int:
        answer = client.chat.completions.create(model=model, messages=[user(text)], tools=[WEATHER], **more)
        return len(answer.choices[0].message.tool_calls or [])

    assert calls("weather", tool_choice="none") == 0
    assert calls("weather", tool_choice="auto") == 1
    for choice in ("required", NAMED):
        if behind.forced:
            assert calls("hello", tool_choice=choice) == 1
            continue
        with pytest.raises(openai.BadRequestError) as raised:
            calls("hello", tool_choice=choice)
        assert raised.value.param == "tool_choice" and raised.value.code == "unsupported_parameter"


def test_one_call_at_a_time_is_obeyed_or_warned_of(client: openai.OpenAI, behind: Provider, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[user("weather in two cities")], tools=[WEATHER], parallel_tool_calls=False
    )
    assert len(raw.parse().choices[0].message.tool_calls or []) == (1 if behind.one_call else 2)
    assert ("parallel_tool_calls" in raw.headers.get("x-waypost-warnings", "")) != behind.one_call


class Report(pydantic.BaseModel):
    title: str
    words: int
    mood: Literal["glad", "sad"]
    notes: list[str]


def test_an_answer_is_parsed_into_a_class(client: openai.OpenAI, behind: Provider, model: str) -> None:
    if not behind.schema:
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.parse(model=model, messages=[user("report")], response_format=Report)
        assert str(raised.value.param).startswith("response_format")
        return
    answer = client.chat.completions.parse(model=model, messages=[user("report")], response_format=Report)
    report = answer.choices[0].message.parsed
    assert isinstance(report, Report) and report.mood == "glad" and "report" in report.title
    if not behind.schema_streams:
        with pytest.raises(openai.BadRequestError) as raised, client.chat.completions.stream(
            model=model, messages=[user("report")], response_format=Report
        ):
            pass
        assert raised.value.param == "response_format"
        return
    with client.chat.completions.stream(model=model, messages=[user("report")], response_format=Report) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == report


def test_a_json_object_is_json(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=[user("answer in JSON")], response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_arguments_are_parsed_into_a_class(client: openai.OpenAI, model: str) -> None:
    class GetWeather(pydantic.BaseModel):
        city: str
        unit: Literal["c", "f"]

    answer = client.chat.completions.parse(
        model=model, messages=[user("weather")], tools=[openai.pydantic_function_tool(GetWeather)]
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Paris", unit="c")


def thought_and_text(chunks: Any) -> tuple[str, str]:
    deltas = [chunk.choices[0].delta.to_dict() for chunk in chunks if chunk.choices]
    return (
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        "".join(delta.get("content") or "" for delta in deltas),
    )


@pytest.mark.parametrize("behind", THINKERS, **named)
@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_come_apart_from_the_answer(client: openai.OpenAI, behind: Provider, streamed: bool) -> None:
    ask: Any = {"model": behind.asked_to_think, "messages": [user("think about it")], "reasoning_effort": "high"}
    if streamed:
        thought, text = thought_and_text(client.chat.completions.create(**ask, stream=True))
    else:
        answer = client.chat.completions.create(**ask)
        message: Any = answer.choices[0].message
        thought, text = getattr(message, "reasoning_content", None) or "", message.content
        assert answer.usage
        details = answer.usage.completion_tokens_details
        assert bool(details and details.reasoning_tokens) == behind.counts_thoughts
    assert text.startswith("Hello from") and "You said: think" in text
    assert bool(thought) == behind.shows_thoughts
    assert "Hello" not in thought


@pytest.mark.parametrize("behind", THINKERS, **named)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_a_model_that_thinks_goes_on_from_its_own_calls(
    client: openai.OpenAI, behind: Provider, streamed: bool, plain: bool
) -> None:
    """With all that came with them, or with what a client keeps that knows OpenAI's fields alone. The fake checks signatures."""
    ask: Any = {"model": behind.asked_to_think, "reasoning_effort": "high", "tools": [WEATHER]}
    messages: list[Any] = [user("think about the weather in two cities")]
    if streamed:
        with client.chat.completions.stream(**ask, messages=messages) as stream:
            parsed = stream.get_final_completion().choices[0].message
        # What the client adds for its own use is not for the wire.
        own = {"parsed": True, "tool_calls": {"__all__": {"index": True, "function": {"parsed_arguments"}}}}
        message = ChatCompletionMessage.model_validate(parsed.model_dump(exclude_unset=True, exclude=own))
    else:
        message = client.chat.completions.create(**ask, messages=messages).choices[0].message
    calls = message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Oslo"]
    if plain:
        kept = [{"id": c.id, "type": c.type, "function": {"name": c.function.name, "arguments": c.function.arguments}} for c in calls]
        messages.append({"role": "assistant", "content": message.content, "tool_calls": kept})
    else:
        messages.append(message)
    for call in calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "sun"})
    answer = client.chat.completions.create(**ask, messages=messages)
    assert "The tools said: sun; sun" in (answer.choices[0].message.content or "")


def test_a_signature_goes_back_with_its_thought(client: openai.OpenAI, here: Stage) -> None:
    ask: Any = {"model": PROVIDERS["anthropic"].asked_to_think, "reasoning_effort": "high", "tools": [WEATHER]}
    messages: list[Any] = [user("think about the weather")]
    message = client.chat.completions.create(**ask, messages=messages).choices[0].message
    [call] = message.tool_calls or []
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "sun"}]
    client.chat.completions.create(**ask, messages=messages)
    [port] = here.fakes.ports["anthropic"]
    blocks = json.loads(here.fakes.last(port)["body"])["messages"][1]["content"]
    assert blocks[0]["type"] == "thinking" and blocks[0]["signature"]


@pytest.mark.parametrize("streamed", [False, True])
def test_probabilities_come_in_one_shape(client: openai.OpenAI, behind: Provider, model: str, streamed: bool) -> None:
    ask: Any = {"model": model, "messages": [user("hello")], "logprobs": True}
    if behind.alternatives:
        ask["top_logprobs"] = 2
    if not behind.logprobs:
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(**ask, stream=streamed)
        assert raised.value.param == "logprobs" and raised.value.type == "invalid_request_error"
        return
    if streamed:
        told = [c for chunk in client.chat.completions.create(**ask, stream=True) for c in chunk.choices if c.logprobs]
    else:
        told = [c for c in client.chat.completions.create(**ask).choices if c.logprobs]
    tokens = [token for choice in told for token in (choice.logprobs and choice.logprobs.content) or []]
    assert "".join(token.token for token in tokens) == behind.hello("You said: hello")
    assert {token.logprob for token in tokens} == {-0.25}
    assert {len(token.top_logprobs) for token in tokens} == {2 if behind.alternatives else 0}


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert len(set(listed)) == len(listed)
    named = {name for one in ALL for name in (one.model, one.thinks, one.embeds) if name}
    assert named <= set(listed)
    shown = client.models.retrieve("claude-sonnet-4-5")
    assert (shown.id, shown.object, shown.owned_by) == ("claude-sonnet-4-5", "model", "anthropic")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5000")


def test_the_asynchronous_client_has_many_answers_at_once(here: Stage, behind: Provider, model: str) -> None:
    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(**options(here)) as client:

            async def one(number: int) -> str:
                said: Any = [user(f"number {number}")]
                if number % 2:
                    answer = await client.chat.completions.create(model=model, messages=said)
                    return answer.choices[0].message.content or ""
                text = ""
                async for chunk in await client.chat.completions.create(model=model, messages=said, stream=True):
                    text += chunk.choices[0].delta.content or ""
                return text

            return await asyncio.gather(*(one(number) for number in range(10)))

    expected = [behind.hello(f"You said: number {number}") for number in range(10)]
    assert asyncio.run(all_of_them()) == expected


def test_the_asynchronous_client_has_answers_of_everyone_at_once(here: Stage) -> None:
    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(**options(here)) as client:
            asked = [
                client.chat.completions.create(model=provider.asked, messages=[user(f"number {number}")])
                for number in range(4)
                for provider in ALL
            ]
            return [answer.choices[0].message.content or "" for answer in await asyncio.gather(*asked)]

    expected = [provider.hello(f"You said: number {number}") for number in range(4) for provider in ALL]
    assert asyncio.run(all_of_them()) == expected


def test_a_long_conversation_arrives(client: openai.OpenAI, last: Any, behind: Provider, model: str) -> None:
    history: list[Any] = []
    for turn in range(30):
        history += [user(f"question {turn}"), {"role": "assistant", "content": f"answer {turn}"}]
    client.chat.completions.create(model=model, messages=[*history, user("and now")])
    sent = last().get("messages") or last()["contents"]
    assert len(sent) == 61
    for turn, place in ((0, 0), (29, 58)):
        assert f"question {turn}" in json.dumps(sent[place]) and f"answer {turn}" in json.dumps(sent[place + 1])


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def picture(url: str) -> Any:
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    return {"role": "user", "content": parts}


def test_a_picture_arrives_or_is_refused(client: openai.OpenAI, last: Any, behind: Provider, model: str) -> None:
    """It is never left out: nobody would know that the model had not seen it."""
    ask: Any = {"model": model, "messages": [picture(f"data:image/png;base64,{PIXEL}")]}
    if behind.images:
        assert client.chat.completions.create(**ask).choices[0].finish_reason == "stop"
        assert PIXEL in json.dumps(last())
        return
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**ask)
    assert raised.value.code == "unsupported_capability" and "vision" in raised.value.message
    assert raised.value.param == "messages[0].content[1]"


ADDRESS = "https://example.com/picture.png"


def test_the_address_of_a_picture_arrives_or_is_refused(
    client: openai.OpenAI, last: Any, behind: Provider, model: str
) -> None:
    ask: Any = {"model": model, "messages": [picture(ADDRESS)]}
    if behind.images and behind.addresses:
        client.chat.completions.create(**ask)
        assert ADDRESS in json.dumps(last())
        return
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**ask)
    assert str(raised.value.param).startswith("messages[0].content[1]"), raised.value
