"""Streams: what flows, when, and how each of them ends."""

from __future__ import annotations

import json
import threading
import time

import pytest
from client import BUSY_SECONDS, Connection, Http2, request
from gateway import Cluster, configuration, stage

CHAT = "/v1/chat/completions"
BOTH = pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
IDLE_SECONDS = 1
SLOWLY = "chunks=6,slow_chunks=0.05"
"""Each piece is on its own: an error in the same bytes as the first content comes before it."""


@pytest.fixture(scope="module")
def quick():
    """One provider of each dialect, each alone, with a short time between two pieces of a stream."""

    def build(fakes):
        openai, anthropic = fakes.all
        gateway = {
            "timeouts": {"idle": f"{IDLE_SECONDS}s"},
            "limits": {"held": "1MiB", "body": "512KiB"},
            "providers": {
                "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}}},
                "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"claude-sonnet-4-5": {}}},
            },
        }  # fmt: skip
        clusters = [
            Cluster("openai", "openai", f"127.0.0.1:{openai}"),
            Cluster("claude", "claude", f"127.0.0.1:{anthropic}", "ANTHROPIC_API_KEY"),
        ]
        return configuration(gateway, clusters)

    with stage(build) as made:
        yield made


@pytest.fixture(autouse=True)
def faultless(quick):
    quick.fakes.reset()


def provider_of(made, model):
    return made.fakes.all[0 if model == "gpt-4o" else 1]


def is_told_an_error(answer):
    """The stream brought content, then an error in OpenAI's shape, and nothing that looks like an end."""
    events = answer.events()
    assert answer.status == 200
    assert set(events[-1]) == {"error"}, answer
    assert sorted(events[-1]["error"]) == ["code", "message", "param", "type"]
    chunks = events[:-1]
    assert "[DONE]" not in chunks
    assert all(choice["finish_reason"] is None for chunk in chunks for choice in chunk["choices"])
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    return True


# What flows


@BOTH
def test_content_arrives_while_the_provider_is_still_writing(quick, model):
    answer = quick.chat("[[*:chunks=10,slow_chunks=0.1]]", model, stream=True)
    assert answer.events()[-1] == "[DONE]"
    assert answer.first_content() < 0.7 * answer.took and answer.took > 0.9, answer.arrivals
    # And goes on piece by piece, not in two heaps.
    times = [at for at, _ in answer.arrivals]
    assert sum(later - earlier > 0.05 for earlier, later in zip(times, times[1:])) >= 7, times


@BOTH
@pytest.mark.parametrize("fault", ["bytewise", "crlf", "cr", "comments", "bom", "multiline", "trailers", "bytewise,crlf,comments,bom"])
def test_the_form_of_the_providers_stream_does_not_show(quick, model, fault):
    plain = quick.chat("hello there", model, stream=True)
    answer = quick.chat(f"hello there[[*:{fault}]]", model, stream=True)
    assert answer.ending == "complete" and answer.events()[-1] == "[DONE]", answer
    assert answer.text == plain.text and answer.text.endswith("You said: hello there")
    assert not answer.body.startswith(b"\xef\xbb\xbf") and b"\r" not in answer.body


@BOTH
def test_an_answer_that_comes_byte_by_byte_or_with_trailers_is_whole(quick, model):
    for fault in ("bytewise", "trailers", "bytewise,trailers"):
        answer = quick.chat(f"hi[[*:{fault}]]", model)
        assert answer.status == 200 and answer.text.endswith("You said: hi"), answer


@BOTH
def test_usage_comes_in_a_stream_when_it_is_asked_for_and_only_then(quick, model):
    asked = quick.chat("hi", model, stream=True, stream_options={"include_usage": True})
    told = [event for event in asked.events()[:-1] if event.get("usage")]
    assert len(told) == 1 and told[0]["choices"] == []
    assert asked.events()[-2]["usage"]["total_tokens"] > 0
    for options in (None, {"include_usage": False}):
        fields = {} if options is None else {"stream_options": options}
        silent = quick.chat("hi", model, stream=True, **fields)
        assert all(not event.get("usage") and event["choices"] for event in silent.events()[:-1])


@BOTH
def test_a_long_stream_is_whole(quick, model):
    answer = quick.chat("[[*:big=400000,chunks=2000]]", model, stream=True)
    assert len(answer.text) == 400_000 and answer.events()[-1] == "[DONE]"


@BOTH
def test_a_long_answer_is_whole(quick, model):
    answer = quick.chat("[[*:big=5000000]]", model)
    assert answer.status == 200 and len(answer.text) == 5_000_000


@BOTH
def test_a_tool_call_streams_in_pieces_that_join_to_json(quick, model):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}  # fmt: skip
    answer = quick.chat("explain the weather in two cities", model, stream=True, tools=[tool])
    calls: dict[int, dict[str, str]] = {}
    for event in answer.events()[:-1]:
        for piece in event["choices"][0]["delta"].get("tool_calls") or [] if event["choices"] else []:
            call = calls.setdefault(piece["index"], {"arguments": ""})
            function = piece.get("function") or {}
            call["arguments"] += function.get("arguments") or ""
            call |= {"name": function["name"]} if function.get("name") else {}
    assert sorted(calls) == [0, 1]
    assert all(call["name"] == "weather" and json.loads(call["arguments"]) for call in calls.values())


@BOTH
def test_many_streams_at_once_do_not_mix(quick, model):
    answers = {}

    def one(n):
        text = f"number {n} [[*:chunks=12,slow_chunks=0.02]]"
        answers[n] = quick.chat(text, model, stream=True)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, answer in answers.items():
        assert answer.events()[-1] == "[DONE]" and answer.text.rstrip(".").endswith(f"You said: number {n}"), answer
    assert len(answers) == 40


# How they end badly


@BOTH
@pytest.mark.parametrize("fault", ["error_after=2", "error_after=2,trailers", "malformed_after=2"])
def test_an_error_after_content_is_told_in_the_stream(quick, model, fault):
    answer = quick.chat(f"some more words[[*:{fault},{SLOWLY}]]", model, stream=True)
    assert is_told_an_error(answer)
    assert quick.fakes.idle(provider_of(quick, model))


@BOTH
def test_a_stream_that_the_provider_goes_on_with_after_its_error_is_ended(quick, model):
    text = "some more words[[*:malformed_after=1,chunks=40,slow_chunks=0.5]]"
    answer = quick.chat(text, model, stream=True)
    assert is_told_an_error(answer)
    assert answer.took < BUSY_SECONDS
    assert quick.fakes.idle(provider_of(quick, model))


@BOTH
def test_an_event_beyond_the_limit_is_told_in_the_stream(quick, model):
    answer = quick.chat("hi[[*:huge_event=9000000,slow_chunks=0.05]]", model, stream=True)
    assert is_told_an_error(answer)
    assert "8 MiB" in answer.events()[-1]["error"]["message"]


@BOTH
def test_a_large_event_within_the_limit_passes(quick, model):
    answer = quick.chat("hi[[*:huge_event=4000000]]", model, stream=True)
    assert answer.events()[-1] == "[DONE]" and len(answer.text) > 4_000_000


@BOTH
def test_an_end_with_trailers_without_the_terminal_event_is_seen_as_a_cut(quick, model):
    """Behind trailers no event can be added any more, and a clean end would pass for a whole answer."""
    answer = quick.chat(f"some more words[[*:end_after=2,trailers,{SLOWLY}]]", model, stream=True)
    assert answer.status == 200 and answer.ending in ("cut", "reset"), answer
    assert answer.text and b"[DONE]" not in answer.body
    assert quick.fakes.idle(provider_of(quick, model))


@BOTH
def test_an_end_without_the_terminal_event_is_an_error_in_the_stream(quick, model):
    answer = quick.chat(f"some more words[[*:end_after=2,{SLOWLY}]]", model, stream=True)
    assert answer.ending == "complete"
    assert is_told_an_error(answer)
    assert answer.events()[-1]["error"]["code"] == "stream_cut"


@BOTH
def test_a_connection_cut_after_content_is_seen_as_a_cut(quick, model):
    """Envoy aborts the body by itself; no filter can add an event then."""
    answer = quick.chat(f"some more words[[*:cut_after=2,{SLOWLY}]]", model, stream=True)
    assert answer.status == 200 and answer.ending in ("cut", "reset"), answer
    assert answer.text and b"[DONE]" not in answer.body
    line = quick.gateway.logged(answer["x-request-id"])
    assert line["details"].startswith("upstream_reset_after_response_started")


@BOTH
def test_silence_after_content_ends_the_stream_after_the_idle_time(quick, model):
    answer = quick.chat(f"some more words[[*:stall_after=2,{SLOWLY}]]", model, stream=True)
    assert answer.status == 200 and answer.ending != "silent", answer
    assert answer.text and b"[DONE]" not in answer.body and b'"finish_reason":"stop"' not in answer.body
    assert IDLE_SECONDS * 0.9 < answer.took < IDLE_SECONDS + BUSY_SECONDS, answer.took
    assert quick.fakes.idle(provider_of(quick, model))


@BOTH
def test_slow_pieces_are_no_silence(quick, model):
    answer = quick.chat("some words[[*:chunks=2,slow_chunks=0.6]]", model, stream=True)
    assert answer.ending == "complete" and answer.events()[-1] == "[DONE]", answer


@BOTH
def test_a_slow_start_is_no_silence(quick, model):
    """`idle` is between two pieces; the first has `first_token`."""
    answer = quick.chat("some words[[*:slow=2.2]]", model, stream=True)
    assert answer.ending == "complete" and answer.events()[-1] == "[DONE]", answer


# Clients that leave


@BOTH
def test_a_client_that_leaves_frees_the_provider(quick, model):
    port = provider_of(quick, model)
    with Connection(quick.port) as connection:
        body = request("[[*:chunks=100,slow_chunks=0.1]]", model, stream=True)
        connection.send_request("POST", CHAT, body)
        assert connection.receive(head=True).status == 200
        assert quick.fakes.state(port)["in_flight"] == 1
    assert quick.fakes.idle(port)
    assert quick.fakes.state(port)["aborted"] == 1


@BOTH
def test_a_client_that_leaves_before_the_answer_frees_the_provider(quick, model):
    port = provider_of(quick, model)
    for stream in (False, True):
        with Connection(quick.port) as connection:
            connection.send_request("POST", CHAT, request("[[*:silent]]", model, stream=stream))
            deadline = time.monotonic() + 12
            while not quick.fakes.state(port)["in_flight"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert quick.fakes.idle(port)


def test_clients_that_leave_take_nothing_with_them(quick):
    """Bodies of 9 MiB in all, with 1 MiB allowed at a time and worker: what is held is let go of."""
    for n in range(48):
        with Connection(quick.port) as connection:
            model = ("gpt-4o", "claude-sonnet-4-5")[n % 2]
            if n % 4 < 2:
                text = "x" * 200_000 + "[[*:chunks=50,slow_chunks=0.05]]"
                connection.send_request("POST", CHAT, request(text, model, stream=True, max_tokens=40))
                head = connection.receive(head=True)
                assert head.status == 200, (n, head, connection.receive())
            else:
                connection.send_request("POST", CHAT, request("x" * 200_000 + "[[*:silent]]", model))
                # Half of them leave before the body was even read.
                if n % 8 < 4:
                    time.sleep(0.01)
        # One at a time, or the limit would rightly be hit.
        deadline = time.monotonic() + 12
        while quick.gateway.stats("http.gateway.downstream_rq_active")["http.gateway.downstream_rq_active"]:
            assert time.monotonic() < deadline
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        assert quick.chat("x" * 200_000, model, max_tokens=10).status == 200
        assert quick.fakes.idle(provider_of(quick, model))


def test_more_bodies_than_may_be_held_are_refused_until_some_are_gone(quick):
    """1 MiB a worker, and two workers: of twelve bodies of 300 KB six at most may wait."""
    port = provider_of(quick, "gpt-4o")
    body = request("x" * 300_000 + "[[*:silent]]")
    connections = [Connection(quick.port, 0.5) for _ in range(12)]
    try:
        for connection in connections:
            connection.send_request("POST", CHAT, body)
        answers = [connection.receive() for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    refused = [answer for answer in answers if answer.ending == "complete"]
    assert {answer.ending for answer in answers} == {"complete", "silent"}
    assert 6 <= len(refused) < 12
    for answer in refused:
        assert (answer.status, answer.error["code"], answer["retry-after"]) == (503, "gateway_overloaded", "1")
        assert "limits.held" in answer.error["message"]
    assert quick.fakes.idle(port)
    for _ in range(4):
        assert quick.chat("x" * 300_000, max_tokens=10).status == 200


@BOTH
def test_a_client_that_reads_late_gets_all_of_a_long_stream(quick, model):
    with Connection(quick.port) as connection:
        body = request("[[*:big=6000000,chunks=1000]]", model, stream=True)
        connection.send_request("POST", CHAT, body)
        time.sleep(0.4)
        answer = connection.receive()
    assert answer.ending == "complete" and answer.events()[-1] == "[DONE]"
    assert len(answer.text) == 6_000_000


# HTTP/2


@pytest.fixture
def http2(quick):
    with Http2(quick.port) as connection:
        yield connection


@BOTH
def test_answers_streams_and_errors_over_http2(http2, model):
    whole = http2.ask("POST", CHAT, request("hi", model))
    assert whole.status == 200 and whole.text.endswith("You said: hi")
    streamed = http2.ask("POST", CHAT, request("hi", model, stream=True))
    assert streamed.text.endswith("You said: hi") and streamed.events()[-1] == "[DONE]"
    long = http2.ask("POST", CHAT, request("x" * 300_000, model, max_tokens=10))
    assert long.status == 200
    refused = http2.ask("POST", CHAT, b"{")
    assert refused.status == 400 and refused.error["type"] == "invalid_request_error"
    too_long = http2.ask("POST", CHAT, request("x" * 600_000, model))
    assert too_long.status == 413 and too_long.error["code"] == "request_too_large"
    assert http2.ask("GET", "/v1/models").status == 200


@BOTH
def test_a_cut_over_http2_is_a_reset_of_the_stream(http2, model):
    body = request(f"some more words[[*:cut_after=2,{SLOWLY}]]", model, stream=True)
    cut = http2.ask("POST", CHAT, body)
    assert cut.status == 200 and cut.ending == "reset" and cut.text, cut
    assert http2.ask("POST", CHAT, request("hi", model)).status == 200


@BOTH
def test_an_error_after_content_is_told_over_http2(http2, model):
    body = request(f"some more words[[*:error_after=2,{SLOWLY}]]", model, stream=True)
    assert is_told_an_error(http2.ask("POST", CHAT, body))


@BOTH
def test_a_client_that_leaves_over_http2_frees_the_provider(quick, http2, model):
    body = request("[[*:chunks=100,slow_chunks=0.1]]", model, stream=True)
    stream = http2.send_request("POST", CHAT, body)
    assert http2.receive(stream, head=True).status == 200
    http2.leave(stream)
    assert quick.fakes.idle(provider_of(quick, model))
    assert http2.ask("POST", CHAT, request("hi", model)).status == 200
