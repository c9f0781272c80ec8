"""Tests of what single providers of the compatible family do their own way."""

from __future__ import annotations

import json
from typing import Any

from fakes.embeddings import vector
from raw_client import KEYS, PATHS, Client, Response, chat
from test_dialects import FUNCTION
from test_fakes import FakeTest
from test_providers import read

HI = {"role": "user", "content": "hi"}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


class CompatibleTest(FakeTest):
    name = ""

    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat(self.name, self.ports[self.name], text, **more)

    def message(self, text: str = "hi", **more: Any) -> Any:
        return self.ask(text, **more).json()["choices"][0]["message"]

    def refused(self, status: int = 400, **more: Any) -> Any:
        answer = self.ask(**more)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json()["error"]


class Family(FakeTest):
    def test_vectors_are_made_where_there_are_any(self) -> None:
        for name in ("qwen", "xai", "openrouter", "together", "ollama", "vllm", "groq", "deepseek"):
            path = PATHS[name].replace("chat/completions", "embeddings")
            body = json.dumps({"model": "m", "input": ["a", "b"], "dimensions": 8}).encode()
            with Client(self.ports[name]) as client:
                answer = client.ask("POST", path, KEYS[name], body)
            if name in ("groq", "deepseek"):
                self.assertEqual(answer.status, 404)
                continue
            vectors = [item["embedding"] for item in answer.json()["data"]]
            self.assertEqual(vectors, [list(vector("m", text, 8)) for text in "ab"])

    def test_thoughts_come_whole_and_in_pieces(self) -> None:
        for name, more in (
            ("deepseek", {"model": "deepseek-reasoner"}), ("groq", {"model": "openai/gpt-oss-20b"}),
            ("xai", {"model": "grok-3-mini"}), ("openrouter", {"reasoning": {"effort": "high"}}),
            ("together", {"model": "deepseek-ai/DeepSeek-R1"}), ("ollama", {"think": True}),
            ("vllm", {"model": "Qwen/Qwen3-8B"}), ("qwen", {"enable_thinking": True}),
        ):  # fmt: skip
            for stream in ({}, {"stream": True}):
                if name == "qwen" and not stream:
                    continue  # Thinking models answer as a stream only.
                with self.subTest(name=name, **stream):
                    said = read(name, chat(name, self.ports[name], "think", **more, **stream))
                    self.assertEqual(said.thought, "Let me think about this: think")
                    self.assertIn("You said: think", said.text)


class DeepSeek(CompatibleTest):
    name = "deepseek"

    def test_blank_lines_and_comments_come_first(self) -> None:
        self.assertTrue(self.ask().body.startswith(b"\n\n\n{"))
        self.assertTrue(self.ask(stream=True).body.startswith(b": keep-alive\n\n: keep-alive\n\n"))

    def test_the_usage_tells_hits_and_misses_unasked(self) -> None:
        for more in ({}, {"stream": True}):
            usage = read(self.name, self.ask("cached and long", **more)).usage
            hit, miss = usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]
            self.assertEqual((hit, hit + miss), (2, usage["prompt_tokens"]))

    def test_a_path_without_version_is_taken(self) -> None:
        with Client(self.ports[self.name]) as client:
            body = json.dumps({"model": "deepseek-chat", "messages": [HI]}).encode()
            answer = client.ask("POST", "/chat/completions", KEYS[self.name], body)
        self.assertEqual(answer.status, 200)

    def test_thoughts_must_come_back(self) -> None:
        said = {"role": "assistant", "content": "Hello"}
        thinking = {"thinking": {"type": "enabled"}}
        error = self.refused(messages=[HI, said, HI], **thinking)
        self.assertIn("must be passed back", error["message"])
        self.refused(messages=[HI, said, HI], model="deepseek-v4-pro")
        back = {**said, "reasoning_content": "Hm."}
        self.assertEqual(self.ask(messages=[HI, back, HI], **thinking).status, 200)
        off = {"thinking": {"type": "disabled"}, "model": "deepseek-v4-pro"}
        self.assertEqual(self.ask(messages=[HI, said, HI], **off).status, 200)

    def test_what_it_cannot_read_is_refused(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
        self.refused(422, messages=[{"role": "user", "content": [picture]}])
        self.refused(422, messages=[{"role": "developer", "content": "x"}, HI])
        self.refused(response_format={"type": "json_schema", "json_schema": {}})
        self.assertEqual(self.refused(model="no-such")["message"], "Model Not Exist")


class Groq(CompatibleTest):
    name = "groq"

    def test_a_stream_has_its_usage_in_x_groq(self) -> None:
        *_, finish, done = self.ask(stream=True).events()
        self.assertEqual(done, "[DONE]")
        self.assertEqual(finish["choices"][0]["finish_reason"], "stop")
        self.assertIn("total_time", finish["x_groq"]["usage"])
        self.assertNotIn("usage", finish)

    def test_calls_come_in_one_chunk(self) -> None:
        events = self.ask("weather in two cities", tools=[FUNCTION], stream=True).events()
        deltas = [e["choices"][0]["delta"] for e in events[:-1]]
        [calls] = [delta["tool_calls"] for delta in deltas if delta.get("tool_calls")]
        self.assertEqual([call["index"] for call in calls], [0, 1])

    def test_unsupported_properties_are_refused(self) -> None:
        schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
        for more in (
            {"messages": [{**HI, "name": "Ann"}]}, {"logprobs": True}, {"logit_bias": {"1": 1}},
            {"n": 2}, {"strange": 1}, {"response_format": schema, "stream": True},
            {"response_format": schema, "tools": [FUNCTION]},
            {"messages": [HI, {"role": "assistant", "content": "x", "refusal": None}, HI]},
        ):  # fmt: skip
            self.assertEqual(self.refused(**more)["type"], "invalid_request_error")

    def test_a_failed_call_shows_what_was_generated(self) -> None:
        for form in ("tool_use_failed", "json_validate_failed"):
            error = self.refused(text=f"[[groq:form={form}]]")
            self.assertEqual(error["code"], form)
            self.assertTrue(error["failed_generation"])

    def test_capacity_has_a_status_of_its_own(self) -> None:
        self.refused(498, text="[[groq:status=498]]")
        self.assertEqual(self.refused(413, text="[[groq:status=413]]")["type"], "tokens")


class Qwen(CompatibleTest):
    name = "qwen"

    def test_thinking_is_for_streams(self) -> None:
        for more in ({"enable_thinking": True}, {"model": "qwen3-32b"}):
            self.assertIn("enable_thinking must be set to false", self.refused(**more)["message"])
            self.assertEqual(self.ask(stream=True, **more).status, 200)
        off = self.ask(model="qwen3-32b", enable_thinking=False)
        self.assertEqual(off.status, 200)
        self.assertIn("only support stream mode", self.refused(model="qwq-32b")["message"])

    def test_usage_is_for_those_who_ask(self) -> None:
        self.assertIsNone(read(self.name, self.ask(stream=True)).usage)
        *_, usage, _done = self.ask(**USAGE).events()
        self.assertEqual(usage["choices"], [])
        self.assertIn("total_tokens", usage["usage"])

    def test_errors_name_the_request_beside_them(self) -> None:
        for fault, code in (("content_filter", "data_inspection_failed"), ("quota", "Arrearage"),
                            ("status=429", "Throttling.RateQuota")):  # fmt: skip
            error = self.ask(f"[[qwen:{fault}]]").json()
            self.assertEqual(error["error"]["code"], code)
            self.assertIn("request_id", error)


class XAI(CompatibleTest):
    name = "xai"

    def test_calls_end_for_no_reason(self) -> None:
        answer = self.ask("weather", tools=[FUNCTION]).json()
        self.assertEqual(answer["choices"][0]["finish_reason"], "")
        events = self.ask("weather", tools=[FUNCTION], stream=True).events()
        self.assertEqual(events[-2]["choices"][0]["finish_reason"], "")

    def test_reasoning_counts_in_the_total_only(self) -> None:
        usage = self.ask("think", model="grok-3-mini").json()["usage"]
        thought = usage["completion_tokens_details"]["reasoning_tokens"]
        known = usage["prompt_tokens"] + usage["completion_tokens"] + thought
        self.assertEqual(usage["total_tokens"], known)
        self.assertGreater(thought, 0)

    def test_errors_are_strings(self) -> None:
        answer = self.ask("[[xai:status=429]]").json()
        self.assertEqual(set(answer), {"code", "error"})
        self.assertIsInstance(answer["error"], str)
        nested = self.ask("[[xai:status=429,form=nested_error]]").json()
        self.assertIsInstance(nested["error"], dict)

    def test_reasoning_models_take_no_stops_and_penalties(self) -> None:
        for more in ({"stop": ["x"]}, {"presence_penalty": 1}, {"frequency_penalty": 1}):
            self.assertIn("does not support", self.refused(model="grok-4", **more))
            self.assertEqual(self.ask(model="grok-3", **more).status, 200)
        self.refused(410, web_search_options={"search_context_size": "low"})


class OpenRouter(CompatibleTest):
    name = "openrouter"

    def test_a_stream_opens_with_comments_and_ends_with_usage(self) -> None:
        answer = self.ask(stream=True)
        self.assertTrue(answer.body.startswith(b": OPENROUTER PROCESSING\n\n"))
        *_, last, _done = answer.events()
        self.assertGreater(last["usage"]["cost"], 0)

    def test_a_200_can_be_an_error(self) -> None:
        answer = self.ask("[[openrouter:error_first]]")
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (200, 500))
        *_, last = self.ask("[[openrouter:error_after=1]]", stream=True).events()
        self.assertEqual(last["error"]["code"], 502)
        self.assertEqual(last["choices"][0]["finish_reason"], "error")

    def test_reasons_have_details_and_ends_have_native_words(self) -> None:
        choice = self.ask("think", reasoning={"effort": "low"}).json()["choices"][0]
        [detail] = choice["message"]["reasoning_details"]
        self.assertEqual(detail["text"], choice["message"]["reasoning"])
        self.assertEqual(choice["native_finish_reason"], "stop")
        hidden = self.message("think", reasoning={"effort": "low", "exclude": True})
        self.assertNotIn("reasoning", hidden)

    def test_codes_are_numbers(self) -> None:
        self.assertEqual(self.refused(429, text="[[openrouter:status=429]]")["code"], 429)
        self.assertIn("not a valid model ID", self.refused(model="no-such")["message"])


class Hosts(FakeTest):
    def ask(self, name: str, text: str = "hi", **more: Any) -> Response:
        return chat(name, self.ports[name], text, **more)

    def test_together_ends_with_eos_and_usage(self) -> None:
        *_, finish, _done = self.ask("together", stream=True).events()
        self.assertEqual(finish["choices"][0]["finish_reason"], "eos")
        self.assertIn("total_tokens", finish["usage"])

    def test_ollama_has_short_ids_or_none_and_ignores_a_choice(self) -> None:
        asked = {"tools": [FUNCTION]}
        [call] = self.calls("ollama", "weather", **asked)
        self.assertRegex(call["id"], r"^call_.{8}$")
        [call] = self.calls("ollama", "weather [[ollama:form=no_ids]]", **asked)
        self.assertNotIn("id", call)
        answer = self.ask("ollama", tool_choice="required", **asked).json()
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")

    def calls(self, name: str, text: str, **more: Any) -> Any:
        return self.ask(name, text, **more).json()["choices"][0]["message"]["tool_calls"]

    def test_ollama_errors_are_strings(self) -> None:
        answer = self.ask("ollama", model="no-such")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.json()["error"], 'model "no-such" not found, try pulling it first')

    def test_vllm_has_usage_without_choices(self) -> None:
        *_, usage, _done = self.ask("vllm", **USAGE).events()
        self.assertIsNone(usage["choices"])
        self.assertIn("total_tokens", usage["usage"])

    def test_vllm_names_its_reasoning_in_two_ways(self) -> None:
        for form, name in (("", "reasoning"), ("[[vllm:form=reasoning_content]]",
                                               "reasoning_content")):  # fmt: skip
            answer = self.ask("vllm", f"think {form}", model="Qwen/Qwen3-8B").json()
            self.assertIn(name, answer["choices"][0]["message"])

    def test_vllm_errors_are_flat_or_nested(self) -> None:
        *_, last = self.ask("vllm", "[[vllm:error_after=1]]", stream=True).events()
        self.assertEqual((last["object"], last["code"]), ("error", 500))
        text = "[[vllm:error_after=1,form=nested_error]]"
        *_, last = self.ask("vllm", text, stream=True).events()
        self.assertEqual(last["error"]["code"], 500)
