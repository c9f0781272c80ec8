"""Tests of the fake providers themselves: how they speak HTTP, and each fault once.

Run with `python3 -m unittest discover -s examples/fakes`. What each dialect says and refuses is
in `test_dialects.py`.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from fakes.faults import Faults
from fakes.server import DIALECTS
from raw_client import KEYS, PATHS, Client, Response, chat, control

HERE = Path(__file__).parent
WHOLE = "Hello from openai (gpt-4o). You said: hi"


@functools.cache
def start(*options: str) -> dict[str, int]:
    """Starts a fake provider of each dialect, once per set of options, and tells their ports."""
    command = [sys.executable, str(HERE / "fake_provider.py"), *options]
    for dialect in DIALECTS:
        command += [f"--{dialect}", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(process.wait)
    atexit.register(process.terminate)
    assert process.stdout is not None
    ready = [process.stdout.readline().split() for _ in DIALECTS]
    return {line[0]: int(line[-1].rpartition(":")[2]) for line in ready}


class FakeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.ports = start()
        control(self.ports["openai"], "POST", "/fake/reset?port=*")

    def chat(
        self, dialect: str = "openai", directive: str = "", *, timeout: float = 5, **more: Any
    ) -> Response:
        text = f"hi [[{dialect}:{directive}]]" if directive else "hi"
        return chat(dialect, self.ports[dialect], text, timeout=timeout, **more)

    def set(self, fault: str | None, dialect: str = "openai", **more: object) -> None:
        answer = control(self.ports[dialect], "POST", "/fake/set", {"fault": fault, **more})
        self.assertNotIn("error", answer)

    def state(self, dialect: str = "openai") -> dict[str, int]:
        return dict(control(self.ports[dialect], "GET", "/fake/state"))


def text_of(response: Response) -> str:
    """The text of an OpenAI stream."""
    chunks = [event for event in response.events() if event != "[DONE]" and event["choices"]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def body(**more: object) -> bytes:
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **more}
    return json.dumps(request).encode()


class Http(FakeTest):
    def test_a_connection_carries_many_requests(self) -> None:
        with Client(self.ports["openai"]) as client:
            for _ in range(3):
                answer = client.ask("POST", PATHS["openai"], KEYS["openai"], body(stream=True))
                self.assertEqual(text_of(answer), WHOLE)
        self.assertEqual(self.state()["requests"], 3)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        with Client(self.ports["openai"]) as client:
            for model in ("one", "two", "three"):
                payload = body(model=model)
                head = f"POST {PATHS['openai']} HTTP/1.1\r\nauthorization: Bearer k\r\n"
                client.send(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
            models = [client.receive().json()["model"] for _ in range(3)]
        self.assertEqual(models, ["one", "two", "three"])

    def test_chunked_request_bodies_are_read(self) -> None:
        payload = body()
        with Client(self.ports["openai"]) as client:
            head = f"POST {PATHS['openai']} HTTP/1.1\r\nauthorization: Bearer k\r\n"
            client.send(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            for start in range(0, len(payload), 10):
                piece = payload[start : start + 10]
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.send(b"0\r\nx-trailer: 1\r\n\r\n")
            self.assertEqual(client.receive().status, 200)
        last = control(self.ports["openai"], "GET", "/fake/last")
        self.assertEqual(last["body"].encode(), payload)

    def test_a_client_that_expects_100_continue_gets_it(self) -> None:
        payload = body()
        with Client(self.ports["openai"]) as client:
            head = f"POST {PATHS['openai']} HTTP/1.1\r\nauthorization: Bearer k\r\n"
            expect = f"expect: 100-continue\r\ncontent-length: {len(payload)}\r\n\r\n"
            client.send((head + expect).encode())
            self.assertEqual(client.receive().status, 100)
            client.send(payload)
            self.assertEqual(client.receive().status, 200)

    def test_two_hundred_connections_send_large_bodies_at_once(self) -> None:
        large = body(messages=[{"role": "user", "content": "x" * (2 << 20)}], max_tokens=5)
        statuses: list[int] = []

        def one() -> None:
            with Client(self.ports["openai"], timeout=60) as client:
                ready.wait()
                answer = client.ask("POST", PATHS["openai"], KEYS["openai"], large)
                statuses.append(answer.status)

        ready = threading.Barrier(200)
        threads = [threading.Thread(target=one) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 200)

    def test_a_body_over_the_limit_is_refused(self) -> None:
        with Client(self.ports["openai"]) as client:
            client.send(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 67108865\r\n\r\n")
            self.assertEqual(client.receive().status, 413)

    def test_a_request_to_close_is_obeyed(self) -> None:
        with Client(self.ports["openai"]) as client:
            closing = KEYS["openai"] | {"connection": "close"}
            answer = client.ask("POST", PATHS["openai"], closing, body())
            self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
            self.assertEqual(client.receive().ending, "cut")

    def test_bytes_that_are_not_http_are_refused(self) -> None:
        with Client(self.ports["openai"]) as client:
            client.send(b"\x16\x03\x01 nonsense\r\n")
            self.assertEqual(client.receive().status, 400)
        with Client(self.ports["openai"]) as client:
            client.send(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n")
            self.assertEqual(client.receive().status, 400)

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl to make a certificate")
    def test_tls_is_served_and_the_server_name_recorded(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=fake -keyout {key}"
            subprocess.run([*make.split(), "-out", cert], check=True, capture_output=True)
            port = start("--tls", cert, key)["openai"]
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with Client(port, tls=trusting) as client:
            answer = client.ask("POST", PATHS["openai"], KEYS["openai"], body())
            self.assertEqual(answer.status, 200)
            last = client.ask("GET", "/fake/last", {}, b"").json()
        self.assertEqual(last["sni"], "api.fake.test")


class Control(FakeTest):
    def test_the_last_request_is_shown_as_it_came(self) -> None:
        chat("anthropic", self.ports["anthropic"], headers={"X-Odd": "Yes"})
        last = control(self.ports["anthropic"], "GET", "/fake/last")
        self.assertEqual((last["method"], last["path"]), ("POST", "/v1/messages"))
        self.assertIn(["X-Odd", "Yes"], last["headers"])
        self.assertEqual(json.loads(last["body"])["max_tokens"], 4096)

    def test_earlier_requests_are_listed_oldest_first(self) -> None:
        for model in ("one", "two", "three"):
            self.chat(model=model)
        listed = control(self.ports["openai"], "GET", "/fake/requests?n=2")["requests"]
        self.assertEqual([json.loads(one["body"])["model"] for one in listed], ["two", "three"])

    def test_a_fault_holds_for_its_address_until_it_is_lifted(self) -> None:
        self.set("status=503")
        self.assertEqual(self.chat().status, 503)
        self.assertEqual(self.chat("anthropic").status, 200)
        self.set(None)
        self.assertEqual(self.chat().status, 200)

    def test_a_fault_can_hold_for_some_requests_only(self) -> None:
        self.set("status=500", times=2)
        self.assertEqual([self.chat().status for _ in range(3)], [500, 500, 200])

    def test_one_address_can_set_the_faults_of_another(self) -> None:
        other = self.ports["anthropic"]
        control(self.ports["openai"], "POST", f"/fake/set?port={other}", {"fault": "status=529"})
        self.assertEqual(self.chat("anthropic").status, 529)

    def test_an_unknown_fault_is_an_error(self) -> None:
        answer = control(self.ports["openai"], "POST", "/fake/set", {"fault": "statsu=503"})
        self.assertEqual(answer, {"error": "unknown fault 'statsu'"})
        self.assertEqual(self.chat(directive="statsu=503").status, 400)

    def test_a_directive_acts_only_within_its_scope(self) -> None:
        port = self.ports["openai"]
        scopes = {"*": 418, "openai": 418, str(port): 418, "model=gpt-4o": 418,
                  "anthropic": 200, "1": 200, "model=gpt-4": 200}  # fmt: skip
        for scope, status in scopes.items():
            with self.subTest(scope):
                answer = chat("openai", port, f"hi [[{scope}:status=418]]")
                self.assertEqual(answer.status, status)

    def test_directives_are_not_echoed(self) -> None:
        said = self.chat(directive="no_usage").json()["choices"][0]["message"]["content"]
        self.assertEqual(said, WHOLE)

    def test_requests_in_flight_and_aborted_ones_are_counted(self) -> None:
        with Client(self.ports["openai"], timeout=0.2) as client:
            slow = body(messages=[{"role": "user", "content": "[[*:slow=30]]"}])
            answer = client.ask("POST", PATHS["openai"], KEYS["openai"], slow)
            self.assertEqual(answer.ending, "silent")
            self.assertEqual(self.state()["in_flight"], 1)
        time.sleep(0.1)
        state = self.state()
        self.assertEqual((state["in_flight"], state["aborted"]), (0, 1))


class Documentation(unittest.TestCase):
    def test_every_fault_is_in_the_table(self) -> None:
        table = (HERE / "README.md").read_text()
        for fault in dataclasses.fields(Faults):
            self.assertRegex(table, rf"[|,] `{fault.name}[`=]")


class RefusedRequests(FakeTest):
    def test_each_status_has_the_body_its_provider_sends(self) -> None:
        expected = {
            ("openai", 400): ("invalid_request_error", None),
            ("openai", 401): ("invalid_request_error", "invalid_api_key"),
            ("openai", 404): ("invalid_request_error", "model_not_found"),
            ("openai", 408): ("timeout_error", None),
            ("openai", 429): ("requests", "rate_limit_exceeded"),
            ("openai", 500): ("server_error", None),
            ("anthropic", 400): ("invalid_request_error", None),
            ("anthropic", 401): ("authentication_error", None),
            ("anthropic", 402): ("billing_error", None),
            ("anthropic", 403): ("permission_error", None),
            ("anthropic", 404): ("not_found_error", None),
            ("anthropic", 413): ("request_too_large", None),
            ("anthropic", 429): ("rate_limit_error", None),
            ("anthropic", 500): ("api_error", None),
            ("anthropic", 504): ("timeout_error", None),
            ("anthropic", 529): ("overloaded_error", None),
        }
        for (dialect, status), (kind, code) in expected.items():
            with self.subTest(f"{dialect} {status}"):
                answer = self.chat(dialect, f"status={status}")
                error = answer.json()["error"]
                self.assertEqual(answer.status, status)
                self.assertEqual((error["type"], error.get("code")), (kind, code))

    def test_gateway_errors_are_pages_of_the_cdn(self) -> None:
        for dialect in ("openai", "anthropic"):
            for status in (502, 503):
                answer = self.chat(dialect, f"status={status}")
                self.assertEqual(answer.status, status)
                self.assertTrue(answer.headers["content-type"].startswith("text/html"))
                self.assertIn(b"cloudflare", answer.body)

    def test_faults_with_a_meaning_use_the_words_of_the_provider(self) -> None:
        expected = {
            "quota": (429, "insufficient_quota", 429, "spend limit"),
            "billing": (402, "billing_hard_limit_reached", 402, "billing issue"),
            "context_length": (400, "context_length_exceeded", 400, "prompt is too long"),
            "content_filter": (400, "content_policy_violation", 400, "content filtering policy"),
        }
        for fault, (status, code, anthropic_status, words) in expected.items():
            with self.subTest(fault):
                answer = self.chat("openai", fault)
                self.assertEqual((answer.status, answer.json()["error"]["code"]), (status, code))
                answer = self.chat("anthropic", fault)
                self.assertEqual(answer.status, anthropic_status)
                self.assertIn(words, answer.json()["error"]["message"])

    def test_retry_after_is_a_header(self) -> None:
        answer = self.chat(directive="status=429,retry_after=7")
        self.assertEqual(answer.headers["retry-after"], "7")
        self.assertEqual(answer.headers["retry-after-ms"], "7000")

    def test_an_error_body_can_be_huge(self) -> None:
        answer = self.chat("anthropic", "status=503,huge_error=300000")
        self.assertEqual(answer.status, 503)
        self.assertEqual(len(answer.json()["error"]["message"]), 300_000)


class BrokenConnections(FakeTest):
    def test_refuse_closes_without_an_answer_and_leaves_control_working(self) -> None:
        self.set("refuse")
        with socket.create_connection(("127.0.0.1", self.ports["openai"]), 5) as idle:
            self.assertEqual(idle.recv(1), b"")
        self.assertIn(self.chat().ending, ("cut", "reset"))
        self.set(None)
        self.assertEqual(self.chat(directive="refuse").ending, "cut")

    def test_reset_is_a_tcp_reset(self) -> None:
        self.assertEqual(self.chat(directive="reset").ending, "reset")
        self.set("reset")
        self.assertEqual(self.chat().ending, "reset")

    def test_silent_never_answers(self) -> None:
        answer = self.chat(directive="silent", timeout=0.2)
        self.assertEqual((answer.ending, answer.status), ("silent", 0))

    def test_silent_after_headers_sends_only_headers(self) -> None:
        for stream in (False, True):
            answer = self.chat(directive="silent_after_headers", timeout=0.2, stream=stream)
            self.assertEqual((answer.ending, answer.status, answer.body), ("silent", 200, b""))

    def test_slow_delays_the_headers(self) -> None:
        started = time.monotonic()
        self.assertEqual(self.chat(directive="slow=0.3").status, 200)
        self.assertGreater(time.monotonic() - started, 0.29)

    def test_slow_chunks_delays_each_event(self) -> None:
        started = time.monotonic()
        answer = self.chat(directive="slow_chunks=0.05", stream=True)
        pauses = len(answer.events()) - 1
        self.assertGreater(time.monotonic() - started, 0.05 * pauses)

    def test_a_lie_about_the_length_ends_the_connection(self) -> None:
        self.assertEqual(self.chat(directive="content_length_lie").ending, "cut")
        self.assertEqual(self.chat(directive="content_length_lie", stream=True).ending, "cut")
        short = self.chat(directive="content_length_lie=-10")
        self.assertEqual(short.ending, "complete")
        self.assertRaises(ValueError, short.json)


class BrokenStreams(FakeTest):
    def content(self, response: Response) -> int:
        """How many content chunks arrived."""
        lines = response.body.split(b"\n")
        marks = (b'"content":"', b"content_block_delta")
        empty = b'"content":""'
        data = [line for line in lines if line.startswith(b"data: ") and empty not in line]
        return sum(any(mark in line for mark in marks) for line in data)

    def test_a_stream_can_end_after_any_chunk_in_three_ways(self) -> None:
        endings = {"stall_after": "silent", "cut_after": "cut", "end_after": "complete"}
        for dialect in ("openai", "anthropic"):
            for fault, ending in endings.items():
                for count in (0, 2):
                    with self.subTest(f"{dialect} {fault}={count}"):
                        answer = self.chat(dialect, f"{fault}={count}", timeout=0.2, stream=True)
                        self.assertEqual(answer.ending, ending)
                        self.assertEqual(self.content(answer), count)
                        self.assertNotIn(b"[DONE]", answer.body)
                        self.assertNotIn(b"message_stop", answer.body)

    def test_a_body_can_stall_or_be_cut_half_way(self) -> None:
        for fault, ending in {"stall_after=1": "silent", "cut_after=1": "cut"}.items():
            answer = self.chat(directive=fault, timeout=0.2)
            self.assertEqual((answer.ending, answer.status), (ending, 200))
            self.assertLess(len(answer.body), int(answer.headers["content-length"]))

    def test_an_error_can_come_first_or_later(self) -> None:
        for dialect in ("openai", "anthropic"):
            for fault, count in {"error_first": 0, "error_after=2": 2}.items():
                answer = self.chat(dialect, fault, stream=True)
                self.assertEqual((answer.status, answer.ending), (200, "complete"))
                self.assertEqual(self.content(answer), count)
                self.assertIn("error", answer.events()[-1])
        self.assertEqual(len(self.chat(directive="error_first", stream=True).events()), 1)
        self.assertIn("error", self.chat(directive="error_first").json())

    def test_malformed_is_json_that_does_not_parse(self) -> None:
        for fault in ("malformed", "malformed_after=2"):
            with self.assertRaises(ValueError):
                self.chat(directive=fault).json()
            with self.assertRaises(ValueError):
                self.chat(directive=fault, stream=True).events()


class NoAnswers(FakeTest):
    def test_a_200_can_be_something_else(self) -> None:
        for stream in (False, True):
            page = self.chat(directive="html200", stream=stream)
            self.assertTrue(page.headers["content-type"].startswith("text/html"))
            self.assertEqual(self.chat(directive="empty200", stream=stream).body, b"")
            other = self.chat(directive="wrong_shape", stream=stream)
            self.assertEqual((other.status, other.json()["ok"]), (200, True))


class UnusualWrappings(FakeTest):
    def test_gzip_is_sent_whether_or_not_it_was_asked_for(self) -> None:
        for stream in (False, True):
            answer = self.chat(directive="gzip", stream=stream)
            self.assertEqual(answer.headers["content-encoding"], "gzip")
            answer.body = gzip.decompress(answer.body)
            self.assertIn(b'"stop"', answer.body)

    def test_honour_gzip_is_sent_only_when_it_was_asked_for(self) -> None:
        self.assertNotIn("content-encoding", self.chat(directive="honour_gzip").headers)
        self.set("honour_gzip")
        asked = {"accept-encoding": "br, gzip"}
        answer = chat("openai", self.ports["openai"], headers=asked)
        self.assertEqual(answer.headers["content-encoding"], "gzip")

    def test_trailers_follow_the_body(self) -> None:
        for stream in (False, True):
            answer = self.chat(directive="trailers", stream=stream)
            self.assertEqual(answer.trailers["x-fake-trailer"], "after-the-body")

    def test_bytewise_sends_one_byte_at_a_time(self) -> None:
        answer = self.chat(directive="bytewise", stream=True)
        self.assertEqual(text_of(answer), WHOLE)
        self.assertEqual({len(chunk) for chunk in answer.chunks}, {1})

    def test_lines_can_end_in_other_ways(self) -> None:
        for fault, eol in {"crlf": b"\r\n", "cr": b"\r"}.items():
            answer = self.chat(directive=fault, stream=True)
            self.assertTrue(answer.body.endswith(b"data: [DONE]" + eol + eol))
            answer.body = answer.body.replace(eol, b"\n")
            self.assertEqual(text_of(answer), WHOLE)

    def test_comments_stand_between_events(self) -> None:
        answer = self.chat(directive="comments", stream=True)
        self.assertEqual(answer.body.count(b": keep-alive\n\n"), len(answer.events()))

    def test_bom_opens_the_stream(self) -> None:
        answer = self.chat(directive="bom", stream=True)
        self.assertTrue(answer.body.startswith(b"\xef\xbb\xbfdata: "))

    def test_multiline_splits_an_event_over_data_lines(self) -> None:
        answer = self.chat("anthropic", "multiline", stream=True)
        first = answer.body.decode().split("\n\n")[0].split("\n")[1:]
        self.assertGreater(len(first), 5)
        joined = "\n".join(line.removeprefix("data: ") for line in first)
        self.assertEqual(json.loads(joined)["type"], "message_start")

    def test_header_values_can_be_bytes_that_are_not_utf8(self) -> None:
        value = self.chat(directive="header_non_utf8").headers["x-fake-bytes"]
        self.assertRaises(UnicodeDecodeError, value.encode("latin-1").decode)

    def test_there_can_be_many_headers(self) -> None:
        headers = self.chat(directive="many_headers=150").headers
        self.assertEqual(headers["x-fake-149"], "value-149")


class UnusualAnswers(FakeTest):
    def test_big_is_an_answer_of_that_many_bytes(self) -> None:
        answer = self.chat(directive="big=100000")
        self.assertEqual(len(answer.json()["choices"][0]["message"]["content"]), 100_000)
        self.assertEqual(len(text_of(self.chat(directive="big=100000", stream=True))), 100_000)

    def test_chunks_is_the_number_of_content_chunks(self) -> None:
        for count in (1, 7, 300):
            answer = self.chat(directive=f"chunks={count}", stream=True)
            self.assertEqual(len(answer.events()), count + 3)

    def test_huge_event_is_one_event_of_at_least_that_size(self) -> None:
        answer = self.chat("anthropic", "huge_event=200000", stream=True)
        sizes = [len(json.dumps(event)) for event in answer.events()]
        self.assertEqual(sum(size > 200_000 for size in sizes), 1)

    def test_no_usage_leaves_the_usage_out(self) -> None:
        self.assertNotIn("usage", self.chat(directive="no_usage").json())
        self.assertNotIn("usage", self.chat("anthropic", "no_usage").json())
        options = {"include_usage": True}
        answer = self.chat(directive="no_usage", stream=True, stream_options=options)
        self.assertTrue(all(event == "[DONE]" or event["choices"] for event in answer.events()))
        self.assertNotIn(b"usage", self.chat("anthropic", "no_usage", stream=True).body)

    def test_non_utf8_puts_invalid_bytes_into_the_text(self) -> None:
        for stream in (False, True):
            answer = self.chat(directive="non_utf8", stream=stream)
            self.assertRaises(UnicodeDecodeError, answer.body.decode)
            self.assertIn(b"\xff\xfe", answer.body)

    def test_refusal_is_the_model_declining(self) -> None:
        answer = self.chat(directive="refusal").json()
        self.assertEqual(answer["choices"][0]["finish_reason"], "content_filter")
        answer = self.chat("anthropic", "refusal").json()
        self.assertEqual(answer["stop_reason"], "refusal")
        self.assertEqual(answer["stop_details"]["type"], "refusal")


if __name__ == "__main__":
    unittest.main()
