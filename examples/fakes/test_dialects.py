"""Tests of what the fake providers say and refuse, dialect by dialect."""

from __future__ import annotations

import json
import unittest
from typing import Any

from raw_client import KEYS, PATHS, Client, Response, chat
from test_fakes import FakeTest

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city"],
}
FUNCTION = {"type": "function", "function": {"name": "forecast", "parameters": PARAMETERS}}
TOOL = {"name": "forecast", "input_schema": PARAMETERS}
ARGUMENTS = {"city": "Paris", "unit": "c"}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["answer", "sure", "tags", "kind", "place"],
    "properties": {
        "answer": {"type": "string"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        "kind": {"enum": ["fact", "guess"]},
        "place": {"$ref": "#/$defs/place"},
    },
    "$defs": {
        "place": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}
    },
}
FILLED = {"sure": True, "tags": [1, 1], "kind": "fact", "place": {"x": 1.5}}


class OpenAI(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("openai", self.ports["openai"], text, **more)

    def refusal(self, **more: Any) -> dict[str, Any]:
        answer = self.ask(**more)
        self.assertEqual(answer.status, 400)
        return dict(answer.json()["error"])

    def test_an_answer_says_who_answers_and_what_was_asked(self) -> None:
        answer = self.ask("good morning").json()
        choice = answer["choices"][0]
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(answer["model"], "gpt-4o-2024-08-06")
        said = "Hello from openai (gpt-4o). You said: good morning"
        self.assertEqual(choice["message"]["content"], said)
        self.assertEqual(choice["finish_reason"], "stop")
        usage = answer["usage"]
        self.assertEqual(usage["prompt_tokens"], 3)
        self.assertEqual(usage["total_tokens"], 3 + usage["completion_tokens"])

    def test_a_stream_has_role_content_finish_usage_and_done(self) -> None:
        answer = self.ask(stream=True, stream_options={"include_usage": True})
        *chunks, usage, done = answer.events()
        self.assertEqual(done, "[DONE]")
        self.assertEqual(usage["choices"], [])
        self.assertEqual(usage["usage"]["prompt_tokens"], 1)
        self.assertTrue(all(chunk["usage"] is None for chunk in chunks))
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(len({(chunk["id"], chunk["created"]) for chunk in chunks}), 1)
        self.assertTrue(all(chunk["obfuscation"] for chunk in chunks))

    def test_usage_and_obfuscation_are_sent_only_as_asked(self) -> None:
        first = self.ask(stream=True, stream_options={"include_obfuscation": False}).events()[0]
        self.assertNotIn("usage", first)
        self.assertNotIn("obfuscation", first)

    def test_answers_carry_headers_that_must_not_leak(self) -> None:
        headers = self.ask().headers
        for name in ("x-request-id", "openai-organization", "set-cookie", "cf-ray"):
            self.assertIn(name, headers)

    def test_n_answers_come_when_asked_for(self) -> None:
        self.assertEqual([c["index"] for c in self.ask(n=2).json()["choices"]], [0, 1])

    def test_tools_are_called_when_the_weather_is_asked_for(self) -> None:
        choice = self.ask("weather?", tools=[FUNCTION]).json()["choices"][0]
        self.assertEqual(
            (choice["finish_reason"], choice["message"]["content"]), ("tool_calls", None)
        )
        [call] = choice["message"]["tool_calls"]
        self.assertEqual(call["function"]["name"], "forecast")
        self.assertEqual(json.loads(call["function"]["arguments"]), ARGUMENTS)

    def test_two_calls_are_streamed_in_pieces(self) -> None:
        answer = self.ask("weather in two cities", tools=[FUNCTION], stream=True)
        arguments = {0: "", 1: ""}
        pieces = 0
        for chunk in answer.events()[:-1]:
            for call in chunk["choices"][0]["delta"].get("tool_calls", []):
                arguments[call["index"]] += call["function"]["arguments"]
                pieces += 1
        self.assertEqual(json.loads(arguments[0]), ARGUMENTS)
        self.assertEqual(json.loads(arguments[1]), {"city": "Oslo", "unit": "c"})
        self.assertGreater(pieces, 6)

    def test_tool_choice_and_parallel_tool_calls_are_obeyed(self) -> None:
        other = {"type": "function", "function": {"name": "other"}}
        named = {"type": "function", "function": {"name": "other"}}
        answer = self.ask(tools=[FUNCTION, other], tool_choice=named).json()
        [call] = answer["choices"][0]["message"]["tool_calls"]
        self.assertEqual(call["function"], {"name": "other", "arguments": "{}"})
        answer = self.ask("weather", tools=[FUNCTION], tool_choice="none").json()
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        text = "weather in two cities"
        answer = self.ask(text, tools=[FUNCTION], parallel_tool_calls=False).json()
        self.assertEqual(len(answer["choices"][0]["message"]["tool_calls"]), 1)

    def test_tool_results_are_quoted(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "forecast", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "18 degrees"},
        ]
        answer = self.ask(messages=messages, tools=[FUNCTION]).json()
        self.assertIn("said: 18 degrees", answer["choices"][0]["message"]["content"])
        messages.append({"role": "user", "content": "thanks"})
        answer = self.ask(messages=messages, tools=[FUNCTION]).json()
        self.assertIn("You said: thanks", answer["choices"][0]["message"]["content"])

    def test_a_schema_is_satisfied(self) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
        answer = json.loads(
            self.ask(response_format=wanted).json()["choices"][0]["message"]["content"]
        )
        self.assertIn("You said: hi", answer.pop("answer"))
        self.assertEqual(answer, FILLED)

    def test_limits_and_stops_end_the_text(self) -> None:
        choice = self.ask(max_tokens=3).json()["choices"][0]
        self.assertEqual(
            (choice["message"]["content"], choice["finish_reason"]), ("Hello from o", "length")
        )
        choice = self.ask(stop=[" You"]).json()["choices"][0]
        self.assertEqual(choice["message"]["content"], "Hello from openai (gpt-4o).")
        self.assertEqual(choice["finish_reason"], "stop")

    def test_cached_tokens_are_told_when_the_prompt_says_so(self) -> None:
        usage = self.ask("this is cached text").json()["usage"]
        self.assertEqual(
            (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]), (5, 2)
        )

    def test_models_are_listed(self) -> None:
        with Client(self.ports["openai"]) as client:
            answer = client.ask("GET", "/v1/models", KEYS["openai"], b"").json()
        self.assertIn("gpt-4o", [model["id"] for model in answer["data"]])

    def test_a_missing_or_wrong_key_is_a_401(self) -> None:
        for key, code in {"": None, "Bearer sk-invalid": "invalid_api_key"}.items():
            answer = self.ask(headers={"authorization": key})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (401, code))

    def test_another_path_is_a_404(self) -> None:
        with Client(self.ports["openai"]) as client:
            answer = client.ask("POST", "/v1/messages", KEYS["openai"], b"{}")
        self.assertEqual(answer.json()["error"]["message"], "Invalid URL (POST /v1/messages)")

    def test_unknown_arguments_are_refused_by_name(self) -> None:
        message = self.refusal(top_k=5)["message"]
        self.assertEqual(message, "Unrecognized request argument supplied: top_k")

    def test_reasoning_models_refuse_max_tokens_and_temperature(self) -> None:
        for model in ("gpt-5.4", "o3", "o4-mini"):
            error = self.refusal(model=model, max_tokens=5)
            self.assertEqual(
                (error["code"], error["param"]), ("unsupported_parameter", "max_tokens")
            )
            self.assertEqual(self.refusal(model=model, temperature=0)["code"], "unsupported_value")
        self.assertEqual(self.ask(model="o3", max_completion_tokens=5).status, 200)
        self.assertIn("reasoning_effort", self.refusal(reasoning_effort="low")["message"])

    def test_tool_calls_and_their_results_must_match(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        user = {"role": "user", "content": "hi"}
        asked = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "c1", "content": "1"}
        for messages, words in (
            ([user, result], "preceeding message with 'tool_calls'"),
            ([user, asked, user], "did not have response messages: c1"),
            ([user, asked], "did not have response messages: c1"),
        ):
            self.assertIn(words, self.refusal(messages=messages)["message"])

    def test_requests_it_cannot_run_are_refused(self) -> None:
        self.assertEqual(self.refusal(messages=[])["code"], "empty_array")
        self.assertIn("model parameter", self.refusal(model="")["message"])
        self.assertEqual(
            self.refusal(messages=[{"role": "x", "content": ""}])["code"], "invalid_value"
        )
        self.assertIn("null", self.refusal(messages=[{"role": "user", "content": None}])["message"])
        self.assertEqual(self.refusal(stream_options={})["param"], "stream_options")
        self.assertEqual(self.ask(model="no-such-model").status, 404)


class Anthropic(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("anthropic", self.ports["anthropic"], text, **more)

    def refusal(self, **more: Any) -> str:
        answer = self.ask(**more)
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")
        return str(answer.json()["error"]["message"])

    def test_an_answer_says_who_answers_and_what_was_asked(self) -> None:
        answer = self.ask().json()
        text = "Hello from anthropic (claude-sonnet-4-5). You said: hi"
        self.assertEqual(answer["content"], [{"type": "text", "text": text}])
        self.assertEqual((answer["stop_reason"], answer["usage"]["input_tokens"]), ("end_turn", 1))

    def test_a_stream_is_named_events_in_order(self) -> None:
        answer = self.ask(stream=True)
        kinds = [event["type"] for event in answer.events()]
        self.assertEqual(kinds[:3], ["message_start", "content_block_start", "ping"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertGreater(kinds.count("content_block_delta"), 2)
        names = [
            line[7:] for line in answer.body.decode().split("\n") if line.startswith("event: ")
        ]
        self.assertEqual(names, kinds)

    def test_answers_carry_headers_that_must_not_leak(self) -> None:
        headers = self.ask().headers
        for name in ("request-id", "anthropic-ratelimit-requests-remaining", "set-cookie"):
            self.assertIn(name, headers)
        self.assertNotIn("x-request-id", headers)

    def test_tools_are_called_when_the_weather_is_asked_for(self) -> None:
        answer = self.ask("explain the weather in two cities", tools=[TOOL]).json()
        self.assertEqual(
            [block["type"] for block in answer["content"]], ["text", "tool_use", "tool_use"]
        )
        self.assertEqual(answer["content"][1]["input"], ARGUMENTS)
        self.assertEqual(answer["stop_reason"], "tool_use")
        one = {"type": "auto", "disable_parallel_tool_use": True}
        answer = self.ask("weather in two cities", tools=[TOOL], tool_choice=one).json()
        self.assertEqual(len(answer["content"]), 1)

    def test_tool_input_is_streamed_in_pieces(self) -> None:
        events = self.ask("weather", tools=[TOOL], stream=True).events()
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        self.assertEqual(json.loads("".join(delta["partial_json"] for delta in deltas)), ARGUMENTS)
        self.assertEqual(deltas[0]["partial_json"], "")
        starts = [event for event in events if event["type"] == "content_block_start"]
        self.assertEqual([start["content_block"]["input"] for start in starts], [{}])

    def test_a_tool_without_arguments_streams_no_input(self) -> None:
        bare = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
        events = self.ask("weather", tools=[bare], stream=True).events()
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        self.assertEqual([delta["partial_json"] for delta in deltas], [""])

    def test_tool_results_are_quoted(self) -> None:
        result = {"type": "tool_result", "tool_use_id": "t1", "content": "18 degrees"}
        turn: dict[str, Any] = {"role": "user", "content": [result]}
        answer = self.ask(messages=[*self.called("t1"), turn])
        self.assertIn("said: 18 degrees", answer.json()["content"][0]["text"])
        turn["content"].append({"type": "text", "text": "thanks"})
        answer = self.ask(messages=[*self.called("t1"), turn])
        self.assertIn("You said: thanks", answer.json()["content"][0]["text"])

    def test_a_schema_is_satisfied(self) -> None:
        wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
        answer = json.loads(self.ask(output_config=wanted).json()["content"][0]["text"])
        self.assertIn("You said: hi", answer.pop("answer"))
        self.assertEqual(answer, FILLED)
        open_schema = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        self.assertIn("additionalProperties", self.refusal(output_config=open_schema))

    def test_a_thought_comes_first_and_is_signed(self) -> None:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        answer = self.ask("think redacted", thinking=thinking).json()
        redacted, thought, text = answer["content"]
        self.assertEqual((redacted["type"], text["type"]), ("redacted_thinking", "text"))
        self.assertIn("Let me think", thought["thinking"])
        self.assertGreater(answer["usage"]["output_tokens_details"]["thinking_tokens"], 0)
        events = self.ask("think", thinking=thinking, stream=True).events()
        kinds = [
            event["delta"]["type"] for event in events if event["type"] == "content_block_delta"
        ]
        self.assertEqual(kinds[:3], ["thinking_delta", "thinking_delta", "signature_delta"])

        def replay(block: dict[str, Any]) -> Response:
            said = {"role": "assistant", "content": [block, text]}
            user = {"role": "user", "content": "go on"}
            return self.ask(messages=[user, said, user], thinking=thinking)

        self.assertEqual(replay(thought).status, 200)
        forged = replay({**thought, "thinking": "something else"})
        self.assertIn("Invalid `signature` in `thinking` block", forged.json()["error"]["message"])

    def test_new_models_keep_their_thought_unless_asked(self) -> None:
        for display, shown in {None: False, "summarized": True}.items():
            thinking = {"type": "adaptive"} | ({"display": display} if display else {})
            answer = self.ask("think", model="claude-opus-4-8", thinking=thinking).json()
            self.assertEqual(bool(answer["content"][0]["thinking"]), shown)

    def test_limits_and_stops_end_the_text(self) -> None:
        answer = self.ask(max_tokens=3).json()
        self.assertEqual(answer["stop_reason"], "max_tokens")
        answer = self.ask(stop_sequences=[" You"]).json()
        self.assertEqual(
            (answer["stop_reason"], answer["stop_sequence"]), ("stop_sequence", " You")
        )

    def test_cached_tokens_are_told_beside_the_others(self) -> None:
        usage = self.ask("this is cached text").json()["usage"]
        self.assertEqual((usage["input_tokens"], usage["cache_read_input_tokens"]), (3, 2))

    def test_models_are_listed(self) -> None:
        with Client(self.ports["anthropic"]) as client:
            answer = client.ask("GET", "/v1/models", KEYS["anthropic"], b"").json()
        self.assertEqual(answer["data"][0]["id"], "claude-sonnet-4-5")

    def test_a_key_and_a_version_are_needed(self) -> None:
        url = PATHS["anthropic"]
        version = {"anthropic-version": "2023-06-01"}
        with Client(self.ports["anthropic"]) as client:
            self.assertEqual(client.ask("POST", url, version, b"{}").status, 401)
            wrong = {**version, "x-api-key": "invalid"}
            self.assertEqual(client.ask("POST", url, wrong, b"{}").status, 401)
            bearer = {"authorization": "Bearer k"}
            answer = client.ask("POST", url, bearer, b"{}")
            self.assertIn("anthropic-version: header is required", answer.body.decode())
            answer = client.ask("POST", url, {**bearer, **version}, b"{}")
            self.assertIn("model: Field required", answer.body.decode())

    def test_unknown_keys_are_refused_at_every_level(self) -> None:
        extra = "Extra inputs are not permitted"
        self.assertEqual(self.refusal(n=2), f"n: {extra}")
        named = {"role": "user", "content": "hi", "name": "bob"}
        self.assertEqual(self.refusal(messages=[named]), f"messages.0.name: {extra}")
        block = {"type": "text", "text": "hi", "detail": "low"}
        message = self.refusal(messages=[{"role": "user", "content": [block]}])
        self.assertEqual(message, f"messages.0.content.0.text.detail: {extra}")
        self.assertIn(extra, self.refusal(tools=[{**TOOL, "function": {}}]))

    def test_sampling_parameters_depend_on_version_and_model(self) -> None:
        new = {"anthropic-version": "2026-10-21"}
        for name in ("temperature", "top_p", "top_k"):
            message = self.refusal(headers=new, **{name: 1})
            self.assertEqual(message, f"{name}: Extra inputs are not permitted")
        self.assertEqual(self.ask(temperature=0.5).status, 200)
        self.assertIn("deprecated", self.refusal(model="claude-opus-4-7", temperature=0.5))
        self.assertIn("cannot both", self.refusal(temperature=0.5, top_p=0.9))

    def test_model_rules_about_thinking_tools_and_prefill(self) -> None:
        budget = {"type": "enabled", "budget_tokens": 1024}
        self.assertIn("enabled", self.refusal(model="claude-opus-4-7", thinking=budget))
        self.assertIn("budget_tokens", self.refusal(thinking=budget, max_tokens=1000))
        self.assertIn(
            "disabled", self.refusal(model="claude-opus-5-5", thinking={"type": "disabled"})
        )
        forced = {"tools": [TOOL], "tool_choice": {"type": "any"}}
        self.assertIn("forced", self.refusal(model="claude-sonnet-5-5", **forced))
        self.assertIn("forces tool use", self.refusal(thinking=budget, **forced))
        prefill = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]
        self.assertEqual(self.ask(messages=prefill).status, 200)
        self.assertIn("prefill", self.refusal(model="claude-opus-4-6", messages=prefill))

    def called(self, *ids: str) -> list[dict[str, Any]]:
        """A user turn, and the assistant turn that called tools because of it."""
        calls = [{"type": "tool_use", "id": i, "name": "forecast", "input": {}} for i in ids]
        return [{"role": "user", "content": "hi"}, {"role": "assistant", "content": calls}]

    def test_tool_calls_are_answered_in_the_very_next_turn(self) -> None:
        def turn(*blocks: dict[str, Any]) -> dict[str, Any]:
            return {"role": "user", "content": list(blocks)}

        text = {"type": "text", "text": "well"}
        one = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}
        two = {**one, "tool_use_id": "t2"}
        calls = self.called("t1", "t2")
        self.assertEqual(self.ask(messages=[*calls, turn(one, two, text)]).status, 200)
        missing = "`tool_use` ids were found without `tool_result` blocks immediately after"
        for turns in ([], [turn(text)], [turn(one), turn(two)], [turn(text, one, two)]):
            self.assertIn(missing, self.refusal(messages=[*calls, *turns]))
        unexpected = "unexpected `tool_use_id` found in `tool_result` blocks: t1"
        self.assertIn(unexpected, self.refusal(messages=[turn(one)]))
        again = [*self.called("t1"), turn(one), *self.called("t1")[1:], turn(one)]
        self.assertIn("must be unique", self.refusal(messages=again))

    def test_malformed_blocks_are_refused(self) -> None:
        empty = [{"role": "user", "content": [{"type": "text", "text": ""}]}]
        self.assertEqual(
            self.refusal(messages=empty), "messages: text content blocks must be non-empty"
        )
        self.assertIn("String should match pattern", self.refusal(messages=self.called("bad.id")))
        said = {"role": "assistant", "content": "Well, "}
        message = self.refusal(messages=[{"role": "user", "content": "hi"}, said])
        self.assertEqual(
            message, "messages: final assistant content cannot end with trailing whitespace"
        )
        turns = self.called("t1")
        turns[1]["content"][0]["input"] = "{}"
        self.assertIn("valid dictionary", self.refusal(messages=turns))
        self.assertIn("first message", self.refusal(messages=[said]))
        self.assertIn("role", self.refusal(messages=[{"role": "tool", "content": "x"}]))
        self.assertIn(
            "does not match",
            self.refusal(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        )
        self.assertIn("type", self.refusal(tools=[{"name": "f", "input_schema": {}}]))


if __name__ == "__main__":
    unittest.main()
