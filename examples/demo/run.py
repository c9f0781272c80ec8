#!/usr/bin/env python3
"""Runs Waypost in Envoy: against two fake providers, with --providers against one of each, or with --real against the real ones.

Ctrl-C stops everything. Python standard library only.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "envoy"))

import install  # noqa: E402  (found through the line above)
import render  # noqa: E402

RUN = ROOT / ".local" / "run"
WASM = ROOT / "target" / "wasm32-wasip1" / "release" / "waypost.wasm"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
TWO = ROOT / "envoy" / "envoy.yaml"
EVERYONE = ROOT / "examples" / "providers" / "envoy.yaml"

MODELS = {
    "openai": "gpt-4o",
    "azure": "chat",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-3.8-flash",
    "mistral": "mistral-large-latest",
    "cohere": "command-a-03-2025",
    "bedrock": "amazon.nova-pro-v1:0",
    "deepseek": "deepseek-v4-flash",
    "groq": "openai/gpt-oss-120b",
    "qwen": "qwen-plus",
    "xai": "grok-4.7",
    "openrouter": "meta-llama/llama-3.3-70b-instruct",
    "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "ollama": "llama3.2:3b",
    "vllm": "my-model",
}
"""Every provider in examples/providers, in the order of the ports of its fakes, and a model to ask."""


class Ports(NamedTuple):
    """Who listens where on 127.0.0.1."""

    gateway: int = 10000
    admin: int = 9901
    status: int = 9902
    openai: int = 9001
    anthropic: int = 9002


def chat(ports):
    """A chat for the command line."""
    return f"""curl -i 127.0.0.1:{ports.gateway}/v1/chat/completions -H 'authorization: Bearer wp-demo' -H 'content-type: application/json' \\
       -d '{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


def demo(ports, log):
    """What to tell when the fakes are there."""
    stream = chat(ports).replace("curl -i", "curl -N").replace('"messages"', '"stream": true, "messages"')
    return f"""
Waypost runs in Envoy on 127.0.0.1:{ports.gateway}, with fake providers behind it.

  OpenAI     127.0.0.1:{ports.openai}      access log   {log}
  Anthropic  127.0.0.1:{ports.anthropic}      Envoy admin  127.0.0.1:{ports.admin}
  Status     http://127.0.0.1:{ports.status}/waypost/

Try, in another terminal:

  1. a chat
     {chat(ports)}

  2. a stream
     {stream}

  3. a failover: OpenAI fails, Anthropic answers (see x-waypost-provider and x-waypost-attempts)
     curl 127.0.0.1:{ports.openai}/fake/set -d '{{"fault": "status=503"}}'
     the chat of 1. again
     curl 127.0.0.1:{ports.openai}/fake/set -d '{{"fault": null}}'

Ctrl-C stops it.
"""


def real(ports, keys, log):
    """What to tell when the real providers are behind it."""
    return f"""
Waypost runs in Envoy on 127.0.0.1:{ports.gateway}, in front of api.openai.com and api.anthropic.com.

  keys         {keys}
  access log   {log}
  Envoy admin  127.0.0.1:{ports.admin}
  status       http://127.0.0.1:{ports.status}/waypost/

Try, in another terminal:

     {chat(ports)}

Ctrl-C stops it.
"""


def everyone(ports, fakes, log):
    """What to tell when there is a fake of each provider."""
    rows = [("provider", "its fake", "a request"), ("--------", "--------", "---------")]
    for name, port in fakes.items():
        body = json.dumps({"model": f"{name}/{MODELS[name]}", "messages": [{"role": "user", "content": "Hello"}]})
        rows.append((name, f"127.0.0.1:{port}", f"curl 127.0.0.1:{ports.gateway}/v1/chat/completions -H 'authorization: Bearer wp-demo' -d '{body}'"))
    table = "\n".join(f"  {name:<12}{fake:<17}{request}" for name, fake, request in rows)
    return f"""
Waypost runs in Envoy on 127.0.0.1:{ports.gateway}, with a fake of every provider behind it.

{table}

  the configuration   {EVERYONE.relative_to(ROOT)}
  all models          curl 127.0.0.1:{ports.gateway}/v1/models -H 'authorization: Bearer wp-demo'
  access log          {log}
  Envoy admin         127.0.0.1:{ports.admin}
  status              http://127.0.0.1:{ports.status}/waypost/

Ctrl-C stops it.
"""


class Trouble(Exception):
    """Why it cannot go on, for the person at the terminal."""


def tail(path, lines=15):
    """The end of a log, indented."""
    text = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join("    " + line[:400] for line in text[-lines:]) or "    (empty)"


def need_free(port, what):
    """Fails when somebody listens there already: two gateways on one port would share its requests."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise Trouble(f"127.0.0.1:{port} is in use already; {what} needs it. Is another demo running?")


def wait_until(ready, child, what, log):
    """Waits for `ready()`, at most 20 seconds, and not for a child that has ended."""
    for _ in range(200):
        if child.poll() is not None:
            raise Trouble(f"{what} ended with exit code {child.returncode}. The end of {log}:\n{tail(log)}")
        if ready():
            return
        time.sleep(0.1)
    raise Trouble(f"{what} is not ready after 20 seconds. The end of {log}:\n{tail(log)}")


def answers(url):
    """Whether there is a 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


class Children:
    """The processes started, and their logs."""

    def __init__(self):
        self.running = []

    def start(self, what, command, env=None):
        """Starts one; what it prints goes to two files."""
        log, out = RUN / f"{what}.log", RUN / f"{what}.out"
        with log.open("wb") as err, out.open("wb") as std:
            # In a session of its own: Ctrl-C reaches this script alone, which then stops the others in order.
            child = subprocess.Popen(command, cwd=ROOT, stdout=std, stderr=err, env=env, start_new_session=True)
        self.running.append((what, child, log))
        return child, log, out

    def watch(self):
        """Returns when one of them ends, with the reason."""
        while True:
            for what, child, log in self.running:
                if child.poll() is not None:
                    how = f"was killed by {signal.Signals(-child.returncode).name}" if child.returncode < 0 else f"ended with exit code {child.returncode}"
                    raise Trouble(f"{what} {how}. The end of {log}:\n{tail(log)}")
            time.sleep(0.3)

    def stop(self):
        """Ends all, the last started first."""
        for _, child, _ in reversed(self.running):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def start_fakes(children, fakes):
    """Starts a fake of each dialect on its port."""
    command = [sys.executable, str(ROOT / "examples" / "fakes" / "fake_provider.py")]
    for dialect, port in fakes.items():
        need_free(port, f"the fake of {dialect}")
        command += [f"--{dialect}", f"127.0.0.1:{port}"]
    child, log, _ = children.start("fakes", command)
    urls = [f"http://127.0.0.1:{port}/fake/state" for port in fakes.values()]
    wait_until(lambda: all(map(answers, urls)), child, "fakes", log)


def start_envoy(children, ports, path, fakes, env):
    """Starts Envoy with the configuration at `path`, before these fakes or before the real providers when there are none.
    Returns the name of its access log."""
    template = path.read_text(encoding="utf-8")
    if fakes:
        # Never a real key to a fake.
        env = env | dict.fromkeys(re.findall(r"\{ env: (\w+) \}", template), "demo-key")
    values = {"listener_port": str(ports.gateway), "admin_port": str(ports.admin), "status_port": str(ports.status)}
    values.update({name: f"127.0.0.1:{port}" for name, port in fakes.items()})
    config = RUN / "envoy.yaml"
    config.write_text(render.render(template, bool(fakes), values), encoding="utf-8")
    command = [install.envoy(), "-c", str(config), "--log-level", "warning", "--disable-hot-restart"]
    child, log, out = children.start("envoy", command, env)
    wait_until(lambda: answers(f"http://127.0.0.1:{ports.admin}/ready"), child, "envoy", log)
    return out.relative_to(ROOT)


def start(children, ports, to_real, fakes):
    """Starts everything and returns what to tell. `fakes` are those of every provider, or none."""
    if not WASM.exists():
        raise Trouble(f"{WASM.relative_to(ROOT)} is not there; build it first: make build")
    install.envoy()
    RUN.mkdir(parents=True, exist_ok=True)
    need_free(ports.gateway, "the gateway")
    need_free(ports.admin, "Envoy's admin interface")
    need_free(ports.status, "the status page")
    env = dict(os.environ)
    if to_real:
        have = [key for key in KEYS if env.get(key)]
        if not have:
            raise Trouble(f"no key in the environment: set {' or '.join(KEYS)}, or both for failover")
        log = start_envoy(children, ports, TWO, {}, env)
        missing = [key for key in KEYS if key not in have]
        note = f" ({', '.join(missing)} is not set: its provider will not answer)" if missing else ""
        return real(ports, ", ".join(have) + note, log)
    two = {"openai": ports.openai, "anthropic": ports.anthropic}
    start_fakes(children, fakes or two)
    log = start_envoy(children, ports, EVERYONE if fakes else TWO, fakes or two, env)
    return everyone(ports, fakes, log) if fakes else demo(ports, log)


def ask(ports, stream=False, model="gpt-4o"):
    """One chat through the gateway: status, headers, body."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(f"http://127.0.0.1:{ports.gateway}/v1/chat/completions", json.dumps(body).encode(), {"authorization": "Bearer wp-demo", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def fault(ports, value):
    """Tells the fake OpenAI how to fail."""
    request = urllib.request.Request(f"http://127.0.0.1:{ports.openai}/fake/set", json.dumps({"fault": value}).encode())
    urllib.request.urlopen(request, timeout=5).close()


def seen(ports):
    """The status, and whether its page is there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.status}/waypost/status", timeout=5) as answer:
        told = json.load(answer)
    return told, answers(f"http://127.0.0.1:{ports.status}/waypost/")


def names_all(ports, providers):
    """The case that the status names these providers."""
    told, page = seen(ports)
    named = {provider["name"] for provider in told["providers"]}
    return ("the status page shows every provider", page and named == set(providers), str(sorted(named)))


def attempt(ports):
    """The requests of the demo, once; for tests."""
    cases = []
    status, headers, body = ask(ports)
    cases.append(("a chat is answered by openai", status == 200 and headers["x-waypost-provider"] == "openai", body))
    status, headers, body = ask(ports, stream=True)
    cases.append(("a stream ends with [DONE]", status == 200 and body.rstrip().endswith("data: [DONE]"), body))
    fault(ports, "status=503")
    status, headers, body = ask(ports)
    cases.append(("claude answers when openai fails", status == 200 and headers["x-waypost-provider"] == "claude", body))
    fault(ports, None)
    cases.append(names_all(ports, ["claude", "openai"]))
    report(cases)


def attempt_everyone(ports, fakes):
    """A request to each provider, once; for tests."""
    cases = []
    for name in fakes:
        status, headers, body = ask(ports, model=f"{name}/{MODELS[name]}")
        cases.append((f"{name} answers", status == 200 and headers["x-waypost-provider"] == name and f"Hello from {name}" in body, body))
    cases.append(names_all(ports, fakes))
    report(cases)


def report(cases):
    """Says of each case whether it went well.

    Raises Trouble when one did not."""
    for what, good, body in cases:
        print(f"{'ok  ' if good else 'FAIL'} {what}" + ("" if good else f": {body[:300]}"))
    if not all(good for _, good, _ in cases):
        raise Trouble("the demo does not do what it says")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="the real providers, with keys from the environment")
    parser.add_argument("--providers", action="store_true", help="a fake of every provider, with examples/providers/envoy.yaml")
    parser.add_argument("--try", action="store_true", dest="once", help="send the requests that are suggested, say whether they went well, and stop")
    parser.add_argument("--offset", type=int, default=0, metavar="N", help="add N to every port, to run beside another demo")
    options = parser.parse_args()
    ports = Ports(*(port + options.offset for port in Ports()))
    if options.real and (options.once or options.providers):
        parser.error("--try and --providers are for the fake providers")
    fakes = {name: Ports().openai + options.offset + place for place, name in enumerate(MODELS)} if options.providers else {}
    # Whoever stops this with SIGTERM wants the children stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    children = Children()
    try:
        text = start(children, ports, options.real, fakes)
        if options.once:
            attempt_everyone(ports, fakes) if fakes else attempt(ports)
        else:
            print(text, flush=True)
            children.watch()
    except Trouble as trouble:
        sys.exit(f"\nrun.py: {trouble}")
    except KeyboardInterrupt:
        print("\nstopped")
    finally:
        children.stop()


if __name__ == "__main__":
    main()
