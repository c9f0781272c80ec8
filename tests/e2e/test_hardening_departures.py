"""Clients that leave, at every moment at which they can, again and again."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client import Connection, ask, request
from gateway import Fakes, Gateway, Stage, configuration
from http2 import Http2
from test_hardening_bodies import of_size, resident

CHAT = "/v1/chat/completions"
TIMES = 500
AT_ONCE = 16


@pytest.fixture(scope="module")
def narrow() -> Iterator[Stage]:
    """A gateway with room for a few bodies only: one that an abandoned request keeps would soon be
    missed by the next."""
    fakes = Fakes()
    marks = {name: f"127.0.0.1:{fakes.ports[name][0]}" for name in ("openai", "anthropic")}

    def change(config: dict[str, Any]) -> None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        plugin = manager["typed_config"]["http_filters"][0]["typed_config"]["config"]
        plugin["configuration"]["value"]["limits"] = {"body": 1 << 20, "held": 4 << 20}

    gateway = Gateway(configuration(change=change, **marks))
    yield Stage(gateway, fakes)
    gateway.stop()
    fakes.stop()


def gone(connection: Connection, abruptly: bool) -> None:
    """Closes, with a TCP reset if `abruptly`."""
    if abruptly:
        linger_for_nothing = struct.pack("ii", 1, 0)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
    connection.close()


def during_headers(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-half: ".encode())
        gone(connection, abruptly)


def during_upload(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n".encode())
        connection.send(of_size(100_000)[:60_000])
        gone(connection, abruptly)


def at_the_end_of_the_upload(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send_request("POST", CHAT, of_size(100_000))
        gone(connection, abruptly)


def before_the_answer(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send_request("POST", CHAT, of_size(100_000, "[[*:slow=5]]"))
        time.sleep(0.01)
        gone(connection, abruptly)


def before_the_first_token(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send_request("POST", CHAT, request("[[*:silent_after_headers]] hi", stream=True))
        time.sleep(0.01)
        gone(connection, abruptly)


def during_the_stream(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        text = "[[*:slow_chunks=0.05,chunks=200]] hi"
        connection.send_request("POST", CHAT, request(text, stream=True))
        assert connection.receive(head=True).status == 200
        gone(connection, abruptly)


def in_a_whole_answer(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        connection.send_request("POST", CHAT, request("[[*:big=300000]] hi"))
        assert connection.receive(head=True).status == 200
        gone(connection, abruptly)


def between_two_candidates(port: int, abruptly: bool) -> None:
    with Connection(port) as connection:
        text = "[[openai:status=503]] [[anthropic:slow=5]] hi"
        connection.send_request("POST", CHAT, of_size(100_000, text))
        time.sleep(0.01)
        gone(connection, abruptly)


def over_http2(port: int, abruptly: bool) -> None:
    """The streams go, and with `abruptly` the connection under them."""
    with Http2(port) as client:
        slow = client.start(request("[[*:slow=5]] hi"))
        half = client.start(of_size(50_000)[:30_000], end=False)
        stream = client.start(request("[[*:slow_chunks=0.05,chunks=200]] hi", stream=True))
        client.first_bytes(stream)
        if not abruptly:
            for number in (slow, half, stream):
                client.reset(number)
            assert client.ask(request("still there")).status == 200


MOMENTS = [
    during_headers, during_upload, at_the_end_of_the_upload, before_the_answer, before_the_first_token,
    during_the_stream, in_a_whole_answer, between_two_candidates, over_http2,
]  # fmt: skip


def settled(stage: Stage, seconds: float = 10) -> dict[str, int]:
    """What is still in flight anywhere, once that has stopped changing."""
    deadline = time.monotonic() + seconds
    while True:
        stats = stage.gateway.stats("")
        busy = {
            name: value
            for name, value in stats.items()
            if name.endswith(("upstream_rq_active", "upstream_rq_pending_active"))
            or name == "http.gateway.downstream_rq_active"
        }
        busy |= {f"fake {port}": stage.fakes.state(port)["in_flight"] for port in stage.fakes.all}
        busy = {name: value for name, value in busy.items() if value}
        if not busy or time.monotonic() > deadline:
            return busy
        time.sleep(0.05)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_that_leaves_takes_everything_with_it(narrow: Stage, moment: Callable[[int, bool], None]) -> None:
    narrow.fakes.reset()

    def leave(number: int) -> None:
        moment(narrow.port, number % 2 == 1)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(leave, range(64)))
        before = resident(narrow.gateway)
        list(pool.map(leave, range(TIMES - 64)))
    assert settled(narrow) == {}
    assert resident(narrow.gateway) - before < 32
    # Room for four of these in each worker: none of it is missing.
    for _ in range(16):
        response = ask(narrow.port, "POST", CHAT, of_size(1 << 20))
        assert response.status == 200, response
