"""Tests of the vectors, and of `POST /v1/embeddings` where its shape is OpenAI's."""

from __future__ import annotations

import base64
import json
import math
import struct
import unittest
from typing import Any

from fakes.embeddings import vector
from raw_client import KEYS, Client, Response
from test_fakes import FakeTest


class Vectors(unittest.TestCase):
    def test_they_have_length_one_and_depend_on_model_and_text_alone(self) -> None:
        one = vector("m", "text")
        self.assertAlmostEqual(math.hypot(*one), 1, places=5)
        self.assertEqual(one, vector("m", "text"))
        self.assertNotEqual(one, vector("m", "texts"))
        self.assertNotEqual(one, vector("n", "text"))

    def test_a_shorter_one_points_where_the_longer_one_starts(self) -> None:
        short, long = vector("m", "text", 4), vector("m", "text")[:4]
        scale = math.hypot(*long)
        for ours, theirs in zip(short, long, strict=True):
            self.assertAlmostEqual(ours, theirs / scale, places=5)


class OpenAI(FakeTest):
    def ask(self, **more: Any) -> Response:
        body = json.dumps({"model": "text-embedding-3-small", "input": "hi"} | more).encode()
        with Client(self.ports["openai"]) as client:
            return client.ask("POST", "/v1/embeddings", KEYS["openai"], body)

    def test_each_text_gets_its_vector(self) -> None:
        answer = self.ask(input=["one", "two"]).json()
        vectors = [item["embedding"] for item in answer["data"]]
        known = [list(vector("text-embedding-3-small", text)) for text in ("one", "two")]
        self.assertEqual(vectors, known)
        self.assertEqual([item["index"] for item in answer["data"]], [0, 1])
        self.assertEqual(answer["usage"], {"prompt_tokens": 2, "total_tokens": 2})
        self.assertEqual(len(vectors[0]), 1536)

    def test_base64_holds_the_same_numbers(self) -> None:
        packed = base64.b64decode(self.ask(encoding_format="base64").json()["data"][0]["embedding"])
        plain = self.ask().json()["data"][0]["embedding"]
        self.assertEqual(list(struct.unpack("<1536f", packed)), plain)

    def test_tokens_and_dimensions_are_taken(self) -> None:
        answer = self.ask(input=[[1, 2, 3], [4]], dimensions=8).json()
        self.assertEqual([len(item["embedding"]) for item in answer["data"]], [8, 8])
        self.assertEqual(answer["usage"]["prompt_tokens"], 4)
        self.assertEqual(len(self.ask(input=[1, 2, 3]).json()["data"]), 1)

    def test_what_cannot_be_embedded_is_refused(self) -> None:
        for more in ({"input": ""}, {"input": []}, {"input": ["a", ""]}, {"input": {}},
                     {"dimensions": 0}, {"encoding_format": "hex"}, {"store": True},
                     {"model": "text-embedding-ada-002", "dimensions": 8}):  # fmt: skip
            with self.subTest(more=more):
                answer = self.ask(**more)
                self.assertEqual(answer.status, 400)
                self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")

    def test_faults_act_on_vectors_too(self) -> None:
        self.assertEqual(self.ask(input="[[openai:status=429]]").status, 429)
        self.assertNotIn("usage", self.ask(input="[[openai:no_usage]]").json())
        self.assertIn("error", self.ask(input="[[openai:error_first]]").json())


if __name__ == "__main__":
    unittest.main()
