"""Alerts leave the gateway: an hour that costs far more than hours usually do, and a webhook behind TLS. Before an Envoy with two workers.

What is usual comes as it would after a restart: from the audit log of an Envoy that is no more, through `waypost usage --snapshot`.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest
import trustme
from arena import until
from client import Response, ask
from gateway import KEYS, ROOT, Cluster, Fakes, Gateway, Stage, configuration
from test_limits import workers
from test_prices import hash_of

PUSH_KEY = "wp-restore-what-was-spent"
NAME = "hooks.example.com"
PATH = "/services/T000/B000-secret-of-the-path"
TOKEN = "secret-of-the-webhook-98765"
NANO = 10**9
SOON = 8

PRICE = {"input_usd_per_mtok": 0, "output_usd_per_mtok": 10000}
"""A cent for a token of output, of which an answer here has ten."""

USUAL, HOURS = 0.1, 9
"""What an hour usually costs, in USD, and how many hours the log shows."""


class Hook:
    """A webhook that takes all, or nothing while it is told so. With `tls` it can change its certificate."""

    def __init__(self, tls: trustme.LeafCert | None = None) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.lock = Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
                with hook.lock:
                    hook.got.append((headers, told))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def finish_request(self, request: Any, client_address: Any) -> None:
                # A handshake that fails is the client's to tell.
                try:
                    if tls:
                        request = hook.context.wrap_socket(request, server_side=True)
                    super().finish_request(request, client_address)
                except OSError:
                    pass

        if tls:
            self.shows(tls)
        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def shows(self, certificate: trustme.LeafCert) -> None:
        """The certificate of all connections from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        self.context = context

    def of(self, name: str) -> list[dict[str, Any]]:
        return [told for _, told in list(self.got) if told["name"] == name]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def build(fakes: Fakes, hook: Hook, authority: Path | None = None) -> dict[str, Any]:
    # Noon, or nearly: no day ends while the test runs, nor did one in the hours before it.
    offset = 12 - time.gmtime().tm_hour
    plenty = {"budget": {"usd_per_day": 1_000_000}}
    gateway = {
        "identity": [{"headers": {"tenant": "x-tenant"}}],
        "time_zone": f"{offset:+03d}:00",
        "tenants": {
            "watched": plenty | {"team": "crew"}, "unknown": plenty,
            "told": {"budget": {"usd_per_day": 0.1, "usd_per_month": 1_000_000, "alerts": ["100%"]}},
        },
        "teams": {"crew": plenty},
        "budgets": {"push": {"key": hash_of(PUSH_KEY)}},
        "alerts": {"cluster": "hooks", "authority": NAME, "path": PATH, "anomaly": {"factor": 3, "at_least_usd": 0.2}},
        "providers": {
            "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {"price": PRICE}}},
        },
    }  # fmt: skip

    def change(config: dict[str, Any]) -> None:
        at = {"socket_address": {"address": "127.0.0.1", "port_value": hook.port}}
        load = {"cluster_name": "hooks", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at}}]}]}
        cluster: dict[str, Any] = {"name": "hooks", "connect_timeout": "1s", "load_assignment": load}
        resources = config["static_resources"]
        if authority:
            # As docs/limits.md has it.
            [shown] = [cluster for cluster in documented()["clusters"] if cluster["name"] == "hooks"]
            for field in ("transport_socket", "typed_extension_protocol_options"):
                cluster[field] = shown[field]
            context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
            context["validation_context"]["trusted_ca"] = {"filename": str(authority)}
            resources["secrets"] = documented()["secrets"]
        resources["clusters"].append(cluster)

    return configuration(gateway, [Cluster("openai", "openai", f"127.0.0.1:{fakes.all[0]}")], change)


def documented() -> dict[str, Any]:
    """The cluster of a webhook and its secret, from the documentation."""
    import yaml

    text = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
    [block] = [block for block in text.split("```yaml\n")[1:] if block.startswith("secrets:")]
    return yaml.safe_load(block.partition("```")[0])


@contextmanager
def up(hook: Hook, authority: Path | None = None) -> Iterator[Stage]:
    fakes = Fakes(openai=1, anthropic=0)
    gateway = Gateway(build(fakes, hook, authority), KEYS | {"HOOK_TOKEN": TOKEN})
    try:
        yield Stage(gateway, fakes)
    finally:
        gateway.stop()
        fakes.stop()
        hook.stop()


def chat(stage: Stage, tenant: str) -> Response:
    answer = stage.chat("one two three four five six seven eight nine ten", headers={"x-tenant": tenant}, max_tokens=10)
    assert answer.status == 200, answer
    return answer


def spent(stage: Stage, name: str, kind: str = "tenant") -> int:
    gauge = f"wasmcustom.waypost_budget_spent_nano_usd;name={name};kind={kind};limit=usd_per_day"
    return stage.gateway.stats(gauge).get(gauge, 0)


def alerts(stage: Stage, name: str, kind: str = "tenant") -> dict[str, int]:
    found = stage.gateway.stats(f"wasmcustom.waypost_alerts;name={name};kind={kind};")
    return {series.partition(";limit=")[2]: count for series, count in found.items()}


def webhook(stage: Stage) -> dict[str, int]:
    found = stage.gateway.stats("wasmcustom.waypost_webhook;outcome=")
    return {name.rpartition("=")[2]: count for name, count in found.items()}


def snapshot(stage: Stage, place: Path) -> bytes:
    """What `waypost usage` makes of the log of hours in which `watched` spent what is usual."""
    now = time.time()
    times = [time.strftime("%Y-%m-%dT%H:30:00Z", time.gmtime(now - hour * 3600)) for hour in range(HOURS, 0, -1)]
    line = {"v": 2, "tenant": "watched", "team": "crew", "requested_model": "gpt-4o", "provider_chosen": "openai", "cost_usd": USUAL}
    log = place / "audit.log"
    log.write_text("".join(json.dumps(line | {"time": at}) + "\n" for at in times))
    program = os.environ.get("WAYPOST") or ROOT / "target/release/waypost"
    command = [program, "usage", "--snapshot", "--strict", "--config", stage.gateway.directory / "envoy.json", log]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def overspend(stage: Stage) -> None:
    chat(stage, "told")
    until(lambda: alerts(stage, "told"), SOON)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, trustme.CA, Path]:
    """Whom the gateway trusts, whom it does not, and the file of the first."""
    trusted, other = trustme.CA(), trustme.CA()
    place = tmp_path_factory.mktemp("authority") / "authority.pem"
    trusted.cert_pem.write_to_path(str(place))
    return trusted, other, place


@pytest.fixture(scope="module", autouse=True)
def nobody(authorities: tuple[trustme.CA, trustme.CA, Path]) -> Iterator[tuple[Stage, Hook]]:
    """An alert on its way to a webhook that never has the right certificate: it takes 21 seconds, in which the other tests run."""
    _, other, file = authorities
    hook = Hook(other.issue_cert(NAME))
    with up(hook, file) as stage:
        overspend(stage)
        yield stage, hook


def hour() -> int:
    return int(time.time()) // 3600


def test_an_hour_that_costs_far_more_than_usual_is_told_though_envoy_was_started_anew(tmp_path: Path) -> None:
    hook = Hook()
    with up(hook) as stage:
        before = hour()
        body = snapshot(stage, tmp_path)
        answer = ask(stage.gateway.status_port, "POST", "/waypost/budgets", body, {"authorization": f"Bearer {PUSH_KEY}"})
        assert answer.json() == {"accounts": 2, "unknown": 0, "past": 0, "failed": 0}
        restored = round(HOURS * USUAL * NANO)

        # Below the threshold nobody is told, and never of whom nothing is known.
        chat(stage, "watched")
        asked = 1
        until(lambda: spent(stage, "watched") == restored + NANO // 10, SOON)
        assert alerts(stage, "watched") == {} == alerts(stage, "crew", "team")
        began = workers(stage)
        for _ in range(40):
            chat(stage, "unknown")
        while asked < 200 and (asked < 40 or not hook.of("watched")):
            chat(stage, "watched")
            asked += 1
        assert all(now > then for now, then in zip(workers(stage), began)), "both workers served"
        until(lambda: hook.of("watched") and hook.of("crew"), SOON)
        # All is charged that was asked for: an alert that is told again would be counted by now.
        until(lambda: spent(stage, "watched") == restored + asked * NANO // 10, SOON)
        told = {"alert=anomaly": 1 + hour() - before}
        for name, kind in (("watched", "tenant"), ("crew", "team")):
            [(series, count)] = alerts(stage, name, kind).items()
            assert series == "hour;alert=anomaly" and 1 <= count <= told["alert=anomaly"]
            first = hook.of(name)[0]
            assert (first["v"], first["alert"], first["kind"], first["period"], first["share"]) == (1, "anomaly", kind, "hour", None)
            # Nine hours bring it near what they cost.
            assert 0.05 < first["limit_usd"] <= USUAL or hour() > before
            assert 3 * first["limit_usd"] <= first["spent_usd"] <= asked * USUAL
            assert abs(first["at"] / 1000 - time.time()) < 60
            line = f'Waypost: the {kind} "{name}" has spent {first["spent_usd"]:.2f} USD in this hour; '
            assert first["text"].startswith(line), first
            until(lambda: first["text"].encode() in stage.gateway.log(), SOON)
        assert alerts(stage, "unknown") == {} and hook.of("unknown") == []
        until(lambda: webhook(stage) == {"sent": len(hook.got)}, SOON)


def refused(stage: Stage, name: str) -> int:
    """How many handshakes with the webhook failed for that reason."""
    return stage.gateway.stats("cluster.hooks.ssl.").get(f"cluster.hooks.ssl.{name}", 0)


def keeps_its_secrets(stage: Stage) -> None:
    written = stage.gateway.log()
    assert written
    for secret in (TOKEN, PATH):
        assert secret.encode() not in written, secret
    # The token is in no configuration that an operator can look at either.
    assert TOKEN.encode() not in stage.gateway.admin("/config_dump").body


def test_a_webhook_behind_tls_gets_its_secret_header_and_no_log_does(authorities: tuple[trustme.CA, trustme.CA, Path]) -> None:
    trusted, _, file = authorities
    hook = Hook(trusted.issue_cert(NAME))
    with up(hook, file) as stage:
        overspend(stage)
        until(lambda: hook.of("told"), SOON)
        [(headers, told)] = hook.got
        assert (headers["host"], headers[":path"], headers["x-hook-token"]) == (NAME, PATH, TOKEN)
        assert headers["content-type"] == "application/json" and told["share"] == 100
        until(lambda: webhook(stage) == {"sent": 1}, SOON)
        keeps_its_secrets(stage)


def test_an_alert_waits_for_a_webhook_whose_certificate_is_wrong_and_then_arrives(authorities: tuple[trustme.CA, trustme.CA, Path]) -> None:
    trusted, other, file = authorities
    hook = Hook(other.issue_cert(NAME))
    with up(hook, file) as stage:
        overspend(stage)
        failed = f"waypost: alerts: {NAME}: status 503, as Envoy says: upstream connect error".encode()
        until(lambda: stage.gateway.log().count(failed) == webhook(stage).get("failed") == 1, SOON)
        [line] = [line for line in stage.gateway.log().splitlines() if failed in line]
        assert line.endswith(b"; sent again in 1 s"), line
        assert hook.got == [] and refused(stage, "fail_verify_error") >= 1
        # The right authority, and another's name.
        hook.shows(trusted.issue_cert("another.example.com"))
        until(lambda: webhook(stage).get("failed") == 2, SOON)
        assert hook.got == [] and refused(stage, "fail_verify_san") >= 1
        hook.shows(trusted.issue_cert(NAME))
        until(lambda: hook.of("told"), SOON)
        until(lambda: webhook(stage) == {"sent": 1, "failed": 2}, SOON)
        assert len(hook.got) == 1
        keeps_its_secrets(stage)


def test_an_alert_that_nobody_takes_is_given_up_after_four_tries_in_the_log(nobody: tuple[Stage, Hook]) -> None:
    stage, hook = nobody
    until(lambda: webhook(stage) == {"failed": 3, "dropped": 1}, 1 + 4 + 16 + SOON)
    given_up = b"; given up after 4 tries: "
    until(lambda: given_up in stage.gateway.log(), SOON)
    [line] = [line for line in stage.gateway.log().splitlines() if given_up in line]
    assert line.endswith(b'the tenant "told" has used 100% of its budget of the day: 0.10 of 0.10 USD.'), line
    assert hook.got == []
    keeps_its_secrets(stage)
