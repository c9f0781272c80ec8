"""Tests of what the Gemini dialect says and refuses, at AI Studio."""

from __future__ import annotations

import base64
import itertools
import json
import math
import unittest
from typing import Any

from raw_client import KEYS, Client, Response, chat
from test_dialects import ARGUMENTS
from test_fakes import FakeTest

SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
TOOLS = [{"functionDeclarations": [{"name": "forecast", "parameters": SCHEMA}]}]
OLD, NEW = "gemini-2.5-flash", "gemini-3.5-flash"
SKIP = base64.b64encode(b"skip_thought_signature_validator").decode()


def user(*parts: Any) -> dict[str, Any]:
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "parts": said}


def model(*parts: Any) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def call(name: str = "forecast", signature: str | None = SKIP, **more: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": name, "args": {}, **more}}
    return part | ({"thoughtSignature": signature} if signature else {})


def told(name: str = "forecast", response: Any = None, **more: Any) -> dict[str, Any]:
    response = {"output": "18 degrees"} if response is None else response
    return {"functionResponse": {"name": name, "response": response, **more}}


def parts_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answer["candidates"][0]["content"].get("parts", []))


class GeminiTest(FakeTest):
    DIALECT = "gemini"

    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat(self.DIALECT, self.ports[self.DIALECT], text, **more)

    def configured(self, text: str = "hi", **config: Any) -> Response:
        model = config.pop("model", NEW)
        return self.ask(text, model=model, generationConfig=config)

    def refusal(self, answer: Response) -> str:
        self.assertEqual(answer.status, 400, answer.body)
        error = answer.json()["error"]
        self.assertEqual((error["code"], error["status"]), (400, "INVALID_ARGUMENT"))
        return str(error["message"])

    def post(self, path: str, body: Any, **headers: str) -> Response:
        with Client(self.ports[self.DIALECT]) as client:
            sent = KEYS[self.DIALECT] | headers
            return client.ask("POST", path, sent, json.dumps(body).encode())


class Answers(GeminiTest):
    def test_an_answer_says_who_answers_and_what_was_asked(self) -> None:
        answer = self.ask("good morning", model=OLD).json()
        [candidate] = answer["candidates"]
        said = "Hello from gemini (gemini-2.5-flash). You said: good morning"
        self.assertEqual(candidate["content"], {"parts": [{"text": said}], "role": "model"})
        self.assertEqual(candidate["finishReason"], "STOP")
        usage = answer["usageMetadata"]
        self.assertEqual(usage["promptTokenCount"], 3)
        self.assertEqual(usage["totalTokenCount"], 3 + usage["candidatesTokenCount"])
        self.assertEqual(answer["modelVersion"], OLD)

    def test_a_stream_has_usage_on_every_chunk_and_no_terminal_event(self) -> None:
        answer = self.ask(stream=True, model=OLD)
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        self.assertTrue(answer.body.endswith(b"}\r\n\r\n"))
        self.assertNotIn(b"[DONE]", answer.body)
        chunks = answer.events()
        said = "".join(part["text"] for chunk in chunks for part in parts_of(chunk))
        self.assertEqual(said, f"Hello from gemini ({OLD}). You said: hi")
        counts = [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in chunks]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(
            [c["candidates"][0].get("finishReason") for c in chunks[-2:]], [None, "STOP"]
        )
        self.assertEqual(len({chunk["responseId"] for chunk in chunks}), 1)

    def test_newer_models_stop_in_a_chunk_of_their_own(self) -> None:
        *chunks, last = self.ask(stream=True).events()
        self.assertTrue(all("finishReason" not in chunk["candidates"][0] for chunk in chunks))
        [part] = parts_of(last)
        self.assertEqual((part["text"], last["candidates"][0]["finishReason"]), ("", "STOP"))
        self.assertIn("thoughtSignature", part)

    def test_without_alt_sse_the_stream_is_one_array(self) -> None:
        path = f"/v1beta/models/{NEW}:streamGenerateContent"
        answer = self.post(path, {"contents": [user("hi")]})
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        chunks = answer.json()
        self.assertGreater(len(chunks), 3)
        self.assertEqual(chunks[-1]["candidates"][0]["finishReason"], "STOP")
        answer = self.post(path, {"contents": [user("hi [[gemini:error_after=1]]")]})
        self.assertEqual(answer.json()[-1]["error"]["status"], "UNAVAILABLE")
        self.assertEqual(self.post(path, {}).json()[0]["error"]["code"], 400)

    def test_tools_are_called_with_stop_as_the_reason(self) -> None:
        for name in (OLD, NEW):
            answer = self.ask("weather? explain", tools=TOOLS, model=name).json()
            text, part = parts_of(answer)
            self.assertEqual(answer["candidates"][0]["finishReason"], "STOP")
            self.assertEqual(text["text"], "I will look that up.")
            self.assertEqual(part["functionCall"]["args"], ARGUMENTS)
            self.assertEqual("thoughtSignature" in part, name == NEW)
            self.assertEqual("id" in part["functionCall"], name == NEW)

    def test_only_the_first_of_two_calls_is_signed(self) -> None:
        chunks = self.ask("weather in two cities", tools=TOOLS, stream=True).events()
        calls = [part for chunk in chunks for part in parts_of(chunk) if "functionCall" in part]
        self.assertEqual(["thoughtSignature" in part for part in calls], [True, False])
        self.assertEqual(parts_of(chunks[-1]), [{"text": ""}])

    def test_tool_choice_is_obeyed(self) -> None:
        def config(**more: Any) -> dict[str, Any]:
            return {"functionCallingConfig": more}

        two = [{"functionDeclarations": [{"name": "forecast"}, {"name": "other"}]}]
        forced = config(mode="ANY", allowedFunctionNames=["other"])
        [part] = parts_of(self.ask(tools=two, toolConfig=forced).json())
        self.assertEqual(part["functionCall"]["name"], "other")
        [part] = parts_of(self.ask("weather", tools=TOOLS, toolConfig=config(mode="NONE")).json())
        self.assertIn("text", part)

    def test_an_issued_signature_comes_back_with_its_call(self) -> None:
        answer = self.ask("weather in two cities", tools=TOOLS).json()
        said = answer["candidates"][0]["content"]
        results = [told(id=part["functionCall"]["id"]) for part in said["parts"]]
        history = [user("weather in two cities"), said, user(*results)]
        answer = self.ask(contents=history, tools=TOOLS).json()
        self.assertIn("The tools said: 18 degrees; 18 degrees", parts_of(answer)[0]["text"])
        said["parts"][0]["functionCall"]["args"]["city"] = "Rome"
        message = self.refusal(self.ask(contents=history, tools=TOOLS))
        self.assertEqual(message, "Corrupted thought signature.")

    def test_thoughts_are_shown_when_asked_for(self) -> None:
        thinking = {"includeThoughts": True}
        for stream in (False, True):
            config = {"thinkingConfig": thinking}
            answer = self.ask("think", generationConfig=config, stream=stream)
            whole = answer.events() if stream else [answer.json()]
            parts = [part for chunk in whole for part in parts_of(chunk)]
            thought = "".join(part["text"] for part in parts if part.get("thought"))
            self.assertEqual(thought, "Let me think about this: think")
            usage = whole[-1]["usageMetadata"]
            total = usage["promptTokenCount"] + usage["candidatesTokenCount"]
            self.assertEqual(usage["totalTokenCount"], total + usage["thoughtsTokenCount"])
        hidden = self.ask("think").json()
        self.assertEqual(len(parts_of(hidden)), 1)
        self.assertGreater(hidden["usageMetadata"]["thoughtsTokenCount"], 0)

    def test_a_schema_is_satisfied(self) -> None:
        json_type: dict[str, Any] = {"responseMimeType": "application/json"}
        schemas: list[dict[str, Any]] = [
            {"responseSchema": SCHEMA},
            {"responseJsonSchema": {"type": "object", "properties": {"city": {}}}},
        ]
        for config in schemas:
            [part] = parts_of(self.configured(**config, **json_type).json())
            self.assertIn("You said: hi", json.loads(part["text"])["city"])
        kinds = {"type": "STRING", "enum": ["low", "high"]}
        answer = self.configured(responseMimeType="text/x.enum", responseSchema=kinds).json()
        self.assertEqual(parts_of(answer)[0]["text"], "low")

    def test_limits_and_stops_end_the_text(self) -> None:
        answer = self.configured(maxOutputTokens=3).json()
        self.assertEqual(parts_of(answer)[0]["text"], "Hello from g")
        self.assertEqual(answer["candidates"][0]["finishReason"], "MAX_TOKENS")
        answer = self.configured(stopSequences=[" You"]).json()
        self.assertEqual(parts_of(answer)[0]["text"], f"Hello from gemini ({NEW}).")

    def test_log_probabilities_come_when_asked_for(self) -> None:
        candidate = self.configured(responseLogprobs=True, logprobs=2).json()["candidates"][0]
        result = candidate["logprobsResult"]
        tokens = [chosen["token"] for chosen in result["chosenCandidates"]]
        self.assertEqual("".join(tokens), candidate["content"]["parts"][0]["text"])
        self.assertEqual({len(top["candidates"]) for top in result["topCandidates"]}, {2})
        self.assertNotIn("logprobsResult", self.ask().json()["candidates"][0])

    def test_candidates_are_as_many_as_asked_for(self) -> None:
        found = self.configured(candidateCount=2).json()["candidates"]
        self.assertEqual([candidate["index"] for candidate in found], [0, 1])

    def test_cached_tokens_are_told_when_the_prompt_says_so(self) -> None:
        usage = self.ask("this is cached text").json()["usageMetadata"]
        self.assertEqual((usage["promptTokenCount"], usage["cachedContentTokenCount"]), (5, 2))

    def test_a_blocked_prompt_has_no_candidates(self) -> None:
        for text in ("a blocked prompt", "hi [[gemini:content_filter]]"):
            for stream in (False, True):
                answer = self.ask(text, stream=stream)
                [only] = answer.events() if stream else [answer.json()]
                self.assertNotIn("candidates", only)
                self.assertEqual(only["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT")

    def test_a_prompt_can_ask_for_an_ending(self) -> None:
        for reason in ("SAFETY", "MALFORMED_FUNCTION_CALL", "RECITATION"):
            [candidate] = self.ask(f"finish {reason}").json()["candidates"]
            self.assertEqual(candidate["finishReason"], reason)
            self.assertNotIn("content", candidate)
            chunks = self.ask(f"finish {reason}", stream=True).events()
            self.assertEqual(chunks[-1]["candidates"][0]["finishReason"], reason)
        self.assertEqual(len(self.ask("finish MALFORMED_FUNCTION_CALL", stream=True).events()), 1)
        answer = self.ask("[[gemini:refusal]]").json()
        self.assertEqual(answer["candidates"][0]["finishReason"], "SAFETY")

    def test_no_usage_leaves_the_usage_out(self) -> None:
        self.assertNotIn("usageMetadata", self.ask("[[gemini:no_usage]]").json())
        for name in (OLD, NEW):
            body = self.ask("[[gemini:no_usage]]", stream=True, model=name).body
            self.assertNotIn(b"usageMetadata", body)

    def test_names_may_be_written_in_snake_case(self) -> None:
        answer = self.ask(generation_config={"max_output_tokens": 3}).json()
        self.assertEqual(answer["candidates"][0]["finishReason"], "MAX_TOKENS")

    def test_models_are_listed(self) -> None:
        with Client(self.ports["gemini"]) as client:
            answer = client.ask("GET", "/v1beta/models", KEYS["gemini"], b"").json()
        self.assertIn("models/gemini-2.5-flash", [one["name"] for one in answer["models"]])

    def test_texts_are_embedded_one_or_many_at_once(self) -> None:
        name = "gemini-embedding-001"
        one = {"model": f"models/{name}", "content": user("hi"), "outputDimensionality": 8}
        single = self.post(f"/v1beta/models/{name}:embedContent", one).json()
        values = single["embedding"]["values"]
        self.assertEqual(len(values), 8)
        self.assertAlmostEqual(math.hypot(*values), 1, places=5)
        other = {**one, "content": user("other")}
        path = f"/v1beta/models/{name}:batchEmbedContents"
        many = self.post(path, {"requests": [one, other]}).json()["embeddings"]
        self.assertEqual(many[0]["values"], values)
        self.assertNotEqual(many[1]["values"], values)
        wrong = self.post(path, {"requests": [{**one, "model": "models/else"}]})
        self.assertIn("must match", self.refusal(wrong))
        self.assertIn("at most 100", self.refusal(self.post(path, {"requests": [one] * 101})))


class Refusals(GeminiTest):
    def contents(self, *turns: dict[str, Any], **more: Any) -> str:
        return self.refusal(self.ask(contents=list(turns), **more))

    def test_a_bad_key_is_a_400_and_no_key_a_403(self) -> None:
        answer = self.ask(headers={"x-goog-api-key": "AIza-invalid"})
        self.assertIn("API key not valid", self.refusal(answer))
        reasons = [detail.get("reason") for detail in answer.json()["error"]["details"]]
        self.assertIn("API_KEY_INVALID", reasons)
        answer = self.ask(headers={"x-goog-api-key": ""})
        self.assertEqual(
            (answer.status, answer.json()["error"]["status"]), (403, "PERMISSION_DENIED")
        )

    def test_an_unknown_model_or_method_is_a_404(self) -> None:
        error = self.ask(model="no-such-model").json()["error"]
        self.assertEqual((error["code"], error["status"]), (404, "NOT_FOUND"))
        self.assertIn("models/no-such-model is not found for API version", error["message"])
        self.assertEqual(self.post("/v1beta/models/x:frobnicate", {}).status, 404)

    def test_unknown_names_are_refused_at_every_level(self) -> None:
        function = {"name": "f", "strict": True, "parameters": {"type": "OBJECT", "$schema": "s"}}
        answer = self.ask(frob=1, tools=[{"functionDeclarations": [function]}])
        lines = self.refusal(answer).split("\n")
        start = "Invalid JSON payload received. Unknown name"
        place = "tools[0].function_declarations[0]"
        self.assertEqual(lines, [
            f'{start} "frob": Cannot find field.',
            f"{start} \"strict\" at '{place}': Cannot find field.",
            f"{start} \"$schema\" at '{place}.parameters': Cannot find field.",
        ])  # fmt: skip
        [detail] = answer.json()["error"]["details"]
        self.assertEqual(detail["fieldViolations"][1]["field"], place)

    def test_values_of_another_type_are_refused(self) -> None:
        message = self.contents(user("hi"), model(call(args="{}")), user(told()))
        self.assertIn("'contents[1].parts[0].function_call.args' (type.googleapis.com", message)
        message = self.contents(user("hi"), model(call()), user(told(response="18")))
        self.assertIn(
            "function_response.response' (type.googleapis.com/google.protobuf.Struct)", message
        )
        self.assertIn('(TYPE_FLOAT), "hot"', self.refusal(self.configured(temperature="hot")))
        bad = user({"inlineData": {"mimeType": "image/png", "data": "%%"}})
        self.assertIn("Base64 decoding failed", self.contents(bad))
        kinds = {"type": ["string", "null"]}
        message = self.refusal(self.configured(responseSchema=kinds))
        self.assertIn("Proto field is not repeating, cannot start list.", message)
        message = self.refusal(self.configured(responseSchema={"type": "STRING", "enum": [1]}))
        self.assertIn("enum[0]' (TYPE_STRING), 1", message)

    def test_roles_and_parts_are_checked(self) -> None:
        self.assertIn("valid role: user, model", self.contents({**user("hi"), "role": "assistant"}))
        self.assertIn("contents is not specified", self.contents())
        self.assertIn("must not be empty", self.contents(user()))
        self.assertIn("must not be empty", self.contents(user("")))
        self.assertIn("oneof field 'data' must have", self.contents(user("a", {"thought": True})))
        both = {"text": "a", "inlineData": {"mimeType": "image/png", "data": "AAAA"}}
        self.assertIn("already set", self.contents(user(both)))
        self.assertIn("Name cannot be empty", self.contents(user("a"), model(call(""))))

    def test_media_is_checked(self) -> None:
        odd = {"inlineData": {"mimeType": "image/svg+xml", "data": "AAAA"}}
        self.assertEqual(self.contents(user("a", odd)), "Unsupported MIME type: image/svg+xml")
        ftp = {"fileData": {"mimeType": "image/png", "fileUri": "ftp://x/y.png"}}
        self.assertIn("Unsupported file URI type: ftp://x/y.png", self.contents(user("a", ftp)))
        empty = {"inlineData": {"mimeType": "image/png", "data": ""}}
        self.assertIn("Unable to process input image", self.contents(user("a", empty)))
        good = [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"mimeType": "image/png", "fileUri": "https://x/y.png"}}]  # fmt: skip
        self.assertEqual(self.ask(contents=[user("a", *good)]).status, 200)

    def test_calls_and_their_responses_must_match(self) -> None:
        count = "number of function response parts is equal"
        after = "immediately after a function call turn"
        self.assertIn(after, self.contents(user(told())))
        self.assertIn(count, self.contents(user("a"), model(call(), call()), user(told())))
        self.assertIn(count, self.contents(user("a"), model(call()), user("never mind")))
        split = [user("a"), model(call(), call()), user(told()), user(told())]
        self.assertIn(count, self.contents(*split))
        bare = "Request contains an invalid argument."
        self.assertEqual(self.contents(user("a"), model(call()), user(told("other"))), bare)
        ids = [user("a"), model(call(id="1")), user(told(id="2"))]
        self.assertEqual(self.contents(*ids), bare)
        self.assertIn(
            "user turn", self.contents(user("a"), model("b"), model(call()), user(told()))
        )
        self.assertIn("end with", self.contents(user("a"), model(call())))

    def test_newer_models_need_a_signature_in_the_current_turn_only(self) -> None:
        bare = call(signature=None)
        step = [user("weather"), model(bare), user(told())]
        message = self.contents(*step)
        self.assertIn("Function call is missing a thought_signature in functionCall parts", message)
        self.assertIn("`default_api:forecast` , position 2", message)
        self.assertEqual(self.ask(contents=step, model=OLD).status, 200)
        self.assertEqual(self.ask(contents=[*step, user("thanks")]).status, 200)
        good = [user("a"), model(call(), bare), user(told(), told())]
        self.assertEqual(self.ask(contents=good).status, 200)
        second = [*good, model(bare), user(told())]
        self.assertIn("position 4", self.contents(*second))
        forged = call(signature=base64.b64encode(b"forged").decode())
        self.assertIn("Corrupted", self.contents(user("a"), model(forged), user(told())))

    def test_schemas_must_make_sense(self) -> None:
        for schema, words in (
            ({"type": "OBJECT", "properties": {}}, "properties: should be non-empty for OBJECT"),
            ({"type": "ARRAY"}, "items: missing field"),
            ({"type": "INTEGER", "enum": ["1"]}, "enum: only allowed for STRING type"),
            ({"type": "STRING", "enum": [""]}, "enum[0]: cannot be empty"),
            ({"type": "STRING", "format": "uri"}, "'enum' and 'date-time' are supported"),
            ({"type": "OBJECT", "required": ["x"]}, "required[0]: property is not defined"),
            ({"description": "?"}, "type: must be specified"),
            ({"type": "STRING", "enum": ["a"], "anyOf": [{"type": "STRING"}]}, "any_of"),
        ):
            with self.subTest(words):
                whole = {"type": "OBJECT", "properties": {"x": schema}}
                tools = [{"functionDeclarations": [{"name": "f", "parameters": whole}]}]
                message = self.refusal(self.ask(tools=tools))
                self.assertIn(words, message)
                self.assertIn("function_declarations[0].parameters.properties[x]", message)
                answer = self.configured(responseMimeType="application/json", responseSchema=whole)
                self.assertIn(words, self.refusal(answer))

    def test_tools_are_checked(self) -> None:
        def refused(*functions: dict[str, Any], **more: Any) -> str:
            tools = [{"functionDeclarations": list(functions)}]
            return self.refusal(self.ask(tools=tools, **more))

        self.assertIn("Invalid function name", refused({"name": "1st"}))
        self.assertIn("Duplicate", refused({"name": "f"}, {"name": "f"}))
        both = {"name": "f", "parameters": SCHEMA, "parametersJsonSchema": {"type": "object"}}
        self.assertIn("only one of", refused(both))
        config: dict[str, Any] = {"functionCallingConfig": {"mode": "ANY"}}
        self.assertIn("without function_declarations", self.refusal(self.ask(toolConfig=config)))
        config = {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}
        self.assertIn("mode is ANY", refused({"name": "f"}, toolConfig=config))
        config = {"functionCallingConfig": {"mode": "REQUIRED"}}
        self.assertIn('"REQUIRED"', refused({"name": "f"}, toolConfig=config))

    def test_the_configuration_is_checked(self) -> None:
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"temperature": 2.5}, "temperature must be in the range"),
            ({"topP": 1.5}, "top_p must be"),
            ({"maxOutputTokens": 0}, "max_output_tokens must be"),
            ({"stopSequences": ["s"] * 6}, "must not exceed 5"),
            ({"logprobs": 2}, "response_logprobs"),
            ({"responseMimeType": "text/html"}, "allowed mimetypes are"),
            ({"responseSchema": SCHEMA}, "only allowed when response_mime_type"),
            ({"responseSchema": SCHEMA, "responseJsonSchema": {}}, "only one of"),
        )
        for config, words in cases:
            with self.subTest(words):
                self.assertIn(words, self.refusal(self.configured(**config)))
        config = {"responseMimeType": "application/json"}
        old = self.ask(tools=TOOLS, generationConfig=config, model=OLD)
        self.assertIn("Function calling with a response mime type", self.refusal(old))
        self.assertEqual(self.ask(tools=TOOLS, generationConfig=config).status, 200)

    def test_thinking_depends_on_the_model(self) -> None:
        for name, thinking, words in (
            (NEW, {"thinkingLevel": "LOW", "thinkingBudget": 100}, "only set only one of"),
            (OLD, {"thinkingLevel": "LOW"}, "Thinking level is not supported for this model."),
            ("gemini-2.5-pro", {"thinkingBudget": 0}, "only works in thinking mode"),
            (OLD, {"thinkingBudget": 99999}, "between 1 and 24576"),
            ("gemini-2.0-flash", {"includeThoughts": True}, "Thinking is not enabled"),
        ):
            with self.subTest(words):
                answer = self.configured(thinkingConfig=thinking, model=name)
                self.assertIn(words, self.refusal(answer))
        for name, thinking in itertools.product((OLD, NEW), ({"thinkingBudget": 512}, {})):
            self.assertEqual(self.configured(thinkingConfig=thinking, model=name).status, 200)


class Faults(GeminiTest):
    def test_each_status_has_the_body_its_provider_sends(self) -> None:
        for status, name in {
            400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
            504: "DEADLINE_EXCEEDED",
        }.items():  # fmt: skip
            answer = self.chat("gemini", f"status={status}")
            self.assertEqual((answer.status, answer.json()["error"]["status"]), (status, name))
        self.assertIn(b"That\xe2\x80\x99s an error", self.chat("gemini", "status=502").body)

    def test_faults_with_a_meaning_use_the_words_of_the_provider(self) -> None:
        quota = self.chat("gemini", "quota").json()["error"]["details"][0]
        self.assertIn("PerDay", quota["violations"][0]["quotaId"])
        busy = self.chat("gemini", "status=429,retry_after=7").json()["error"]["details"]
        self.assertIn("PerMinute", busy[0]["violations"][0]["quotaId"])
        self.assertEqual(busy[1]["retryDelay"], "7s")
        message = self.chat("gemini", "context_length").json()["error"]["message"]
        self.assertIn("exceeds the maximum number of tokens allowed", message)
        answer = self.chat("gemini", "billing")
        self.assertEqual(answer.status, 402)

    def test_errors_can_be_wrapped_in_an_array(self) -> None:
        [only] = self.chat("gemini", "status=503,array_error").json()
        self.assertEqual(only["error"]["code"], 503)
        last = self.chat("gemini", "error_after=1,array_error", stream=True).events()[-1]
        self.assertEqual(last[0]["error"]["status"], "UNAVAILABLE")

    def test_a_stream_breaks_off_as_asked(self) -> None:
        for fault, ending in {"cut_after=2": "cut", "end_after=2": "complete"}.items():
            answer = self.chat("gemini", fault, stream=True)
            self.assertEqual((answer.ending, len(answer.events())), (ending, 2))
        self.assertRaises(ValueError, self.chat("gemini", "malformed_after=2", stream=True).events)
        self.assertIn("error", self.chat("gemini", "error_first").json())

    def test_a_directive_may_name_the_model_of_the_path(self) -> None:
        self.assertEqual(self.ask(f"[[model={NEW}:status=418]]").status, 418)
        self.assertEqual(self.ask(f"[[model={OLD}:status=418]]").status, 200)


if __name__ == "__main__":
    unittest.main()
