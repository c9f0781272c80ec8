"""Tests of what the Vertex dialect does differently from the two it is made of."""

from __future__ import annotations

import json
import unittest
from typing import Any

from native_bodies import VERTEX_PATH
from raw_client import KEYS, Client, Response, chat
from test_fakes import FakeTest

GEMINI, CLAUDE = "gemini-3.5-flash", "claude-haiku-4-5@20251001"
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}


class VertexTest(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("vertex", self.ports["vertex"], text, **more)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Response:
        with Client(self.ports["vertex"]) as client:
            sent = KEYS["vertex"] if headers is None else headers
            return client.ask("POST", path, sent, json.dumps(body).encode())

    def claude(self, text: Any = "hi", **more: Any) -> Response:
        method = "streamRawPredict" if more.get("stream") else "rawPredict"
        model = more.pop("in_path", CLAUDE)
        body: dict[str, Any] = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 100}
        body |= {"messages": [{"role": "user", "content": text}], **more}
        body = {name: value for name, value in body.items() if value is not None}
        return self.post(f"{VERTEX_PATH}/anthropic/models/{model}:{method}", body)


class Google(VertexTest):
    def test_an_answer_says_who_answers(self) -> None:
        answer = self.ask().json()
        [part] = answer["candidates"][0]["content"]["parts"]
        self.assertEqual(part["text"], f"Hello from vertex ({GEMINI}). You said: hi")
        self.assertIn("createTime", answer)
        self.assertIn("X-Origin", self.ask().headers["vary"])
        chunks = self.ask(stream=True).events()
        self.assertEqual(chunks[-1]["usageMetadata"]["trafficType"], "ON_DEMAND")

    def test_both_versions_of_the_path_are_served(self) -> None:
        path = VERTEX_PATH.replace("/v1/", "/v1beta1/")
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        answer = self.post(f"{path}/google/models/{GEMINI}:generateContent", body)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.post(f"/v1beta/models/{GEMINI}:generateContent", body).status, 404)

    def test_calls_have_no_ids_here(self) -> None:
        tools = [{"functionDeclarations": [{"name": "f"}]}]
        answer = self.ask("weather", tools=tools).json()
        [part] = answer["candidates"][0]["content"]["parts"]
        self.assertEqual(part["functionCall"], {"name": "f", "args": {}})
        self.assertIn("thoughtSignature", part)

    def test_a_token_is_needed(self) -> None:
        body: dict[str, Any] = {}
        path = f"{VERTEX_PATH}/google/models/{GEMINI}:generateContent"
        for headers, reason in (
            ({"x-goog-api-key": "AIza"}, "CREDENTIALS_MISSING"),
            ({"authorization": "Bearer invalid"}, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
            ({"authorization": "Bearer expired"}, "ACCESS_TOKEN_EXPIRED"),
        ):
            answer = self.post(path, body, headers)
            error = answer.json()["error"]
            self.assertEqual((answer.status, error["status"]), (401, "UNAUTHENTICATED"))
            self.assertEqual(error["details"][0]["reason"], reason)

    def test_each_front_knows_its_own_fields(self) -> None:
        self.assertEqual(self.ask(labels={"team": "a"}).status, 200)
        closed = {"type": "OBJECT", "additionalProperties": False}
        tools = [{"functionDeclarations": [{"name": "f", "parameters": closed}]}]
        self.assertEqual(self.ask(tools=tools).status, 200)
        message = chat("gemini", self.ports["gemini"], tools=tools).json()["error"]["message"]
        self.assertIn('Unknown name "additionalProperties" at', message)
        error = self.ask(store=True).json()["error"]
        self.assertIn('Unknown name "store"', error["message"])
        answer = chat("gemini", self.ports["gemini"], labels={"team": "a"})
        self.assertIn('Unknown name "labels"', answer.json()["error"]["message"])

    def test_refusals_are_in_the_words_of_vertex(self) -> None:
        for more, words in (
            ({"generationConfig": {"topP": 2}}, "it has a topP value of 2.0 but the supported"),
            ({"contents": []}, "at least one contents field is required"),
            ({"contents": [{"parts": [{"text": "a"}]}]}, "valid role: user, model"),
            ({"tools": [{"functionDeclarations": []}] * 2}, "Multiple tools are supported only"),
        ):
            answer = self.ask(**more)
            self.assertEqual(answer.status, 400)
            self.assertIn(words, answer.json()["error"]["message"])
        missing = self.ask(model="no-such-model").json()["error"]
        place = "projects/p-1/locations/europe-west4/publishers/google/models/no-such-model"
        self.assertIn(f"Publisher Model `{place}` was not found", missing["message"])

    def test_the_older_method_embeds_as_well(self) -> None:
        path = f"{VERTEX_PATH}/google/models/text-embedding-005:predict"
        parameters = {"outputDimensionality": 4}
        asked = {"instances": [{"content": "a"}, {"content": "b"}], "parameters": parameters}
        found = self.post(path, asked).json()["predictions"]
        self.assertEqual([len(one["embeddings"]["values"]) for one in found], [4, 4])
        self.assertEqual(found[0]["embeddings"]["statistics"]["token_count"], 1)
        path = f"{VERTEX_PATH}/google/models/gemini-embedding-001:predict"
        message = self.post(path, asked).json()["error"]["message"]
        self.assertEqual(message, "1 instance(s) is allowed per prediction. Actual: 2")
        path = f"{VERTEX_PATH}/google/models/gemini-embedding-2:predict"
        error = self.post(path, asked).json()["error"]
        self.assertEqual((error["code"], error["status"]), (400, "FAILED_PRECONDITION"))
        path = f"{VERTEX_PATH}/google/models/gemini-embedding-2:embedContent"
        asked = {"content": {"parts": [{"text": "hello"}]},
                 "embedContentConfig": {"outputDimensionality": 4}}  # fmt: skip
        answer = self.post(path, asked).json()
        self.assertEqual(len(answer["embedding"]["values"]), 4)
        self.assertEqual(answer["usageMetadata"]["promptTokenCount"], 2)


class Claude(VertexTest):
    def test_the_model_is_in_the_path_and_the_version_in_the_body(self) -> None:
        answer = self.claude().json()
        said = "Hello from vertex (claude-haiku-4-5-20251001). You said: hi"
        self.assertEqual(answer["content"], [{"type": "text", "text": said}])
        for more, message in (
            ({"model": "claude"}, "model: Extra inputs are not permitted"),
            ({"anthropic_version": None}, "anthropic_version: Field required"),
            ({"max_tokens": None}, "max_tokens: Field required"),
            ({"top_k": 1, "anthropic_version": "2026-10-21"},
             "top_k: Extra inputs are not permitted"),
        ):  # fmt: skip
            answer = self.claude(**more)
            self.assertEqual((answer.status, answer.json()["error"]["message"]), (400, message))

    def test_it_streams_as_anthropic_does(self) -> None:
        kinds = [event["type"] for event in self.claude(stream=True).events()]
        self.assertEqual((kinds[0], kinds[-1]), ("message_start", "message_stop"))
        last = self.claude("hi [[vertex:error_after=1]]", stream=True).events()[-1]
        self.assertEqual(last["error"]["type"], "overloaded_error")

    def test_images_come_with_the_request(self) -> None:
        for kind in ("image", "document"):
            answer = self.claude([{"type": "text", "text": "see"}, IMAGE | {"type": kind}])
            place = "messages.0.content.1.image.source.base64.data"
            message = answer.json()["error"]["message"]
            self.assertEqual(message, f"{place}: URL sources are not supported")

    def test_some_errors_are_the_models_and_some_googles(self) -> None:
        for fault, status, kind in (
            ("status=400", 400, "invalid_request_error"), ("status=529", 529, "overloaded_error"),
            ("status=429", 429, "RESOURCE_EXHAUSTED"), ("status=403", 403, "PERMISSION_DENIED"),
            ("context_length", 400, "invalid_request_error"), ("quota", 429, "RESOURCE_EXHAUSTED"),
        ):  # fmt: skip
            with self.subTest(fault):
                answer = self.claude(f"hi [[vertex:{fault}]]")
                error = answer.json()["error"]
                self.assertEqual(answer.status, status)
                self.assertIn(kind, (error.get("type"), error.get("status")))
        error = self.claude(in_path="no-such-model").json()["error"]
        self.assertEqual(error["status"], "NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
