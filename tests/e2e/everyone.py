"""A gateway before every provider that Waypost speaks to: examples/providers/envoy.yaml, with a fake of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from gateway import ROOT, Fakes, Gateway, Stage, answer_anybody, module, render


@dataclass(frozen=True)
class Provider:
    """One of the providers in examples/providers/envoy.yaml, and what its models can do."""

    name: str
    """In the configuration. The fake behind it has the name of the API."""
    model: str
    """A model that calls tools and thinks only when asked."""
    said: str = ""
    """What the fake calls that model, where that is not its name."""
    thinks: str = ""
    """A model that can be asked to think; empty for none."""
    embeds: str = ""
    """A model that gives vectors; empty for none."""
    batches: bool = True
    """Whether it takes several texts at once."""
    api: str = ""
    """The fake's dialect, where that is not the name."""
    shows_thoughts: bool = True
    """Whether that one tells its thoughts, and not only that it had some."""
    counts_thoughts: bool = True
    """Whether their tokens are told apart from the others."""
    plans: bool = False
    """Whether what it says before its calls is a plan, and so a thought."""
    caches: bool = True
    """Whether it tells what it read from a cache."""
    schema: bool = True
    """Whether an answer can be held to a JSON schema."""
    schema_streams: bool = True
    """Whether one that streams can."""
    forced: bool = True
    """Whether `model` can be made to call a tool."""
    one_call: bool = True
    """Whether it can be kept from calling several at once."""
    logprobs: bool = True
    alternatives: bool = True
    """Whether probabilities come with those of other tokens."""
    images: bool = True
    addresses: bool = True
    """Whether a picture may be given by its address."""

    @property
    def fake(self) -> str:
        return self.api or self.name

    @property
    def asked(self) -> str:
        """The model as a client asks for it, so that no other provider answers."""
        return f"{self.fake}/{self.model}"

    @property
    def asked_to_think(self) -> str:
        return f"{self.fake}/{self.thinks}"

    def hello(self, text: str) -> str:
        """What its fake answers to `text`."""
        return f"Hello from {self.fake} ({self.said or self.model}). {text}"


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider("openai", "gpt-4o", thinks="gpt-5-mini", embeds="text-embedding-3-small", shows_thoughts=False),
        Provider("azure", "chat", embeds="vectors"),
        Provider("anthropic", "claude-sonnet-4-5", thinks="claude-sonnet-5-5", logprobs=False),
        Provider("gemini", "gemini-2.5-flash", thinks="gemini-3.5-flash", embeds="gemini-embedding-001", one_call=False),
        Provider("vertex", "gemini-3.8-flash", thinks="gemini-3.8-flash", one_call=False),
        Provider("vertex-claude", "claude-sonnet-5-5", api="vertex", thinks="claude-sonnet-5-5", forced=False, logprobs=False, addresses=False),
        Provider("mistral", "mistral-large-latest", thinks="magistral-medium-latest", embeds="mistral-embed", counts_thoughts=False),
        Provider("cohere", "command-a-03-2025", embeds="embed-v4.0", plans=True, schema=False, one_call=False, alternatives=False, images=False),
        Provider("bedrock", "amazon.nova-pro-v1:0", embeds="amazon.titan-embed-text-v2:0", batches=False, one_call=False, logprobs=False, addresses=False),
        Provider("bedrock-claude", "anthropic.claude-sonnet-5-5", api="bedrock", thinks="anthropic.claude-sonnet-5-5", counts_thoughts=False, forced=False, logprobs=False, addresses=False),
        Provider("deepseek", "deepseek-v4-flash", thinks="deepseek-v4-pro", schema=False),
        Provider("groq", "openai/gpt-oss-120b", thinks="openai/gpt-oss-120b", schema_streams=False, logprobs=False, images=False),
        Provider("qwen", "qwen-plus", embeds="text-embedding-v4", schema=False, images=False),
        Provider("xai", "grok-4.7"),
        Provider("openrouter", "meta-llama/llama-3.3-70b-instruct"),
        Provider("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", embeds="intfloat/multilingual-e5-large-instruct", alternatives=False, images=False),
        Provider("ollama", "llama3.2:3b", embeds="nomic-embed-text", caches=False, forced=False, one_call=False, addresses=False),
        Provider("vllm", "my-model", images=False),
    )
}  # fmt: skip


@contextmanager
def everyone() -> Iterator[Stage]:
    """Starts it, for as long as this is open."""
    dialects = {provider.fake: 1 for provider in PROVIDERS.values()}
    fakes = Fakes(**dialects)
    try:
        template = (ROOT / "examples/providers/envoy.yaml").read_text(encoding="utf-8")
        values = {"admin_port": "0", "listener_port": "0", "status_port": "0", "wasm": str(module())}
        values |= {name: f"127.0.0.1:{ports[0]}" for name, ports in fakes.ports.items()}
        config = yaml.safe_load(render(template, demo=True, values=values))
        for cluster in config["static_resources"]["clusters"]:
            # Tests of single failures share an address.
            del cluster["outlier_detection"]
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        role = manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
        answer_anybody(role)
        role["timeouts"] = {"first_token": "5s", "answer": "5s", "idle": "2s"}
        gateway = Gateway(config)
        try:
            yield Stage(gateway, fakes)
        finally:
            gateway.stop()
    finally:
        fakes.stop()
