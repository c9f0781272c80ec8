"""What the official client makes of answers: whole, streamed, with tools, with a schema, with thoughts."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import openai
import pydantic
import pytest
from conftest import options
from gateway import Stage

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


def test_a_chat_is_answered(client: openai.OpenAI, behind: str, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, user("hello")],
        max_completion_tokens=500,
        stop=["never"],
        user="customer-1",
        metadata={"task": "test"},
    )
    assert answer.object == "chat.completion" and answer.id and answer.created > 1_700_000_000
    assert answer.model.startswith(model)
    [choice] = answer.choices
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    assert choice.message.content == f"Hello from {behind} ({model}). You said: hello"
    assert choice.message.tool_calls is None and choice.message.refusal is None
    usage = answer.usage
    assert usage and usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    # Nothing in it that the client's types do not allow.
    type(answer).model_validate(answer.to_dict(), strict=True)


def test_the_headers_say_who_answered(client: openai.OpenAI, behind: str, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[user("hello")])
    assert raw.headers["x-waypost-provider"] == {"openai": "openai", "anthropic": "claude"}[behind]
    assert raw.headers["x-waypost-model"] == model
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_a_short_answer_says_that_it_was_cut(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user("hello")], max_tokens=2)
    assert answer.choices[0].finish_reason == "length"


def test_cached_tokens_are_told(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user("this is cached " * 20)])
    assert answer.usage and answer.usage.prompt_tokens_details
    assert answer.usage.prompt_tokens_details.cached_tokens


@pytest.mark.parametrize("usage", [None, False, True])
def test_a_stream_is_the_answer_in_pieces(client: openai.OpenAI, behind: str, model: str, usage: bool | None) -> None:
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
    assert text == f"Hello from {behind} ({model}). You said: hello"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


def test_a_stream_is_gathered_by_the_clients_own_means(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=[user("weather in two cities, explain")], tools=[WEATHER],
        stream_options={"include_usage": True},
    ) as stream:  # fmt: skip
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "tool_calls.function.arguments.delta" in kinds
    message = final.choices[0].message
    assert message.content == "I will look that up."
    assert message.tool_calls and [json.loads(c.function.arguments)["city"] for c in message.tool_calls] == ["Paris", "Oslo"]
    assert final.usage and final.usage.completion_tokens


@pytest.mark.parametrize(("text", "cities"), [("weather", ["Paris"]), ("weather in two cities", ["Paris", "Oslo"])])
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_their_results_read(
    client: openai.OpenAI, last: Any, behind: str, model: str, text: str, cities: list[str], streamed: bool
) -> None:
    messages: list[Any] = [user(text)]
    if streamed:
        calls: dict[int, Any] = {}
        finish = None
        for chunk in client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], stream=True):
            finish = chunk.choices[0].finish_reason or finish
            for piece in chunk.choices[0].delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] = piece.id or call["id"]
                if piece.function:
                    call["function"]["name"] += piece.function.name or ""
                    call["function"]["arguments"] += piece.function.arguments or ""
        assert sorted(calls) == list(range(len(cities)))
        asked = list(calls.values())
        messages.append({"role": "assistant", "tool_calls": asked})
    else:
        answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        finish = answer.choices[0].finish_reason
        message = answer.choices[0].message
        asked = [call.to_dict() for call in message.tool_calls or []]
        messages.append(message)
    assert finish == "tool_calls"
    assert len({call["id"] for call in asked}) == len(cities)
    assert [json.loads(call["function"]["arguments"]) for call in asked] == [{"city": c, "unit": "c"} for c in cities]
    assert {call["function"]["name"] for call in asked} == {"get_weather"}

    for call, city in zip(asked, cities, strict=True):
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"sun in {city}"})
    answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    results = "; ".join(f"sun in {city}" for city in cities)
    assert answer.choices[0].message.content == f"Hello from {behind} ({model}). The tools said: {results}"
    assert len(last()["messages"]) == (2 + len(cities) if behind == "openai" else 3)


def test_a_tool_that_takes_nothing_is_called_with_an_empty_object(client: openai.OpenAI, model: str) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather_now"}}
    answer = client.chat.completions.create(model=model, messages=[user("weather")], tools=[tool])
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function" and json.loads(call.function.arguments) == {}
    chunks = client.chat.completions.create(model=model, messages=[user("weather")], tools=[tool], stream=True)
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or []]
    assert json.loads("".join((piece.function and piece.function.arguments) or "" for piece in pieces)) == {}


def test_how_tools_may_be_called_is_obeyed(client: openai.OpenAI, model: str) -> None:
    def calls(text: str, **more: Any) -> int:
        answer = client.chat.completions.create(model=model, messages=[user(text)], tools=[WEATHER], **more)
        return len(answer.choices[0].message.tool_calls or [])

    assert calls("weather in two cities", parallel_tool_calls=False) == 1
    assert calls("weather", tool_choice="none") == 0
    assert calls("hello", tool_choice="required") == 1
    assert calls("hello", tool_choice={"type": "function", "function": {"name": "get_weather"}}) == 1


class Report(pydantic.BaseModel):
    title: str
    words: int
    mood: Literal["glad", "sad"]
    notes: list[str]


def test_an_answer_is_parsed_into_a_class(client: openai.OpenAI, behind: str, model: str) -> None:
    answer = client.chat.completions.parse(model=model, messages=[user("report")], response_format=Report)
    report = answer.choices[0].message.parsed
    assert isinstance(report, Report) and report.mood == "glad" and "report" in report.title
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


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_come_apart_from_the_answer_and_may_go_back(here: Stage, client: openai.OpenAI, streamed: bool) -> None:
    model = "claude-sonnet-4-6"
    ask: Any = {"model": model, "messages": [user("think about the weather")], "reasoning_effort": "high", "tools": [WEATHER]}
    if streamed:
        deltas = [chunk.choices[0].delta.to_dict() for chunk in client.chat.completions.create(**ask, stream=True)]
        thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
        text = "".join(delta.get("content") or "" for delta in deltas)
        assert thought.startswith("Let me think about this") and "Let me think" not in text
        return
    answer = client.chat.completions.create(**ask)
    message: Any = answer.choices[0].message
    assert message.reasoning_content.startswith("Let me think about this")
    assert answer.usage and answer.usage.completion_tokens_details
    assert answer.usage.completion_tokens_details.reasoning_tokens
    [call] = message.tool_calls
    # The whole message goes back, thoughts and all: the fake checks their signature.
    result = {"role": "tool", "tool_call_id": call.id, "content": "sun"}
    again = client.chat.completions.create(**ask | {"messages": [*ask["messages"], message, result]})
    assert "The tools said: sun" in (again.choices[0].message.content or "")
    [port] = here.fakes.ports["anthropic"]
    blocks = json.loads(here.fakes.last(port)["body"])["messages"][1]["content"]
    assert blocks[0]["type"] == "thinking" and blocks[0]["signature"]


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-sonnet-4-6"} == set(listed)
    shown = client.models.retrieve("claude-sonnet-4-5")
    assert (shown.id, shown.object, shown.owned_by) == ("claude-sonnet-4-5", "model", "claude")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5000")


def test_the_asynchronous_client_has_many_answers_at_once(here: Stage, behind: str, model: str) -> None:
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

            return await asyncio.gather(*(one(number) for number in range(40)))

    expected = [f"Hello from {behind} ({model}). You said: number {number}" for number in range(40)]
    assert asyncio.run(all_of_them()) == expected


def test_images_and_long_conversations_arrive(client: openai.OpenAI, last: Any, behind: str, model: str) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    parts: Any = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}", "detail": "low"}},
    ]
    history: list[Any] = []
    for turn in range(30):
        history += [user(f"question {turn}"), {"role": "assistant", "content": f"answer {turn}"}]
    client.chat.completions.create(model=model, messages=[*history, {"role": "user", "content": parts}])
    assert len(last()["messages"]) == 61 and pixel in json.dumps(last())
