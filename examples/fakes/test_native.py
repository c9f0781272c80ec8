"""Each fault once for the dialects whose bodies are nothing like OpenAI's."""

from __future__ import annotations

import gzip
import json
import time
import unittest

from native_bodies import NATIVE
from raw_client import Response
from test_bedrock import frames
from test_fakes import FakeTest


def text_of(dialect: str, answer: Response) -> str:
    """The text of an answer, whole or streamed."""
    streams = answer.headers["content-type"].rpartition("/")[2] != "json"
    if dialect == "bedrock":
        if streams:
            deltas = [payload.get("delta", {}) for _, payload in frames(answer.body)]
            return "".join(delta.get("text", "") for delta in deltas)
        blocks = answer.json()["output"]["message"]["content"]
        return "".join(block.get("text", "") for block in blocks)
    whole = answer.events() if "event-stream" in answer.headers["content-type"] else [answer.json()]
    parts = [p for one in whole for p in one["candidates"][0].get("content", {}).get("parts", [])]
    return "".join(part.get("text", "") for part in parts)


class Native(FakeTest):
    def test_text_is_the_same_whole_and_streamed(self) -> None:
        for dialect in NATIVE:
            whole = text_of(dialect, self.chat(dialect))
            self.assertRegex(whole, rf"^Hello from {dialect} \(.+\)\. You said: hi$")
            self.assertEqual(text_of(dialect, self.chat(dialect, stream=True)), whole)

    def test_connections_break_as_asked(self) -> None:
        for dialect in NATIVE:
            for stream in (False, True):
                for fault, ending in {
                    "reset": "reset", "refuse": "cut", "silent": "silent",
                    "silent_after_headers": "silent", "stall_after=1": "silent",
                    "cut_after=1": "cut", "content_length_lie": "cut",
                }.items():  # fmt: skip
                    with self.subTest(f"{dialect} {fault} {stream}"):
                        answer = self.chat(dialect, fault, timeout=0.1, stream=stream)
                        self.assertEqual(answer.ending, ending)

    def test_answers_can_be_slow(self) -> None:
        for dialect in NATIVE:
            for fault in ("slow=0.2", "slow_chunks=0.04"):
                started = time.monotonic()
                self.assertEqual(self.chat(dialect, fault, stream=True).status, 200)
                self.assertGreater(time.monotonic() - started, 0.19)

    def test_a_200_can_be_something_else(self) -> None:
        for dialect in NATIVE:
            for stream in (False, True):
                page = self.chat(dialect, "html200", stream=stream)
                self.assertTrue(page.headers["content-type"].startswith("text/html"))
                self.assertEqual(self.chat(dialect, "empty200", stream=stream).body, b"")
                self.assertTrue(self.chat(dialect, "wrong_shape", stream=stream).json()["ok"])

    def test_wrappings_leave_the_answer_as_it_is(self) -> None:
        for dialect in NATIVE:
            whole = text_of(dialect, self.chat(dialect))
            for stream in (False, True):
                for fault in ("trailers", "bytewise", "many_headers=50", "header_non_utf8", "gzip"):
                    with self.subTest(f"{dialect} {fault} {stream}"):
                        answer = self.chat(dialect, fault, stream=stream)
                        if fault == "gzip":
                            answer.body = gzip.decompress(answer.body)
                        self.assertEqual(text_of(dialect, answer), whole)

    def test_line_faults_act_on_events_and_leave_frames_alone(self) -> None:
        for dialect in ("gemini", "vertex"):
            self.assertIn(b"\r\n\r\n", self.chat(dialect, stream=True).body)
            only_cr = self.chat(dialect, "cr", stream=True).body
            self.assertTrue(only_cr.endswith(b"\r\r") and b"\n" not in only_cr)
            comments = self.chat(dialect, "comments", stream=True).body
            self.assertTrue(comments.startswith(b": keep-alive\r\n\r\ndata: "))
            self.assertIn(b"\r\ndata:  ", self.chat(dialect, "multiline", stream=True).body)
        for fault in ("crlf", "cr", "comments", "multiline"):
            self.assertTrue(frames(self.chat("bedrock", fault, stream=True).body))

    def test_answers_can_be_unusual(self) -> None:
        for dialect in NATIVE:
            with self.subTest(dialect):
                self.assertEqual(len(text_of(dialect, self.chat(dialect, "big=100000"))), 100_000)
                answer = self.chat(dialect, "huge_event=200000", stream=True)
                self.assertGreater(len(text_of(dialect, answer)), 200_000)
                for stream in (False, True):
                    body = self.chat(dialect, "non_utf8", stream=stream).body
                    self.assertIn(b"\xff\xfe\xc3\x28", body)
                few, many = (len(self.chunks(dialect, count)) for count in (10, 60))
                self.assertEqual(many - few, 50)

    def chunks(self, dialect: str, count: int) -> list[object]:
        answer = self.chat(dialect, f"chunks={count}", stream=True)
        return list(frames(answer.body)) if dialect == "bedrock" else answer.events()

    def test_errors_can_be_huge_and_bodies_broken(self) -> None:
        for dialect in NATIVE:
            answer = self.chat(dialect, "status=503,huge_error=300000")
            self.assertEqual(answer.status, 503)
            self.assertGreater(len(answer.body), 300_000)
            for fault in ("malformed", "malformed_after=1"):
                with self.assertRaises(json.JSONDecodeError):
                    self.chat(dialect, fault).json()
            for fault in ("malformed", "malformed_after=1"):
                answer = self.chat(dialect, fault, stream=True)
                self.assertIn(b'{"content":"half a', answer.body)

    def test_streams_end_early_without_a_word(self) -> None:
        for dialect in NATIVE:
            for count in (0, 2):
                answer = self.chat(dialect, f"end_after={count}", stream=True)
                self.assertEqual((answer.status, answer.ending), (200, "complete"))
                self.assertEqual(len(text_of(dialect, answer)), 12 * count)

    def test_a_request_that_cannot_be_read_is_a_400(self) -> None:
        for dialect in NATIVE:
            bodies: tuple[object, ...] = (None, "text", 5, {"a": []})
            for body in bodies:
                answer = self.chat(dialect, messages=body, contents=body)
                self.assertEqual(answer.status, 400, dialect)
                self.assertNotIn(b"fake provider cannot read", answer.body)


if __name__ == "__main__":
    unittest.main()
