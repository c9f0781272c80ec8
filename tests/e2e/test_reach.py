"""How a provider is reached: names and certificates, several endpoints, addresses that swallow."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager

import pytest
from gateway import Cluster, Fakes, Gateway, Stage, configuration, stage, swallowing_port

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Makes a certificate and its key for names; every one is its own authority."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    made = {}

    def make(*names):
        if names not in made:
            folder = tmp_path_factory.mktemp("tls")
            certificate, key = folder / "cert.pem", folder / "key.pem"
            command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
            command += " -addext subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
            subprocess.run(
                [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
            )
            made[names] = certificate, key
        return made[names]

    return make


@contextmanager
def over_tls(tmp_path, of_openai, of_anthropic, trusted):
    """The reference configuration as it is used, with its names and TLS, in front of fakes."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(certificate.read_bytes() for certificate, _ in trusted))
    openai, anthropic = Fakes(1, 0, of_openai), Fakes(0, 1, of_anthropic)
    try:
        marks = {"openai": openai.all[0], "anthropic": anthropic.all[0]}
        addresses = {name: f"127.0.0.1:{port}" for name, port in marks.items()}
        gateway = Gateway(configuration(demo=False, ca=str(bundle), **addresses))
        try:
            yield Stage(gateway, openai), openai, anthropic
        finally:
            gateway.stop()
    finally:
        openai.stop()
        anthropic.stop()


def test_providers_are_reached_over_tls_under_their_own_names(certificates, tmp_path):
    openai, anthropic = certificates("api.openai.com"), certificates("api.anthropic.com")
    with over_tls(tmp_path, openai, anthropic, [openai, anthropic]) as (made, at_openai, at_anthropic):
        for stream in (False, True):
            assert made.chat(stream=stream)["x-waypost-provider"] == "openai"
            assert made.chat(model="claude-sonnet-4-5", stream=stream)["x-waypost-provider"] == "claude"
        for fakes, name in ((at_openai, "api.openai.com"), (at_anthropic, "api.anthropic.com")):
            last = fakes.last(fakes.all[0])
            assert (last["sni"], dict(last["headers"])["host"]) == (name, name)
        answer = made.chat("[[openai:status=503]]")
        assert (answer["x-waypost-provider"], answer["x-waypost-attempts"]) == ("claude", "2")


@pytest.mark.parametrize("why", ["another name", "not trusted"])
def test_a_certificate_that_does_not_fit_gets_no_request(certificates, tmp_path, why):
    name = "api.openai.com.evil.test" if why == "another name" else "api.openai.com"
    openai, anthropic = certificates(name), certificates("api.anthropic.com")
    trusted = [openai, anthropic] if why == "another name" else [anthropic]
    with over_tls(tmp_path, openai, anthropic, trusted) as (made, at_openai, _):
        for stream in (False, True):
            answer = made.chat(stream=stream)
            assert (answer.status, answer["x-waypost-provider"]) == (200, "claude"), answer
            assert answer["x-waypost-attempts"] == "2"
        assert at_openai.seen() == [0]


# Endpoints, models and addresses


@pytest.fixture(scope="module")
def spread():
    """A provider with two endpoints, one with two models, one with sixteen endpoints, one that swallows."""
    with swallowing_port() as swallowing:

        def build(fakes):
            first, second, third = fakes.ports["openai"]
            claude = fakes.ports["anthropic"][0]
            wide = [f"wide-{n}" for n in range(16)]
            clusters = [
                Cluster("one", "pair", f"127.0.0.1:{first}"),
                Cluster("two", "pair", f"127.0.0.1:{second}"),
                Cluster("claude", "claude", f"127.0.0.1:{claude}", "ANTHROPIC_API_KEY"),
                Cluster("swallow", "swallow", f"127.0.0.1:{swallowing}", connect_timeout="0.5s"),
                *[Cluster(name, "wide", f"127.0.0.1:{third}") for name in wide],
            ]

            def provider(api, clusters, *models):
                endpoints = [{"cluster": name} for name in clusters]
                return {"api": api, "endpoints": endpoints, "models": {model: {} for model in models}}

            def rule(name, *targets):
                return {"name": name, "when": {"model": name}, "targets": list(targets)}

            gateway = {
                "providers": {
                    "pair": provider("openai", ["one", "two"], "gpt-4o"),
                    "claude": provider("anthropic", ["claude"], "claude-sonnet-4-5", "claude-haiku-4-5"),
                    "swallow": provider("openai", ["swallow"], "gpt-4o"),
                    "wide": provider("openai", wide, "gpt-4o"),
                },
                "rules": [
                    rule("both-endpoints", "pair/gpt-4o"),
                    rule("both-models", "claude/claude-sonnet-4-5", "claude/claude-haiku-4-5"),
                    rule("both-models-then-pair", "claude/claude-sonnet-4-5", "claude/claude-haiku-4-5", "pair/gpt-4o"),
                    rule("sixteen", "wide/gpt-4o"),
                    rule("swallowed-first", "swallow/gpt-4o", "claude/claude-sonnet-4-5"),
                ],
            }  # fmt: skip
            return configuration(gateway, clusters)

        with stage(build, openai=3) as made:
            yield made


@pytest.fixture(autouse=True)
def unseen(request):
    if "spread" in request.fixturenames:
        request.getfixturevalue("spread").fakes.reset()


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "reset", "refuse", "status=401", "quota"])
def test_the_second_endpoint_of_a_provider_answers_when_the_first_fails(spread, fault, stream):
    first, second, _ = spread.fakes.ports["openai"]
    answer = spread.chat(f"[[{first}:{fault}]]", "both-endpoints", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"], answer["x-waypost-provider"]) == (200, "2", "pair")
    assert [spread.fakes.state(port)["requests"] for port in (first, second)] == [1, 1]


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "status=529", "reset", "refuse", "error_first"])
def test_a_second_model_behind_the_same_address_answers(spread, fault, stream):
    answer = spread.chat(f"[[model=claude-sonnet-4-5:{fault}]]", "both-models", stream=stream)
    assert answer.status == 200, answer
    assert (answer["x-waypost-model"], answer["x-waypost-attempts"]) == ("claude-haiku-4-5", "2")
    assert answer.text.startswith("Hello from anthropic (claude-haiku-4-5)")


@STREAM
@pytest.mark.parametrize("fault", ["status=401", "billing", "quota"])
def test_what_is_wrong_with_the_key_is_not_asked_of_a_second_model(spread, fault, stream):
    text = f"[[model=claude-sonnet-4-5:{fault}]]"
    answer = spread.chat(text, "both-models-then-pair", stream=stream)
    assert (answer.status, answer["x-waypost-provider"], answer["x-waypost-attempts"]) == (200, "pair", "2")
    assert spread.fakes.state(spread.fakes.ports["anthropic"][0])["requests"] == 1
    alone = spread.chat(text, "both-models", stream=stream)
    assert alone.status in (402, 429, 502) and alone["x-waypost-attempts"] == "1"
    assert alone.error["message"]


@STREAM
@pytest.mark.parametrize("fault", ["status=503", "reset", "refuse"])
def test_the_sixteenth_candidate_answers_after_fifteen_failures(spread, fault, stream):
    port = spread.fakes.ports["openai"][2]
    spread.fakes.set(port, fault, times=15)
    answer = spread.chat(model="sixteen", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (200, "16"), answer
    spread.fakes.set(port, fault)
    answer = spread.chat(model="sixteen", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (503, "16"), answer
    assert answer.error["message"]


@STREAM
def test_an_address_that_swallows_connections_is_left_after_the_time_to_connect(spread, stream):
    answer = spread.chat(model="swallowed-first", stream=stream)
    assert (answer.status, answer["x-waypost-attempts"]) == (200, "2"), answer
    assert 0.4 < answer.took < 1.5
