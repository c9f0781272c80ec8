"""Tests of what only Azure, Mistral or Cohere say and refuse."""

from __future__ import annotations

import base64
import json
from typing import Any

from fakes.embeddings import as_base64, vector
from raw_client import KEYS, Client, Response, chat
from test_dialects import FUNCTION
from test_fakes import FakeTest
from test_providers import read

V1 = "/openai/v1/chat/completions"
CALL = {"id": "Ab3456789", "type": "function",
        "function": {"name": "forecast", "arguments": "{}"}}  # fmt: skip
HI = {"role": "user", "content": "hi"}


def post(port: int, path: str, headers: dict[str, str], body: Any) -> Response:
    with Client(port) as client:
        return client.ask("POST", path, headers, json.dumps(body).encode())


class Azure(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("azure", self.ports["azure"], text, **more)

    def post(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
        body = {"messages": [HI]} | more
        return post(self.ports["azure"], path, headers or KEYS["azure"], body)

    def test_the_path_names_the_deployment_and_the_body_does_not(self) -> None:
        path = "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
        answer = self.post(path, model="other").json()
        self.assertIn("(mine)", answer["choices"][0]["message"]["content"])
        self.assertIn("(mine)", self.post(path).json()["choices"][0]["message"]["content"])
        failing = [{"role": "user", "content": "[[model=mine:status=503]]"}]
        self.assertEqual(self.post(path, model="other", messages=failing).status, 503)

    def test_a_v1_path_leaves_the_deployment_to_the_body(self) -> None:
        for query in ("", "?api-version=v1", "?api-version=preview"):
            answer = self.post(V1 + query, model="mine").json()
            self.assertIn("(mine)", answer["choices"][0]["message"]["content"])
        self.assertEqual(self.post(V1 + "?api-version=2024-10-21", model="m").status, 400)

    def test_paths_that_are_none_are_not_found(self) -> None:
        self.assertEqual(self.post("/v1/chat/completions", model="m").status, 404)
        unversioned = self.post("/openai/deployments/m/chat/completions")
        self.assertEqual(unversioned.json()["error"]["code"], "404")
        missing = self.post("/openai/deployments/no-such/chat/completions?api-version=2024-10-21")
        self.assertEqual(missing.status, 404)
        self.assertEqual(missing.json()["error"]["code"], "DeploymentNotFound")

    def test_one_key_is_taken_and_not_two(self) -> None:
        bearer = {"authorization": "Bearer token"}
        self.assertEqual(self.post(V1, bearer, model="m").status, 200)
        self.assertEqual(self.post(V1, bearer | KEYS["azure"], model="m").status, 400)
        wrong = self.post(V1, {"api-key": "invalid"}, model="m")
        self.assertEqual(wrong.json()["error"]["code"], "401")
        nobody = self.post(V1, {"x": "y"}, model="m")
        self.assertEqual((nobody.status, nobody.json()["statusCode"]), (401, 401))

    def test_answers_tell_what_the_filters_found(self) -> None:
        answer = self.ask().json()
        calm = {"filtered": False, "severity": "safe"}
        [prompt] = answer["prompt_filter_results"]
        self.assertEqual(prompt["content_filter_results"]["hate"], calm)
        [choice] = answer["choices"]
        self.assertEqual(choice["content_filter_results"]["violence"], calm)
        [choice] = self.ask("[[azure:refusal]]").json()["choices"]
        self.assertEqual(choice["finish_reason"], "content_filter")
        self.assertTrue(choice["content_filter_results"]["hate"]["filtered"])

    def test_a_stream_opens_with_a_chunk_of_nobody(self) -> None:
        first, second, *_ = self.ask(stream=True).events()
        self.assertEqual(first.pop("prompt_filter_results")[0]["prompt_index"], 0)
        nobody = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        self.assertEqual(first, nobody)
        self.assertEqual(second["choices"][0]["delta"]["role"], "assistant")

    def test_an_asynchronous_filter_annotates_later_and_without_a_delta(self) -> None:
        events = self.ask("[[azure:form=async_filter]]", stream=True).events()
        *_, finish, last, done = events
        self.assertEqual(done, "[DONE]")
        self.assertEqual(finish["choices"][0]["finish_reason"], "stop")
        self.assertNotIn("delta", last["choices"][0])
        self.assertIn("content_filter_offsets", last["choices"][0])
        text = [e for e in events[:-1] if e["choices"] and "delta" in e["choices"][0]]
        self.assertTrue(all("content_filter_results" not in e["choices"][0] for e in text))

    def test_a_filtered_prompt_has_an_inner_error(self) -> None:
        error = self.ask("[[azure:content_filter]]").json()["error"]
        self.assertEqual((error["code"], error["type"]), ("content_filter", None))
        self.assertEqual(error["innererror"]["code"], "ResponsibleAIPolicyViolation")

    def test_a_rate_limit_tells_the_seconds(self) -> None:
        answer = self.ask("[[azure:status=429,retry_after=12]]")
        self.assertIn("retry after 12 seconds", answer.json()["error"]["message"])
        self.assertEqual(answer.headers["retry-after-ms"], "12000")

    def test_old_versions_and_wrong_shapes_are_refused(self) -> None:
        old = "/openai/deployments/m/chat/completions?api-version=2023-05-15"
        self.assertEqual(self.post(old).status, 200)
        self.assertEqual(self.post(old, tools=[FUNCTION]).status, 400)
        picture = {"type": "image_url", "image_url": "https://example.com/a.png"}
        for messages in (
            [{"role": "user", "content": [picture]}],
            [HI, {"role": "assistant", "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": {}}}]},
             {"role": "tool", "tool_call_id": CALL["id"], "content": "x"}],
        ):  # fmt: skip
            self.assertEqual(self.ask(messages=messages).status, 400)

    def test_vectors_are_made_on_both_paths(self) -> None:
        classic = "/openai/deployments/mine/embeddings?api-version=2024-10-21"
        expected = list(vector("mine", "hi"))
        for path, more in ((classic, {}), ("/openai/v1/embeddings", {"model": "mine"})):
            answer = post(self.ports["azure"], path, KEYS["azure"], {"input": "hi"} | more)
            self.assertEqual(answer.json()["data"][0]["embedding"], expected)


class Mistral(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("mistral", self.ports["mistral"], text, **more)

    def test_unknown_fields_are_extra_forbidden_at_every_level(self) -> None:
        named = {"role": "user", "content": "hi", "name": "Ann"}
        strange = [{"type": "text", "text": "a", "cache_control": {}}]
        for more, place in (
            ({"user": "u"}, ["body", "user"]),
            ({"stream_options": {}}, ["body", "stream_options"]),
            ({"messages": [named]}, ["body", "messages", 0, "user", "name"]),
            ({"messages": [{"role": "user", "content": strange}]},
             ["body", "messages", 0, "user", "content", 0, "cache_control"]),
        ):  # fmt: skip
            answer = self.ask(**more)
            self.assertEqual(answer.status, 422)
            error = answer.json()
            self.assertEqual((error["object"], error["raw_status_code"]), ("error", 422))
            [detail] = error["message"]["detail"]
            self.assertEqual((detail["type"], detail["loc"]), ("extra_forbidden", place))

    def test_an_error_can_be_a_bare_detail(self) -> None:
        error = self.ask("[[mistral:form=detail]]", seed=1).json()
        self.assertEqual(error["detail"][0]["type"], "extra_forbidden")
        wrong = {"authorization": "Bearer invalid"}
        self.assertEqual(set(self.ask(headers=wrong).json()), {"message", "request_id"})
        bare = self.ask("[[mistral:form=detail]]", headers=wrong).json()
        self.assertEqual(bare, {"detail": "Unauthorized"})

    def test_values_that_do_not_fit_are_refused(self) -> None:
        audio = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
        no_parameters = {"type": "function", "function": {"name": "f"}}
        for more in (
            {"temperature": 1.6}, {"tools": [no_parameters]}, {"tool_choice": "always"},
            {"messages": [{"role": "user", "content": [audio]}]},
            {"messages": [{"role": "developer", "content": "x"}, HI]},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        ):  # fmt: skip
            self.assertEqual(self.ask(**more).status, 422, more)
        text = {"type": "input_audio", "input_audio": "UklGRg=="}
        self.assertEqual(self.ask(messages=[{"role": "user", "content": [text]}]).status, 200)

    def test_call_ids_are_nine_letters_and_digits(self) -> None:
        for name in ("call_abc", "Ab345678", "Ab34567890", "Ab34567_9"):
            messages = [HI, {"role": "assistant", "tool_calls": [{**CALL, "id": name}]},
                        {"role": "tool", "tool_call_id": name, "content": "x"}]  # fmt: skip
            error = self.ask(messages=messages)
            self.assertEqual(error.status, 400)
            known = error.json()
            self.assertEqual((known["code"], known["type"]), ("3280", "invalid_function_call"))

    def test_turns_come_in_an_order(self) -> None:
        called = {"role": "assistant", "tool_calls": [CALL]}
        result = {"role": "tool", "name": "forecast", "tool_call_id": CALL["id"], "content": "x"}
        for messages, said in (
            ([HI, called, result, HI], "Unexpected role 'user' after role 'tool'"),
            ([HI, called, HI], "Not the same number"),
            ([HI, result], "Unexpected role 'tool'"),
            ([HI, {"role": "assistant", "content": ""}, HI], "either content or tool_calls"),
            ([HI, {"role": "assistant", "content": "It"}], "Expected last role"),
        ):
            answer = self.ask(messages=messages)
            self.assertEqual(answer.status, 400)
            self.assertIn(said, answer.json()["message"])
        prefixed = {"role": "assistant", "content": "It", "prefix": True}
        self.assertEqual(self.ask(messages=[HI, prefixed]).status, 200)
        self.assertEqual(self.ask(messages=[HI, called, result]).status, 200)

    def test_calls_come_whole_and_with_the_end_and_so_does_the_usage(self) -> None:
        *_, last, done = self.ask("weather", tools=[FUNCTION], stream=True).events()
        self.assertEqual(done, "[DONE]")
        [choice] = last["choices"]
        [call] = choice["delta"]["tool_calls"]
        self.assertRegex(call["id"], "^[A-Za-z0-9]{9}$")
        self.assertEqual(json.loads(call["function"]["arguments"])["city"], "Paris")
        self.assertEqual(choice["finish_reason"], "tool_calls")
        self.assertIn("total_tokens", last["usage"])

    def test_arguments_can_be_an_object(self) -> None:
        answer = self.ask("weather [[mistral:form=object_arguments]]", tools=[FUNCTION]).json()
        [call] = answer["choices"][0]["message"]["tool_calls"]
        self.assertEqual(call["function"]["arguments"], {"city": "Paris", "unit": "c"})
        answer = self.ask("weather [[mistral:form=no_ids]]", tools=[FUNCTION]).json()
        [call] = answer["choices"][0]["message"]["tool_calls"]
        self.assertEqual(set(call), {"id", "function"})

    def test_thoughts_are_parts_of_the_content(self) -> None:
        for more in ({}, {"stream": True}):
            answer = self.ask("please think", model="magistral-medium-latest", **more)
            said = read("mistral", answer)
            self.assertEqual(said.thought, "Let me think about this: please think")
            self.assertIn("You said: please think", said.text)
        message = self.ask("think", model="magistral-small").json()["choices"][0]["message"]
        self.assertEqual([part["type"] for part in message["content"]], ["thinking", "text"])

    def test_a_model_can_run_out_of_its_length(self) -> None:
        choice = self.ask("[[mistral:finish=model_length]]").json()["choices"][0]
        self.assertEqual(choice["finish_reason"], "model_length")

    def test_logprobs_have_token_ids(self) -> None:
        answer = self.ask(logprobs=True, top_logprobs=2).json()
        first = answer["choices"][0]["logprobs"]["content"][0]
        self.assertEqual((first["token"], first["token_id"]), ("Hello from m", 0))
        self.assertEqual(len(first["top_logprobs"]), 2)

    def test_vectors_have_the_dimension_asked_for(self) -> None:
        body = {"model": "mistral-embed", "input": ["a", "b"], "output_dimension": 8}
        port = self.ports["mistral"]
        answer = post(port, "/v1/embeddings", KEYS["mistral"], body).json()
        known = [list(vector("mistral-embed", text, 8)) for text in "ab"]
        self.assertEqual([item["embedding"] for item in answer["data"]], known)
        self.assertEqual(answer["usage"]["prompt_tokens"], 2)
        wrong = {"model": "mistral-embed", "input": "a", "dimensions": 8}
        answer = post(port, "/v1/embeddings", KEYS["mistral"], wrong)
        self.assertEqual(answer.status, 422)


class Cohere(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("cohere", self.ports["cohere"], text, **more)

    def embed(self, **more: Any) -> Response:
        body = {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query"} | more
        return post(self.ports["cohere"], "/v2/embed", KEYS["cohere"], body)

    def test_a_stream_is_named_events_from_start_to_end(self) -> None:
        answer = self.ask(stream=True)
        names = [line[7:] for line in answer.body.decode().split("\n") if line[:6] == "event:"]
        self.assertEqual(names, [event["type"] for event in answer.events()])
        self.assertEqual((names[0], names[-1]), ("message-start", "message-end"))
        finished = self.ask("[[cohere:form=done]]", stream=True).events()
        self.assertEqual(finished[-1], "[DONE]")

    def test_calls_in_a_stream_are_an_object_and_a_plan_comes_first(self) -> None:
        events = self.ask("weather explain", tools=[FUNCTION], stream=True).events()
        kinds = [event["type"] for event in events]
        self.assertLess(kinds.index("tool-plan-delta"), kinds.index("tool-call-start"))
        start = events[kinds.index("tool-call-start")]["delta"]["message"]["tool_calls"]
        self.assertEqual(start["function"], {"name": "forecast", "arguments": ""})
        plan = self.ask("weather explain", tools=[FUNCTION]).json()["message"]["tool_plan"]
        self.assertEqual(plan, "I will look that up.")

    def test_a_call_without_arguments_has_no_delta(self) -> None:
        tool = {"type": "function", "function": {"name": "now", "parameters": {}}}
        kinds = [e["type"] for e in self.ask("weather", tools=[tool], stream=True).events()]
        self.assertIn("tool-call-end", kinds)
        self.assertNotIn("tool-call-delta", kinds)

    def test_counts_are_floats_and_bills_are_not_tokens(self) -> None:
        usage = self.ask("something long that was cached").json()["usage"]
        self.assertIsInstance(usage["tokens"]["input_tokens"], float)
        self.assertNotEqual(usage["tokens"], usage["billed_units"])
        self.assertGreater(usage["cached_tokens"], 0)

    def test_thoughts_are_content(self) -> None:
        for more in ({}, {"stream": True}):
            said = read("cohere", self.ask("think", thinking={"type": "enabled"}, **more))
            self.assertEqual(said.thought, "Let me think about this: think")
        said = read("cohere", self.ask("think", model="command-a-reasoning-08-2025"))
        self.assertTrue(said.thought)

    def test_documents_and_results_are_cited(self) -> None:
        documents = [{"id": "a", "data": {"text": "snow"}}, "plain"]
        [cited] = self.ask(documents=documents).json()["message"]["citations"]
        self.assertEqual((cited["start"], cited["end"], cited["text"]), (0, 5, "Hello"))
        self.assertEqual([source["id"] for source in cited["sources"]], ["a", "doc:1"])
        kinds = [e["type"] for e in self.ask(documents=documents, stream=True).events()]
        self.assertIn("citation-start", kinds)
        off = self.ask(documents=documents, citation_options={"mode": "OFF"}).json()
        self.assertNotIn("citations", off["message"])

    def test_logprobs_are_a_list_at_the_top(self) -> None:
        first = self.ask(logprobs=True).json()["logprobs"][0]
        self.assertEqual(first, {"text": "Hello from c", "token_ids": [0], "logprobs": [-0.25]})
        events = self.ask(logprobs=True, stream=True).events()
        scored = [event for event in events if "logprobs" in event]
        self.assertEqual(scored[0]["logprobs"], first)

    def test_what_the_provider_refuses_is_refused(self) -> None:
        strict = {"type": "function", "function": {**FUNCTION["function"], "strict": True}}
        late = [HI, {"role": "system", "content": "x"}, HI]
        schema = {"type": "json_object"}
        for more, status in (
            ({"top_p": 0.5}, 422), ({"user": "u"}, 422), ({"tools": [strict]}, 422),
            ({"messages": [{**HI, "name": "Ann"}]}, 422), ({"messages": late}, 400),
            ({"p": 1}, 400), ({"presence_penalty": -1}, 400), ({"frequency_penalty": 1.5}, 400),
            ({"presence_penalty": 0.5, "frequency_penalty": 0.5}, 400),
            ({"tools": [FUNCTION], "tool_choice": "auto"}, 400),
            ({"tools": [FUNCTION], "tool_choice": {"type": "function"}}, 400),
            ({"tools": [FUNCTION], "response_format": schema}, 400),
            ({"response_format": {"type": "json_schema"}}, 400),
            ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400),
            ({"stop_sequences": list("abcdef")}, 400),
            ({"messages": [{"role": "developer", "content": "x"}]}, 400),
        ):  # fmt: skip
            answer = self.ask(**more)
            self.assertEqual(answer.status, status, more)
            self.assertIsInstance(answer.json()["message"], str)

    def test_tokens_can_be_invalid_and_requests_cancelled(self) -> None:
        for status in (498, 499):
            self.assertEqual(self.ask(f"[[cohere:status={status}]]").status, status)
        answer = self.ask("[[cohere:context_length]]").json()
        self.assertTrue(answer["message"].startswith("too many tokens"))

    def test_each_text_gets_its_vector(self) -> None:
        answer = self.embed(embedding_types=["float", "base64"], output_dimension=256).json()
        known = [vector("embed-v4.0", text, 256) for text in "ab"]
        self.assertEqual(answer["embeddings"]["float"], [list(one) for one in known])
        self.assertEqual(answer["embeddings"]["base64"], [as_base64(one) for one in known])
        self.assertEqual(len(base64.b64decode(answer["embeddings"]["base64"][0])), 1024)
        self.assertEqual(answer["meta"]["billed_units"]["input_tokens"], 2.0)

    def test_what_cannot_be_embedded_is_refused(self) -> None:
        for more in ({"input_type": None}, {"texts": ["a"] * 97}, {"texts": []},
                     {"output_dimension": 7}, {"input_type": "query"}):  # fmt: skip
            self.assertEqual(self.embed(**more).status, 400, more)
        self.assertEqual(self.embed(dimensions=256).status, 422)
