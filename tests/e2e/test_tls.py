"""The way to a provider as it is in production: TLS with the provider's name, and nobody else's.

envoy/envoy.yaml as it stands, but for addresses and for the authority that is trusted.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from client import CLIENT_KEY, Response, ask, request
from gateway import KEYS, ROOT, Fakes, Gateway, answer_anybody, module
from render import render

CHAT = "/v1/chat/completions"
NAMES = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secure_fake(dialect: str, certificate: trustme.LeafCert, place: Path) -> Fakes:
    """A fake provider of one dialect that speaks TLS with the certificate it is given."""
    place.mkdir()
    chain, key = place / "chain.pem", place / "key.pem"
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    certificate.private_key_pem.write_to_path(str(key))
    return Fakes(int(dialect == "openai"), int(dialect == "anthropic"), (chain, key))


def last(fake: Fakes) -> dict[str, Any]:
    """The last request; empty when there was none."""
    return fake.last(fake.all[0])


def production(authority: trustme.CA, place: Path, **ports: int) -> dict[str, Any]:
    """The reference configuration without the demo's changes, at these ports."""
    trusted = place / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    values = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    values |= {"admin_port": "0", "listener_port": "0", "status_port": "0", "wasm": str(module()), "ca": str(trusted)}
    template = (ROOT / "envoy/envoy.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(render(template, values=values))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    answer_anybody(manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"])
    return config


class World:
    """Both providers, and the gateway before them."""

    def __init__(self, fakes: dict[str, Fakes], gateway: Gateway) -> None:
        self.fakes = fakes
        self.gateway = gateway

    def chat(self, text: str = "hi", model: str = "gpt-4o", **fields: Any) -> Response:
        given = {"authorization": f"Bearer {CLIENT_KEY}"}
        return ask(self.gateway.port, "POST", CHAT, request(text, model, **fields), given)

    def handshakes(self, cluster: str, name: str) -> int:
        return self.gateway.stats(f"cluster.{cluster}.ssl.{name}").get(f"cluster.{cluster}.ssl.{name}", 0)


@contextmanager
def world(
    authority: trustme.CA, place: Path, certificates: dict[str, trustme.LeafCert]
) -> Iterator[World]:
    with ExitStack() as stack:
        fakes = {}
        for dialect, certificate in certificates.items():
            fakes[dialect] = secure_fake(dialect, certificate, place / dialect)
            stack.callback(fakes[dialect].stop)
        ports = {dialect: fake.all[0] for dialect, fake in fakes.items()}
        gateway = Gateway(production(authority, place, **ports), concurrency=1)
        stack.callback(gateway.stop)
        yield World(fakes, gateway)


@pytest.fixture(scope="module")
def proper(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    certificates = {dialect: authority.issue_cert(name) for dialect, name in NAMES.items()}
    with world(authority, tmp_path_factory.mktemp("proper"), certificates) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("dialect", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5")])
def test_a_provider_is_asked_by_its_own_name(proper: World, dialect: str, model: str, stream: bool) -> None:
    response = proper.chat("hello", model, stream=stream)
    assert f"Hello from {dialect}" in response.text, response
    assert response["x-waypost-attempts"] == "1"
    received = last(proper.fakes[dialect])
    assert received["sni"] == NAMES[dialect]
    assert dict(received["headers"])["host"] == NAMES[dialect]


def test_a_key_reaches_its_own_provider_only(proper: World) -> None:
    """Also when the next provider is asked with what was made for the first."""
    response = proper.chat("hi [[openai:status=503]]")
    assert response["x-waypost-attempts"] == "2" and "Hello from anthropic" in response.text
    response = proper.chat("hi [[anthropic:status=503]]", "claude-sonnet-4-5")
    assert response["x-waypost-attempts"] == "2" and "Hello from openai" in response.text
    own = {"openai": KEYS["OPENAI_API_KEY"], "anthropic": KEYS["ANTHROPIC_API_KEY"]}
    for dialect, fake in proper.fakes.items():
        received = fake.requests(fake.all[0])
        assert received
        for one in received:
            headers = str(one["headers"])
            assert own[dialect] in headers
            assert not [key for key in (*own.values(), CLIENT_KEY) if key != own[dialect] and key in headers]
    assert not [key for key in own.values() if key.encode() in proper.gateway.log()]


def wrong_name(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("api.openai.com.evil.test", "openai.com", "evil.openai.com")


def the_others_name(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert(NAMES["anthropic"])


def an_address(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("127.0.0.1", "localhost")


def only_a_common_name(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("other.test", common_name=NAMES["openai"])


def another_authority(_: trustme.CA) -> trustme.LeafCert:
    return trustme.CA().issue_cert(NAMES["openai"])


def expired(authority: trustme.CA) -> trustme.LeafCert:
    began = datetime(2020, 1, 1, tzinfo=UTC)
    return authority.issue_cert(NAMES["openai"], not_before=began, not_after=began + timedelta(days=30))


IMPOSTORS = [wrong_name, the_others_name, an_address, only_a_common_name, another_authority, expired]


@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_an_impostor_gets_neither_request_nor_key_and_the_next_provider_answers(
    authority: trustme.CA, tmp_path: Path, impostor: Callable[[trustme.CA], trustme.LeafCert]
) -> None:
    certificates = {"openai": impostor(authority), "anthropic": authority.issue_cert(NAMES["anthropic"])}
    with world(authority, tmp_path, certificates) as here:
        for _ in range(2):
            response = here.chat()
            assert "Hello from anthropic" in response.text, response
            assert response["x-waypost-attempts"] == "2"
        assert last(here.fakes["openai"]) == {}
        refused = here.handshakes("openai", "fail_verify_san") + here.handshakes("openai", "fail_verify_error")
        assert refused >= 1


class OldServer:
    """A TLS server that speaks nothing newer than `newest`. It notes what was agreed, and hangs up."""

    def __init__(self, certificate: trustme.LeafCert, newest: ssl.TLSVersion) -> None:
        self.agreed: list[str | None] = []
        self.failed = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.set_ciphers("ALL:@SECLEVEL=0")
        self._context.minimum_version = ssl.TLSVersion.TLSv1
        self._context.maximum_version = newest
        certificate.configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with accepted:
                accepted.settimeout(5)
                try:
                    with self._context.wrap_socket(accepted, server_side=True) as secure:
                        self.agreed.append(secure.version())
                except OSError:
                    self.failed += 1

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_nothing_older_than_tls_1_2_is_spoken(
    authority: trustme.CA, tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    """With 1.2 the handshake works: so it is the version that is refused, and not this server."""
    old = OldServer(authority.issue_cert(NAMES["openai"]), newest)
    fake = secure_fake("anthropic", authority.issue_cert(NAMES["anthropic"]), tmp_path / "fake")
    gateway = Gateway(production(authority, tmp_path, openai=old.port, anthropic=fake.all[0]), concurrency=1)
    try:
        response = World({"anthropic": fake}, gateway).chat()
        assert "Hello from anthropic" in response.text, response
        if newest == ssl.TLSVersion.TLSv1_1:
            assert (old.agreed, old.failed > 0) == ([], True)
        else:
            assert "TLSv1.2" in old.agreed
    finally:
        gateway.stop()
        fake.stop()
        old.close()


def test_the_credential_is_not_sent_in_the_clear(authority: trustme.CA, tmp_path: Path) -> None:
    """A provider that answers in plain HTTP where TLS is expected hears nothing it could read."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with accepted:
                heard.append(accepted.recv(1 << 16))
                accepted.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    threading.Thread(target=listen, daemon=True).start()
    fake = secure_fake("anthropic", authority.issue_cert(NAMES["anthropic"]), tmp_path / "fake")
    port = listener.getsockname()[1]
    gateway = Gateway(production(authority, tmp_path, openai=port, anthropic=fake.all[0]), concurrency=1)
    try:
        assert "Hello from anthropic" in World({"anthropic": fake}, gateway).chat().text
        assert heard and not [one for one in heard if b"HTTP" in one or KEYS["OPENAI_API_KEY"].encode() in one]
    finally:
        gateway.stop()
        fake.stop()
        listener.close()
