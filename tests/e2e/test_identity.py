"""Who asks, and what they may: one Envoy with a listener for each way to know it. Keys, mutual TLS with SPIFFE
identities, claims checked by `jwt_authn`, headers set by `api_key_auth`; two workers."""

from __future__ import annotations

import base64
import copy
import datetime
import hashlib
import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from client import Response, ask, request
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from gateway import KEYS, Cluster, Fakes, Gateway, Stage, configuration
from http2 import Http2

CHAT = "/v1/chat/completions"
NOW = datetime.datetime.now(datetime.timezone.utc)

KEY = {
    name: f"wp-{name}-{'k' * 36}"
    for name in ("search", "successor", "expired", "revoked", "future", "small", "embedder", "unlisted", "pinner")
}
"""Keys of tenants by a short name; that of `unlisted` stands in no configuration."""


def hashed(key: str) -> str:
    salt, raw = os.urandom(16), key.encode()
    handle = hashlib.sha256(b"waypost handle" + raw).hexdigest()[:8]
    return f"wp1.{handle}.{salt.hex()}.{hashlib.sha256(salt + raw).hexdigest()}"


def day(days: int) -> str:
    return (NOW + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": f"key-of-{name}", "hash": hashed(KEY[name])} | more


TENANTS = {
    "search": {
        "team": "discovery",
        "keys": [
            entry("search", user="robot", application="indexer", expires=day(1)),
            entry("successor"),
            entry("expired", expires=day(-2)),
            entry("revoked", revoked=True),
            entry("future", not_before=day(2)),
        ],
        "certificates": ["spiffe://cluster.test/ns/search/sa/*"],
    },
    "small": {
        "keys": [entry("small")],
        "may": {"models": ["gpt-4o-mini", "claude/*"], "rules": ["model", "both"], "max_tokens": 50, "pin": False},
    },
    "pinner": {"keys": [entry("pinner")], "may": {"models": ["gpt-4o-mini", "both"]}},
    "embedder": {"keys": [entry("embedder")], "may": {"operations": ["embeddings"]}},
    "shared": {},
}  # fmt: skip

GATEWAY = {
    "tenants": TENANTS,
    "clients_may": ["rule", "target", "models"],
    "providers": {
        "openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}, "gpt-4o-mini": {}, "text-embedding-3-small": {}}},
        "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"claude-sonnet-4-5": {}}},
    },
    "rules": [
        {"name": "discovery", "when": {"team": "discovery", "model": "mine"}, "targets": ["openai/gpt-4o"]},
        {"name": "robots", "when": {"user": "robot*", "model": "whose"}, "targets": ["openai/gpt-4o"]},
        {"name": "gold", "when": {"tier": "gold", "model": "whose"}, "targets": ["openai/gpt-4o-mini"]},
        {"name": "both", "when": {"model": "both"}, "targets": ["openai/gpt-4o", "claude/claude-sonnet-4-5"]},
        {"name": "secret", "when": {"model": "gpt-4o"}, "targets": ["openai/gpt-4o"]},
    ],
}  # fmt: skip


class Authority:
    """Signs certificates with the URIs that workloads have in a mesh."""

    def __init__(self, place: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the test")])
        self.place = place
        self.path = place / "authority.pem"
        own = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, None), True)
        self.path.write_bytes(own.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, san: x509.GeneralName) -> tuple[Path, Path]:
        """The paths of a certificate and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = self._builder(subject, key).add_extension(x509.SubjectAlternativeName([san]), False)
        signed = builder.add_extension(x509.ExtendedKeyUsage(uses), False).sign(self.key, hashes.SHA256())
        certificate, private = self.place / f"{name}.pem", self.place / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return certificate, private

    def workload(self, name: str, uri: str) -> tuple[Path, Path]:
        return self.issue(name, x509.UniformResourceIdentifier(uri))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        hour = datetime.timedelta(hours=1)
        return builder.not_valid_before(NOW - hour).not_valid_after(NOW + hour)


def plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """Signs tokens."""

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        x = plain(self.key.public_key().public_bytes_raw())
        self.jwks = json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "1", "x": x}]})

    def token(self, **claims: Any) -> str:
        head = {"alg": "EdDSA", "typ": "JWT", "kid": "1"}
        claims = {"iss": "https://issuer.test", "exp": int(time.time()) + 600} | claims
        signed = ".".join(plain(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{plain(self.key.sign(signed.encode()))}"


@dataclass
class World:
    """The listeners' ports by their names."""

    stage: Stage
    ports: dict[str, int]
    authority: Authority
    issuer: Issuer

    def models(self, key: str | None = None, listener: str = "gateway", **headers: str) -> Response:
        return ask(self.ports[listener], "GET", "/v1/models", headers=given(key, headers))

    def chat(
        self, key: str | None, model: str = "gpt-4o-mini", listener: str = "gateway", headers: dict[str, str] | None = None, **fields: Any
    ) -> Response:
        return ask(self.ports[listener], "POST", CHAT, request("hi", model, **fields), given(key, headers or {}))

    def over_tls(self, certificate: tuple[Path, Path] | None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any], str]:
        """The status, body and request id of a chat over TLS."""
        context = ssl.create_default_context(cafile=str(self.authority.path))
        if certificate:
            context.load_cert_chain(*map(str, certificate))
        connection = http.client.HTTPSConnection("localhost", self.ports["mtls"], timeout=10, context=context)
        try:
            connection.request("POST", CHAT, request("hi", "gpt-4o-mini"), {"content-type": "application/json"} | (headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.getheader("x-request-id", "")
        finally:
            connection.close()

    def record(self, response: Response) -> dict[str, Any]:
        return self.stage.gateway.audited(response["x-request-id"])


def given(key: str | None, headers: dict[str, str]) -> dict[str, str]:
    return ({"authorization": f"Bearer {key}"} if key else {}) | {"content-type": "application/json"} | headers


def only_used(role: dict[str, Any]) -> None:
    """Leaves out what a gateway has no use for: it would say so."""
    identity = role.get("identity", ["key"])
    unused = {field for field, word in (("keys", "key"), ("certificates", "certificate")) if word not in identity}
    role["tenants"] = {name: {k: v for k, v in one.items() if k not in unused} for name, one in role["tenants"].items()}


def listener(config: dict[str, Any], name: str, filters: list[dict[str, Any]], **role: Any) -> dict[str, Any]:
    """A copy of the gateway's listener with filters before ours and other fields in our configuration."""
    made = copy.deepcopy(config["static_resources"]["listeners"][0])
    made["name"] = name
    manager = made["filter_chains"][0]["filters"][0]["typed_config"]
    value = manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
    value |= role
    only_used(value)
    manager["http_filters"][0]["typed_config"]["config"]["name"] = f"waypost_{name}"
    manager["http_filters"] = filters + manager["http_filters"]
    config["static_resources"]["listeners"].append(made)
    return made


FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("identity")
    authority, issuer, fakes = Authority(place), Issuer(), Fakes()
    server = authority.issue("server", x509.DNSName("localhost"))
    openai, anthropic = fakes.all
    clusters = [
        Cluster("openai", "openai", f"127.0.0.1:{openai}"),
        Cluster("claude", "claude", f"127.0.0.1:{anthropic}", "ANTHROPIC_API_KEY"),
    ]
    config = configuration(GATEWAY, clusters)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    mtls = listener(config, "mtls", [], identity=["certificate", "key"], others="shared")
    mtls["filter_chains"][0]["transport_socket"] = {
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_certificates": [{"certificate_chain": {"filename": str(server[0])}, "private_key": {"filename": str(server[1])}}],
                "validation_context": {"trusted_ca": {"filename": str(authority.path)}},
            },
        },
    }  # fmt: skip
    jwt = {
        "@type": f"{FILTERS}.jwt_authn.v3.JwtAuthentication",
        "providers": {
            "issuer": {"issuer": "https://issuer.test", "local_jwks": {"inline_string": issuer.jwks}, "payload_in_metadata": "jwt_payload"}
        },
        "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [{"provider_name": "issuer"}, {"allow_missing_or_failed": {}}]}}}],
    }  # fmt: skip
    claims = {"metadata": ["jwt_payload"], "tenant": "tenant", "team": "team", "user": "sub", "application": "azp", "tier": "plan"}
    listener(
        config, "jwt", [{"name": "envoy.filters.http.jwt_authn", "typed_config": jwt}],
        identity=["key", {"claims": claims}], others="shared", tiers={"gold": {"each_tenant": {"may": {"models": "whose"}}}},
    )  # fmt: skip
    keys = {
        "@type": f"{FILTERS}.api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": "key-of-search", "client": "search"}, {"key": "key-of-stranger", "client": "stranger"}],
        "key_sources": [{"header": "x-api-key"}],
        "forwarding": {"header": "x-tenant", "hide_credentials": True},
    }
    listener(config, "headers", [{"name": "envoy.filters.http.api_key_auth", "typed_config": keys}], identity=[{"headers": {"tenant": "x-tenant"}}])
    listener(config, "open", [], anonymous="shared")
    only_used(manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"])
    gateway = Gateway(config)
    try:
        told = gateway.admin("/listeners?format=json").json()["listener_statuses"]
        ports = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in told if "socket_address" in one["local_address"]}
        yield World(Stage(gateway, fakes), ports, authority, issuer)
    finally:
        gateway.stop()
        fakes.stop()


def test_a_key_tells_who_asks_and_two_hold_at_a_time(world: World) -> None:
    for key, name, user in (("search", "key-of-search", "robot"), ("successor", "key-of-successor", None)):
        answer = world.chat(KEY[key])
        assert answer.status == 200, answer
        record = world.record(answer)
        known = {name: record.get(name) for name in ("tenant", "team", "user", "key_id", "proof")}
        assert known == {"tenant": "search", "team": "discovery", "user": user, "key_id": name, "proof": "key"}


@pytest.mark.parametrize(
    ("key", "code"),
    [("expired", "api_key_expired"), ("revoked", "api_key_revoked"), ("future", "api_key_not_yet_valid"), ("unlisted", "invalid_api_key")],
)
def test_a_key_that_does_not_hold_is_refused_before_the_body(world: World, key: str, code: str) -> None:
    world.stage.fakes.reset()
    # Nothing of the body is sent: the answer comes all the same.
    with Http2(world.ports["gateway"]) as client:
        number = client.start(b"", [(b"authorization", f"Bearer {KEY[key]}".encode())], end=False)
        answer = client.first_bytes(number)
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["code"] == code
    # A forged tenant beside it changes nothing, nor does a gateway that answers anybody.
    for where in ("gateway", "jwt", "open"):
        refused = world.chat(KEY[key], listener=where, headers={"x-tenant": "search"})
        assert (refused.status, refused.error["code"]) == (401, code), where
        assert KEY[key] not in refused.body.decode()
    assert world.stage.fakes.seen() == [0, 0]


def test_nobody_is_told_what_would_be_taken(world: World) -> None:
    for key in (None, "sk-of-somebody-else"):
        refused = world.chat(key)
        assert (refused.status, refused.error["code"]) == (401, "missing_identity")
        assert "Authorization: Bearer wp-" in refused.error["message"]
        assert world.models(key).status == 401
    for path in ("/v1/none", "/"):
        assert ask(world.ports["gateway"], "GET", path).status == 401


def test_whoever_may_ask_without_a_name_is_the_anonymous_tenant(world: World) -> None:
    answer = world.chat(None, listener="open", user="u-7")
    record = world.record(answer)
    assert (answer.status, record["tenant"], record["user"], record["proof"]) == (200, "shared", "u-7", "anonymous")
    assert world.record(world.chat(KEY["search"], listener="open"))["tenant"] == "search"


def test_no_key_of_a_client_goes_anywhere(world: World) -> None:
    world.stage.fakes.reset()
    key = KEY["search"]
    bearer = (b"authorization", f"Bearer {key}".encode())
    with Http2(world.ports["gateway"]) as client:
        number = client.start(request("hi", "gpt-4o-mini"), [bearer], trailers=[bearer, (b"x-key", key.encode())])
        assert client.finish(number).status == 200
    for fields in ({}, {"stream": True}):
        answer = world.chat(key, "both", headers={"x-api-key": key, "cookie": key}, **fields)
        assert answer.status == 200
    failed = world.chat(key, "both", messages=[{"role": "user", "content": "[[openai:status=500]]"}])
    assert failed["x-waypost-attempts"] == "2"
    received = [one for port in world.stage.fakes.all for one in world.stage.fakes.requests(port)]
    assert len(received) >= 5
    world.record(failed)
    seen = json.dumps(received) + world.stage.gateway.log().decode() + json.dumps(world.stage.gateway.audit_log())
    seen += "".join(world.stage.gateway.admin(path).body.decode() for path in ("/config_dump", "/stats", "/clusters"))
    for one in KEY.values():
        assert one not in seen


def test_a_certificate_names_the_workload(world: World) -> None:
    for name, uri, tenant in (
        ("indexer", "spiffe://cluster.test/ns/search/sa/indexer", "search"),
        ("stranger", "spiffe://cluster.test/ns/other/sa/x", "spiffe://cluster.test/ns/other/sa/x"),
    ):
        status, _, request_id = world.over_tls(world.authority.workload(name, uri), {"x-tenant": "small"})
        record = world.stage.gateway.audited(request_id)
        assert (status, record["tenant"], record["proof"]) == (200, tenant, "certificate")
    status, body, _ = world.over_tls(None)
    assert (status, body["error"]["code"]) == (401, "missing_identity")
    status, _, request_id = world.over_tls(None, {"authorization": f"Bearer {KEY['small']}"})
    assert (status, world.stage.gateway.audited(request_id)["tenant"]) == (200, "small")
    # A wrong key beside a certificate is refused.
    status, body, _ = world.over_tls(world.authority.workload("two", "spiffe://cluster.test/ns/search/sa/two"), {"authorization": f"Bearer {KEY['revoked']}"})
    assert (status, body["error"]["code"]) == (401, "api_key_revoked")


def test_a_certificate_of_another_authority_does_not_come_in(world: World, tmp_path: Path) -> None:
    forged = Authority(tmp_path).workload("forged", "spiffe://cluster.test/ns/search/sa/indexer")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        world.over_tls(forged)


def test_claims_that_envoy_checked_name_who_asks(world: World) -> None:
    token = world.issuer.token(tenant="search", sub="ada", azp="notebook")
    record = world.record(world.chat(token, listener="jwt"))
    known = {name: record.get(name) for name in ("tenant", "team", "user", "application", "proof")}
    assert known == {"tenant": "search", "team": "discovery", "user": "ada", "application": "notebook", "proof": "claims"}
    # Somebody who is not listed asks on the terms of the others, and of the tier.
    token = world.issuer.token(tenant="new", sub="bob", plan="gold", team="theirs")
    answer = world.chat(token, "whose", listener="jwt")
    assert (answer.status, answer["x-waypost-rule"]) == (200, "gold")
    assert world.record(answer)["tenant"] == "new"
    refused = world.chat(token, "gpt-4o-mini", listener="jwt")
    assert (refused.status, refused.error["code"]) == (403, "model_not_allowed")


def test_claims_that_do_not_hold_are_nobody(world: World) -> None:
    good = world.issuer.token(tenant="search")
    head, body, signature = good.split(".")
    claims = plain(json.dumps({"iss": "https://issuer.test", "tenant": "small", "exp": int(time.time()) + 600}).encode())
    for token in (
        Issuer().token(tenant="search"), f"{head}.{claims}.{signature}",
        world.issuer.token(tenant="search", exp=1), world.issuer.token(sub="ada"), world.issuer.token(tenant="search", iss="https://other.test"),
    ):  # fmt: skip
        refused = world.chat(token, listener="jwt", headers={"x-tenant": "search"})
        assert (refused.status, refused.error["code"]) == (401, "missing_identity"), token
    for tenant in (7, True, ["search"], {"search": 1}, "", "a\nb", "x" * 300):
        refused = world.chat(world.issuer.token(tenant=tenant), listener="jwt")
        assert refused.status == 401 and refused.error["code"] in ("invalid_identity", "missing_identity"), tenant


def test_a_filter_before_names_the_tenant_in_a_header_and_a_client_cannot(world: World) -> None:
    answer = world.chat(None, listener="headers", headers={"x-api-key": "key-of-search"})
    record = world.record(answer)
    assert (answer.status, record["tenant"], record["proof"]) == (200, "search", "headers")
    # Whatever the client writes there does not get through.
    forged = world.chat(None, listener="headers", headers={"x-api-key": "key-of-search", "x-tenant": "small"})
    assert forged.status == 401 or world.record(forged)["tenant"] == "search"
    unknown = world.chat(None, listener="headers", headers={"x-api-key": "key-of-stranger"})
    assert (unknown.status, unknown.error["code"]) == (403, "unknown_tenant")
    assert world.chat(None, listener="headers", headers={"x-tenant": "search"}).status == 401


def test_a_tenant_sees_and_asks_for_its_own_models(world: World) -> None:
    def listed(key: str) -> list[str]:
        return [one["id"] for one in world.models(KEY[key]).json()["data"]]

    assert listed("small") == ["claude-sonnet-4-5", "gpt-4o-mini"]
    assert {"gpt-4o", "both", "text-embedding-3-small"} <= set(listed("search"))
    port, headers = world.ports["gateway"], given(KEY["small"], {})
    assert ask(port, "GET", "/v1/models/gpt-4o-mini", headers=headers).status == 200
    # What there is and what there is not look the same.
    hidden, none = (ask(port, "GET", f"/v1/models/{name}", headers=headers) for name in ("gpt-4o", "none-4o"))
    assert (hidden.status, hidden.body.replace(b"gpt-4o'", b"none-4o'")) == (404, none.body)
    assert world.chat(KEY["small"], "gpt-4o-mini").status == 200
    hidden, none = world.chat(KEY["small"], "gpt-4o"), world.chat(KEY["small"], "none-such")
    assert (hidden.status, hidden.error) == (403, none.error)
    assert (hidden.error["code"], hidden.error["param"]) == ("model_not_allowed", "model")
    assert hidden.error["message"].endswith("Its models: gpt-4o-mini, claude/*.")
    # Of a rule only who is allowed answers.
    answer = world.chat(KEY["small"], "both")
    assert (answer.status, answer["x-waypost-provider"], answer["x-waypost-attempts"]) == (200, "claude", "1")


def test_what_clients_may_choose_does_not_lead_around_what_a_tenant_may(world: World) -> None:
    pin = {"x-waypost-target": "openai/gpt-4o"}
    answer = world.chat(KEY["small"], headers=pin)
    assert (answer.status, answer["x-waypost-model"]) == (200, "gpt-4o-mini") and "this tenant" in answer["x-waypost-warnings"]
    for headers, fields, param in (
        (pin, {}, "x-waypost-target"),
        ({"x-waypost-target": "openai/none"}, {}, "x-waypost-target"),
        ({"x-waypost-rule": "secret"}, {}, "model"),
        ({}, {"models": ["gpt-4o"]}, "models[0]"),
    ):
        refused = world.chat(KEY["pinner"], headers=headers, **fields)
        assert (refused.status, refused.error["code"], refused.error["param"]) == (403, "model_not_allowed", param)
    assert world.chat(KEY["pinner"], headers={"x-waypost-target": "openai/gpt-4o-mini"}).status == 200


def test_more_output_than_a_tenant_may_have_is_refused_and_without_a_number_it_gets_so_much(world: World) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        refused = world.chat(KEY["small"], **{field: 51})
        assert (refused.status, refused.error["param"]) == (400, field)
        assert "at most 50" in refused.error["message"]
        assert world.chat(KEY["small"], **{field: 50}).status == 200
    several = world.chat(KEY["small"], n=2, max_tokens=26)
    assert (several.status, several.error["code"], several.error["param"]) == (400, "max_tokens_not_allowed", "n")
    assert "52 in all" in several.error["message"] and "at most 50" in several.error["message"]
    openai, anthropic = world.stage.fakes.all
    assert world.chat(KEY["small"], n=2).status == 200
    assert 25 in (json.loads(world.stage.fakes.last(openai)["body"]).get(field) for field in ("max_tokens", "max_completion_tokens"))
    for fields in ({}, {"max_completion_tokens": None}, {"max_tokens": None}):
        assert world.chat(KEY["small"], **fields).status == 200
        sent = json.loads(world.stage.fakes.last(openai)["body"])
        assert (sent.get("max_tokens") or sent.get("max_completion_tokens")) == 50
        assert world.chat(KEY["small"], "claude-sonnet-4-5", **fields).status == 200
        assert json.loads(world.stage.fakes.last(anthropic)["body"])["max_tokens"] == 50


def test_an_operation_that_a_tenant_may_not_ask_for(world: World) -> None:
    refused = world.chat(KEY["embedder"])
    assert (refused.status, refused.error["code"]) == (403, "operation_not_allowed")
    body = json.dumps({"model": "text-embedding-3-small", "input": "x"}).encode()
    assert ask(world.ports["gateway"], "POST", "/v1/embeddings", body, given(KEY["embedder"], {})).status == 200


def test_rules_see_who_asks(world: World) -> None:
    assert world.chat(KEY["search"], "mine")["x-waypost-rule"] == "discovery"
    assert world.chat(KEY["search"], "whose")["x-waypost-rule"] == "robots"
    # The user of the body counts where the key names none.
    assert world.chat(KEY["successor"], "whose", user="robot-9")["x-waypost-rule"] == "robots"
    assert world.chat(KEY["successor"], "whose", user="ada").status == 404


def test_both_workers_know_everybody(world: World) -> None:
    for _ in range(24):
        assert world.chat(KEY["search"]).status == 200
        assert world.chat(KEY["unlisted"]).status == 401
    assert not any(value in world.stage.gateway.log() for value in (one.encode() for one in KEYS.values()))
