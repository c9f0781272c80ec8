"""A hundred requests at once while the first provider is dead, in each way it can be: none is lost."""

from __future__ import annotations

import collections
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import ask, request
from gateway import Cluster, closed_port, configuration, stage

pytestmark = pytest.mark.alone

REQUESTS = 100
SIZES = {"1KB": 1_000, "2MiB": 2 << 20}
DEATHS = {
    "refuse": "refuse", "reset": "reset", "503": "status=503", "429": "status=429,retry_after=1",
    "silent": "silent", "silent_after_headers": "silent_after_headers", "malformed": "malformed",
    "html200": "html200", "closed": None, "nowhere": None,
}  # fmt: skip
"""Ways to be dead, and the fault of the address for those that need one."""
CROWDS = [
    (death, steadiness, size)
    for death in DEATHS
    for steadiness, size in (("ejecting", "1KB"), ("steady", "1KB"), ("ejecting", "2MiB"))
]
"""What ejecting changes does not depend on the size."""
SECONDS = 20
"""How long a hundred requests may take, on two busy cores with the largest bodies."""


@pytest.fixture(scope="module")
def crowd():
    """A provider that is dead in each way, for each size, and with Envoy's outlier detection or without."""
    with closed_port() as closed:

        def build(fakes):
            ports = iter(fakes.ports["openai"])
            alive = fakes.ports["anthropic"][0]
            providers = {"alive": {"api": "anthropic", "endpoints": [{"cluster": "alive"}], "models": {"claude-sonnet-4-5": {}}}}
            clusters = [Cluster("alive", "alive", f"127.0.0.1:{alive}", "ANTHROPIC_API_KEY", outlier=True)]
            rules = []
            for death, fault in DEATHS.items():
                for outlier in (True, False):
                    name = f"{death}-{'ejecting' if outlier else 'steady'}"
                    if death == "closed":
                        address = f"127.0.0.1:{closed}"
                    elif death == "nowhere":
                        address = "nowhere.invalid:443"
                    else:
                        port = next(ports)
                        fakes.set(port, fault)
                        address = f"127.0.0.1:{port}"
                    providers[name] = {"api": "openai", "endpoints": [{"cluster": name}], "models": {"gpt-4o": {}}}
                    clusters.append(Cluster(name, name, address, outlier=outlier))
                    rules.append({"name": name, "when": {"model": name}, "targets": [f"{name}/gpt-4o", "alive/claude-sonnet-4-5"]})
                    if death.startswith("silent"):
                        rules[-1]["timeouts"] = {"first_token": "4s", "answer": "4s", "total": "60s"}
            return configuration({"providers": providers, "rules": rules}, clusters)  # fmt: skip

        with stage(build, openai=2 * (len(DEATHS) - 2)) as made:
            yield made


def crowd_of(made, body):
    """Sends the same request a hundred times at once, each on a connection of its own."""

    def one(_):
        return ask(made.port, "POST", "/v1/chat/completions", body, timeout=SECONDS)

    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(one, range(REQUESTS)))


def served_by_worker(made):
    """How many connections each worker has had."""
    stats = made.gateway.stats("listener.127.0.0.1")
    return {name: n for name, n in stats.items() if "worker_" in name and name.endswith("downstream_cx_total")}


@pytest.mark.parametrize(("death", "steadiness", "size"), CROWDS)
def test_none_of_a_hundred_requests_is_lost(crowd, death, steadiness, size):
    before = served_by_worker(crowd)
    stream = death == "silent_after_headers" or death == "malformed"
    body = request("x" * SIZES[size], f"{death}-{steadiness}", stream=stream, max_tokens=20)
    began = time.monotonic()
    answers = crowd_of(crowd, body)
    took = time.monotonic() - began
    lost = [answer for answer in answers if answer.status != 200 or answer.ending != "complete"]
    assert len(lost) == 0, (len(lost), collections.Counter(a.status for a in lost), lost[0])
    for answer in answers:
        assert answer.text.startswith("Hello from anthropic"), answer
        assert answer["x-waypost-provider"] == "alive"
        # Who says when to come back is not asked until then.
        assert answer["x-waypost-attempts"] == "2" or (death == "429" and answer["x-waypost-attempts"] == "1")
    assert took < SECONDS
    shares = [after - before[name] for name, after in served_by_worker(crowd).items()]
    assert len(shares) == 2 and min(shares) > 0, shares


def test_a_crowd_leaves_nothing_behind(crowd):
    answers = crowd_of(crowd, request("x" * 1000, "503-steady"))
    assert {answer.status for answer in answers} == {200}
    deadline = time.monotonic() + 12
    while any(crowd.gateway.stats("http.gateway.downstream_rq_active").values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for name, value in crowd.gateway.stats("cluster.").items():
        if name.endswith(("upstream_rq_active", "upstream_rq_pending_active")):
            assert value == 0, name
        if name.endswith(("upstream_rq_retry_overflow", "upstream_rq_pending_overflow", "upstream_cx_overflow")):
            assert value == 0, name


def test_a_hundred_dead_streams_do_not_hold_up_the_living(crowd):
    """While a hundred requests wait for a silent provider, another one is answered at once."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        body = request("x", "silent-steady")
        waiting = [pool.submit(ask, crowd.port, "POST", "/v1/chat/completions", body) for _ in range(REQUESTS)]
        time.sleep(0.3)
        began = time.monotonic()
        assert crowd.chat(model="claude-sonnet-4-5").status == 200
        assert time.monotonic() - began < 3.5
        assert {one.result().status for one in waiting} == {200}
