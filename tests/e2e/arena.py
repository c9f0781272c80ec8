"""A gateway with two workers before stand-ins, and crowds that go through it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from client import BUSY_SECONDS
from crowd import Crowd, Heard, chat, summary
from gateway import Cluster, Gateway, Stage, configuration
from standin import Loop, Standin

RATE = 200
"""Requests a second of a crowd, in all."""

MODEL = "gpt-4o"


@dataclass
class Place:
    """A provider of the arena, all of whose endpoints are stand-ins."""

    name: str
    latency: float = 0.02
    """Seconds before an answer begins."""
    endpoints: list[str] = field(default_factory=list)
    """Its clusters; without any, one of its own name."""
    region: str | None = None
    cluster: dict[str, Any] = field(default_factory=dict)
    """Fields of its clusters that stand in the place of the reference configuration's."""
    outlier: bool = False
    """Whether Envoy puts an address out that refuses, as the reference configuration does."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More of its entry in the gateway's configuration."""

    def clusters(self) -> list[str]:
        return self.endpoints or [self.name]

    def entry(self) -> dict[str, Any]:
        place = {"region": self.region} if self.region else {}
        endpoints = [{"cluster": name} | place for name in self.clusters()]
        return {"api": "openai", "endpoints": endpoints, "models": {MODEL: {}}} | self.settings


class Arena:
    """It is up until it is closed. Each test has providers of its own: what the gateway knows of one, no other test taught it."""

    def __init__(self, places: list[Place], rules: list[dict[str, Any]], **gateway: Any) -> None:
        self.loop = Loop()
        self.standins: dict[str, Standin] = {}
        clusters = []
        for place in places:
            for name in place.clusters():
                made = self.standins[name] = Standin(self.loop, name, place.latency)
                clusters.append(Cluster(name, place.name, made.address, outlier=place.outlier, more=place.cluster))
        entries = {place.name: place.entry() for place in places}
        self.config = configuration({"providers": entries, "rules": rules, "health": {}} | gateway, clusters)
        self.gateway: Gateway
        self._had: list[int] = []

    def __enter__(self) -> Arena:
        self.gateway = Gateway(self.config)
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.stop()
        for one in self.standins.values():
            one.stop()
        self.loop.stop()

    def __getitem__(self, name: str) -> Standin:
        return self.standins[name]

    @contextlib.contextmanager
    def crowd(self, make: str | Callable[[int], Any], per_second: float = RATE, seconds: float = 60) -> Iterator[Crowd]:
        """A crowd until the end of the block, or for so many seconds; by the name of a model, or by request.

        When the block fails, what the crowd heard so far is told.
        """
        make = chat(make) if isinstance(make, str) else make
        self._had = self.workers()
        crowd = Crowd(self.loop, self.gateway.port, per_second, make, seconds, self._worker)
        try:
            yield crowd
        except BaseException as problem:
            problem.add_note(f"{summary(crowd.heard)}\n{self.told(crowd)}")
            raise
        finally:
            crowd.stop()

    def all(self, make: str | Callable[[int], Any], count: int, per_second: float = RATE) -> list[Heard]:
        """The records of so many requests."""
        with self.crowd(make, per_second, count / per_second) as crowd:
            return crowd.wait()

    def told(self, crowd: Crowd) -> str:
        """What the stand-ins saw, in tenths of a second, of those that saw anything since the crowd came."""
        if not crowd.heard:
            return "no request"
        start, end = crowd.heard[0].due, crowd.heard[-1].due + 1
        lines = [f"{name}: {one.histogram(start, end)}" for name, one in self.standins.items() if one.between(start)]
        return "\n".join(lines)

    def workers(self) -> list[int]:
        """How many connections of clients each worker has had."""
        stats = self.gateway.stats("listener.127.0.0.1")
        return [n for name, n in sorted(stats.items()) if "worker_" in name and name.endswith("downstream_cx_total")]

    def _worker(self) -> int | None:
        """Which worker has had one more connection than at the last look."""
        for _ in range(100):
            before, self._had = self._had, self.workers()
            for number, (was, now) in enumerate(zip(before, self._had)):
                if now > was:
                    return number
            time.sleep(0.005)
        return None

    def ask(self, text: str, model: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """One request on a connection of its own."""
        return Stage(self.gateway, None).chat(text, model, headers=headers, **fields)  # type: ignore[arg-type]


def until(holds: Callable[[], Any], seconds: float) -> float:
    """Waits until something holds; tells how long it took. It gets more time than it should need, as the machine may be busy."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds + BUSY_SECONDS, f"not within {seconds} + {BUSY_SECONDS} s"
        time.sleep(0.02)
    return time.monotonic() - began


def by_worker(heard: list[Heard]) -> list[list[Heard]]:
    """Those of the first worker, and those of the second."""
    return [[one for one in heard if one.worker == worker] for worker in (0, 1)]


def lost(heard: list[Heard]) -> list[Heard]:
    """Those that were not served whole."""
    return [one for one in heard if not one.served]


def moved(heard: list[Heard]) -> list[Heard]:
    """Those that were answered by another than whom they asked first, or not at all."""
    return [one for one in heard if one.attempts != 1]


def assert_served(heard: list[Heard]) -> None:
    """Every one of them was served whole."""
    failed = lost(heard)
    assert not failed, f"{len(failed)} lost\n{summary(failed)}\n{failed[0]}"
