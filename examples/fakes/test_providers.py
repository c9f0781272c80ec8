"""Tests of what every one of the later fakes must do, whatever its dialect."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakes.faults import FORMS
from fakes.http import Json
from raw_client import Response, chat, control
from test_dialects import ARGUMENTS, FILLED, FUNCTION, SCHEMA
from test_fakes import HERE, FakeTest

DIALECTS = ("azure", "mistral", "cohere", "deepseek", "groq", "qwen", "xai", "openrouter",
            "together", "ollama", "vllm")  # fmt: skip
LIMITED = {"length", "MAX_TOKENS"}
CALLED = {"tool_calls", "TOOL_CALL", ""}
STOPPED = {"stop", "eos", "COMPLETE", "STOP_SEQUENCE"}


@dataclass
class Said:
    """What an answer says, however its dialect wraps it."""

    text: str = ""
    thought: str = ""
    arguments: dict[int, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: Any = None

    def add(self, message: Any) -> None:
        """Takes a message or a delta in the OpenAI manner, or Mistral's."""
        content = message.get("content") or ""
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, str):
                self.text += part
            elif part["type"] == "thinking":
                self.thought += "".join(piece["text"] for piece in part["thinking"])
            else:
                self.text += part["text"]
        self.thought += message.get("reasoning") or message.get("reasoning_content") or ""
        for place, call in enumerate(message.get("tool_calls") or []):
            place = call.get("index", place)
            known = self.arguments.get(place, "")
            self.arguments[place] = known + call["function"]["arguments"]
            if "id" in call:
                self.ids.append(call["id"])


def read(dialect: str, response: Response) -> Said:
    """Reads an answer, whole or streamed, up to where it ended."""
    said = Said()
    if dialect == "cohere":
        return _read_cohere(response)
    if "event-stream" not in response.headers["content-type"]:
        answer = response.json()
        choice = answer["choices"][0]
        said.add(choice["message"])
        said.finish, said.usage = choice["finish_reason"], answer.get("usage")
        return said
    for chunk in response.events():
        if chunk == "[DONE]":
            continue
        for choice in chunk.get("choices") or []:
            said.add(choice.get("delta") or {})
            if choice["finish_reason"] is not None:
                said.finish = choice["finish_reason"]
        said.usage = chunk.get("usage") or chunk.get("x_groq", {}).get("usage") or said.usage
    return said


def _read_cohere(response: Response) -> Said:
    said = Said()
    if "event-stream" not in response.headers["content-type"]:
        answer = response.json()
        for part in answer["message"].get("content", []):
            said.text += part.get("text", "")
            said.thought += part.get("thinking", "")
        said.text += answer["message"].get("tool_plan", "")
        for place, call in enumerate(answer["message"].get("tool_calls", [])):
            said.arguments[place] = call["function"]["arguments"]
            said.ids.append(call["id"])
        said.finish, said.usage = answer["finish_reason"], answer.get("usage")
        return said
    for event in response.events():
        message = event.get("delta", {}).get("message", {})
        if event["type"] == "content-delta":
            said.text += message["content"].get("text", "")
            said.thought += message["content"].get("thinking", "")
        elif event["type"] == "tool-plan-delta":
            said.text += message["tool_plan"]
        elif event["type"] == "tool-call-start":
            said.ids.append(message["tool_calls"]["id"])
            said.arguments[event["index"]] = ""
        elif event["type"] == "tool-call-delta":
            said.arguments[event["index"]] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            said.finish, said.usage = event["delta"]["finish_reason"], event["delta"].get("usage")
    return said


def for_each_dialect(test: Callable[[Any, str], None]) -> Callable[[Any], None]:
    """Runs a test over each dialect."""

    @functools.wraps(test)
    def run(self: Any) -> None:
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect):
                test(self, dialect)

    return run


def for_each(test: Callable[[Any, str, Json], None]) -> Callable[[Any], None]:
    """Runs a test over each dialect, whole and streamed."""

    @functools.wraps(test)
    def run(self: Any) -> None:
        for dialect in DIALECTS:
            for more in ({}, {"stream": True}):
                with self.subTest(dialect=dialect, **more):
                    test(self, dialect, more)

    return run


class Every(FakeTest):
    def ask(self, dialect: str, text: str = "hi", **more: Any) -> Response:
        return chat(dialect, self.ports[dialect], text, **more)

    @for_each
    def test_they_say_who_they_are_and_what_was_asked(self, dialect: str, more: Json) -> None:
        answer = self.ask(dialect, "good morning", **more)
        self.assertEqual(answer.status, 200, answer.body)
        said = read(dialect, answer)
        self.assertEqual(said.text, f"Hello from {dialect} (gpt-4o). You said: good morning")
        self.assertIn(said.finish, STOPPED)
        self.assertEqual(said.arguments, {})

    @for_each
    def test_tools_are_called_twice_and_explained(self, dialect: str, more: Json) -> None:
        text = "weather in two cities, explain"
        said = read(dialect, self.ask(dialect, text, tools=[FUNCTION], **more))
        self.assertEqual(said.text, "I will look that up.")
        calls = [json.loads(one) for one in said.arguments.values()]
        self.assertEqual(calls, [ARGUMENTS, {"city": "Oslo", "unit": "c"}])
        self.assertIn(said.finish, CALLED)
        self.assertEqual(len(set(said.ids)), 2)

    @for_each
    def test_tool_results_are_quoted(self, dialect: str, more: Json) -> None:
        name = "Ab3456789"
        call = {"id": name, "type": "function",
                "function": {"name": "forecast", "arguments": "{}"}}  # fmt: skip
        messages = [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": name, "content": "18 degrees"},
        ]
        answer = self.ask(dialect, messages=messages, tools=[FUNCTION], **more)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn("The tools said: 18 degrees", read(dialect, answer).text)

    @for_each
    def test_schemas_are_satisfied(self, dialect: str, more: Json) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
        if dialect == "cohere":
            wanted = {"type": "json_object", "json_schema": SCHEMA}
        if dialect == "deepseek" or (dialect == "groq" and more):
            return  # They take no schema, or none in a stream.
        said = read(dialect, self.ask(dialect, response_format=wanted, **more))
        made = json.loads(said.text)
        self.assertIn("You said: hi", made.pop("answer"))
        self.assertEqual(made, FILLED)

    @for_each
    def test_limits_end_the_text(self, dialect: str, more: Json) -> None:
        said = read(dialect, self.ask(dialect, max_tokens=3, **more))
        self.assertEqual(len(said.text), 12)
        self.assertIn(said.finish, LIMITED)

    @for_each
    def test_the_usage_can_be_left_out(self, dialect: str, more: Json) -> None:
        if more and dialect not in ("cohere", "mistral"):
            more = more | {"stream_options": {"include_usage": True}}
        with_usage = read(dialect, self.ask(dialect, **more)).usage
        self.assertTrue(with_usage)
        without = read(dialect, self.ask(dialect, f"[[{dialect}:no_usage]]", **more)).usage
        self.assertIsNone(without)

    @for_each_dialect
    def test_a_key_that_is_missing_or_wrong_is_refused(self, dialect: str) -> None:
        wrong = {"authorization": "Bearer invalid"}
        if dialect == "azure":
            wrong = {"api-key": "invalid"}
        answer = self.ask(dialect, headers=wrong)
        self.assertEqual(answer.status, 400 if dialect == "xai" else 401)
        empty = dict.fromkeys(wrong, "")
        expected = 200 if dialect in ("ollama", "vllm") else 401
        self.assertEqual(self.ask(dialect, headers=empty).status, expected)

    @for_each_dialect
    def test_a_model_there_is_not_is_refused(self, dialect: str) -> None:
        if dialect != "azure":
            answer = self.ask(dialect, model="no-such-model")
            self.assertIn(answer.status, (400, 404))

    @for_each_dialect
    def test_errors_are_given_as_asked(self, dialect: str) -> None:
        for status in (400, 401, 403, 404, 429, 500, 503, 504):
            answer = self.ask(dialect, f"[[{dialect}:status={status},retry_after=3]]")
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["retry-after"], "3")
        for fault, statuses in (("context_length", (400, 422)), ("content_filter", (400, 403)),
                                ("billing", (400, 402)), ("quota", (400, 402, 429))):  # fmt: skip
            answer = self.ask(dialect, f"[[{dialect}:{fault}]]")
            self.assertIn(answer.status, statuses)
            self.assertTrue(answer.json())
        self.assertGreater(len(self.ask(dialect, f"[[{dialect}:huge_error=5000]]").body), 5000)

    @for_each_dialect
    def test_streams_break_as_asked(self, dialect: str) -> None:
        whole = len(self.ask(dialect, stream=True).body)
        for fault, ending in (("cut_after=1", "cut"), ("end_after=1", "complete"),
                              ("stall_after=1", "silent")):  # fmt: skip
            text = f"hi [[{dialect}:{fault}]]"
            answer = self.ask(dialect, text, stream=True, timeout=0.3)
            self.assertEqual(answer.ending, ending)
            said = read(dialect, answer)
            self.assertEqual(said.text, f"Hello from {dialect[0]}")
            self.assertIsNone(said.finish)
            self.assertLess(len(answer.body), whole)
        answer = self.ask(dialect, f"[[{dialect}:malformed_after=1]]", stream=True)
        with self.assertRaises(json.JSONDecodeError):
            answer.events()
        answer = self.ask(dialect, f"[[{dialect}:error_after=1]]", stream=True)
        last = answer.events()[-1]
        if dialect in ("mistral", "vllm"):
            self.assertEqual(last["object"], "error")
        else:
            self.assertIn("error", last["delta"] if dialect == "cohere" else last)

    @for_each_dialect
    def test_connections_break_as_asked(self, dialect: str) -> None:
        for fault, ending in (("reset", "reset"), ("refuse", "cut"), ("silent", "silent")):
            answer = self.ask(dialect, f"[[{dialect}:{fault}]]", timeout=0.2)
            self.assertEqual(answer.ending, ending)
        self.assertEqual(self.ask(dialect, f"[[{dialect}:empty200]]").body, b"")
        self.assertIn(b"<html>", self.ask(dialect, f"[[{dialect}:html200]]").body)

    @for_each
    def test_texts_grow_as_asked(self, dialect: str, more: Json) -> None:
        said = read(dialect, self.ask(dialect, f"[[{dialect}:big=3000]]", **more))
        self.assertEqual(len(said.text), 3000)
        said = read(dialect, self.ask(dialect, f"[[{dialect}:chunks=40]]", **more))
        self.assertGreaterEqual(len(said.text), 40)

    @for_each
    def test_other_ends_are_told_in_the_word_asked_for(self, dialect: str, more: Json) -> None:
        text = f"[[{dialect}:finish=insufficient_system_resource]]"
        said = read(dialect, self.ask(dialect, text, **more))
        self.assertEqual(said.finish, "insufficient_system_resource")

    @for_each_dialect
    def test_requests_are_remembered(self, dialect: str) -> None:
        self.ask(dialect, "remember me")
        last = control(self.ports[dialect], "GET", "/fake/last")
        self.assertIn("remember me", last["body"])

    def test_a_form_that_does_not_exist_is_refused(self) -> None:
        answer = self.ask("mistral", "[[mistral:form=detail+strange]]")
        self.assertEqual(answer.status, 400)
        self.assertIn("strange", answer.json()["error"])

    def test_every_form_is_in_the_table(self) -> None:
        table = (HERE / "README.md").read_text()
        for form in FORMS:
            self.assertRegex(table, rf"[|,] `{form}`[ ,]")
