"""A conversation with tools, begun with each provider and finished with each other, as after a failover.

Every fake refuses what its provider refuses: ids of another's making, thoughts it did not think, results that
answer no call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from client import Response
from everyone import PROVIDERS, Provider, everyone
from gateway import ROOT, Stage

sys.path.insert(0, str(ROOT / "tests/sdk/python"))

from official import check_received  # noqa: E402

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city"],
        },
    },
}
CITIES = ["Paris", "Oslo"]

# What a client that knows only OpenAI's fields sends back.
PLAIN = {"role", "content", "tool_calls"}
PLAIN_CALL = {"id", "type", "function"}


@pytest.fixture(scope="module")
def all_of_them() -> Iterator[Stage]:
    with everyone() as made:
        yield made


@pytest.fixture(autouse=True)
def as_their_own_clients_would(all_of_them: Stage) -> Iterator[None]:
    """What the providers got from each other's conversations is held against the types of their own clients."""
    all_of_them.fakes.reset()
    yield
    for api, [port] in all_of_them.fakes.ports.items():
        for received in all_of_them.fakes.requests(port):
            assert check_received(api, received) == [], received["body"]


def ask(stage: Stage, model: str, messages: list[Any], **more: Any) -> Response:
    body = {"model": model, "messages": messages, "tools": [WEATHER]} | more
    answer = stage.ask("POST", "/v1/chat/completions", json.dumps(body).encode())
    assert answer.status == 200, (model, answer.body)
    return answer


def message_of(answer: Response) -> dict[str, Any]:
    return answer.json()["choices"][0]["message"]


def folded(answer: Response) -> dict[str, Any]:
    """The message that a stream amounts to, with every field that came, as a client's library gathers it."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, Any] = {}
    for event in answer.events():
        for choice in () if event == "[DONE]" else event["choices"]:
            for name, value in choice["delta"].items():
                if name == "tool_calls":
                    for piece in value:
                        call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
                        call |= {key: piece[key] for key in piece if key not in ("index", "function")}
                        for key, text in piece.get("function", {}).items():
                            call["function"][key] += text
                elif isinstance(value, str) and name != "role":
                    message[name] = (message.get(name) or "") + value
                elif isinstance(value, list):
                    message[name] = message.get(name, []) + value
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


def plain(message: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if name in PLAIN}
    kept["tool_calls"] = [{k: v for k, v in call.items() if k in PLAIN_CALL} for call in message["tool_calls"]]
    return kept


def results(message: dict[str, Any]) -> list[Any]:
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": f"sun in {city}"}
        for call, city in zip(message["tool_calls"], CITIES, strict=True)
    ]


BEGINNINGS = list(PROVIDERS.values())


@pytest.fixture(scope="module")
def begun(all_of_them: Stage) -> dict[str, list[Any]]:
    """What each provider answers to the first question: whole and streamed, thinking where it can."""
    answers: dict[str, list[Any]] = {}
    question = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "weather in two cities, explain"}]
    for provider in BEGINNINGS:
        found = [message_of(ask(all_of_them, provider.asked, question))]
        found.append(folded(ask(all_of_them, provider.asked, question, stream=True)))
        if provider.thinks:
            thoughtful = [question[0], {"role": "user", "content": "think about the weather in two cities"}]
            model = f"{provider.fake}/{provider.thinks}"
            for stream in (False, True):
                answer = ask(all_of_them, model, thoughtful, reasoning_effort="high", stream=stream)
                found.append(folded(answer) if stream else message_of(answer))
        for message in found:
            arguments = [json.loads(call["function"]["arguments"]) for call in message["tool_calls"]]
            assert [argument["city"] for argument in arguments] == CITIES, (provider, message)
            assert len({call["id"] for call in message["tool_calls"]}) == len(CITIES)
        answers[provider.name] = [question[:1], found]
    return answers


@pytest.mark.parametrize("second", BEGINNINGS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("first", BEGINNINGS, ids=lambda provider: provider.name)
def test_a_conversation_with_tools_goes_on_with_anyone(
    all_of_them: Stage, begun: dict[str, list[Any]], first: Provider, second: Provider
) -> None:
    system, messages = begun[first.name]
    for message in messages:
        for said in (message, plain(message)):
            question = {"role": "user", "content": "weather in two cities"}
            history = [*system, question, said, *results(said)]
            models = [(second.asked, {})]
            if second.thinks:
                models.append((f"{second.fake}/{second.thinks}", {"reasoning_effort": "low"}))
            for model, more in models:
                answer = message_of(ask(all_of_them, model, history, **more))
                assert "The tools said: sun in Paris; sun in Oslo" in answer["content"], answer
                # A third turn, of which the second is history.
                again = [*history, answer, {"role": "user", "content": "hello"}]
                assert "hello" in message_of(ask(all_of_them, model, again, **more))["content"]
