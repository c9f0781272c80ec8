"""Fixtures, and what every test here must leave behind: nothing in flight, and a module that lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gateway as gateways
import pytest
from gateway import Stage, stage


LONG = [
    "test_trap_accounts.py",
    "test_reload_accounts.py",
    "test_probe.py",
    "test_breaker.py",
    "test_metrics.py",
    "test_configurations.py",
    "test_budgets.py",
    "test_alerts.py",
]
"""Files that take long although they have few tests, longest first."""

sessions: list[gateways.Gateway] = []
"""Gateways that more than one test uses."""


@pytest.fixture(scope="session")
def reference() -> Iterator[Stage]:
    """The reference configuration. Tests get it through `default`, which cleans it up."""
    with stage() as made:
        sessions.append(made.gateway)
        yield made


@pytest.fixture
def default(reference: Stage) -> Stage:
    """The reference configuration with faultless providers that have seen nothing."""
    reference.fakes.reset()
    return reference


@pytest.fixture
def start() -> Iterator[Callable[..., Stage]]:
    """Starts a stage for one test; arguments as for `gateway.stage`."""
    with ExitStack() as stack:
        yield lambda *arguments, **named: stack.enter_context(stage(*arguments, **named))


@pytest.fixture(autouse=True)
def unharmed() -> Iterator[None]:
    """After each test no module has trapped and no Envoy has ended. Before it no breaker is open."""
    for gateway in gateways.running:
        gateway.forgive()
    yield
    for gateway in gateways.running:
        if not gateway.expects_trouble:
            gateways.past_trouble.extend(gateway.trouble())
    trouble, gateways.past_trouble[:] = list(gateways.past_trouble), []
    assert trouble == []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files run side by side, those that take long begin first, so that no core is left without work at the end. xdist
    itself goes by the number of tests alone, if it is not told `--no-loadscope-reorder`."""
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        places = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: (places.get(item.path.name, len(LONG)), -tests[item.path], item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Shows with a failure what Envoy logged and what the providers were asked."""
    report = yield
    if report.failed:
        values = {id(value): value for value in getattr(item, "funcargs", {}).values()}
        stages = [one for one in values.values() if isinstance(one, Stage) and one.gateway in gateways.running]
        for one in stages:
            report.sections += [("Envoy", one.gateway.tail()), ("fake providers", asked(one))]
        # Those that the test started itself.
        for gateway in gateways.running:
            if stages == [] and gateway not in sessions:
                report.sections.append(("Envoy", gateway.tail()))
    return report


def asked(stage: Stage) -> str:
    """The last requests of each fake provider, bodies cut."""
    lines = []
    for port in stage.fakes.all:
        lines.append(f"{port}: {stage.fakes.state(port)}")
        for one in stage.fakes.requests(port, 3):
            one["body"] = one["body"][:600]
            lines.append(f"  {one}")
    return "\n".join(lines)
