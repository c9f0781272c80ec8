"""Writes the corpus of each fuzz target from the fixtures under tests, and from envoy/envoy.yaml."""

import json
import pathlib
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


def seed(target, name, data):
    folder = ROOT / "fuzz" / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def text(case, field):
    if field + "_text" in case:
        return case[field + "_text"].encode()
    return json.dumps(case[field], ensure_ascii=False, separators=(",", ":")).encode()


def frame(line):
    """A frame of Amazon's event stream, from a line of a fixture: see tests/support/frames.rs."""
    names = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
    kind = next(kind for kind in names if kind in line)
    head = b""
    for name, value in ((names[kind], line[kind]), (":message-type", kind)):
        head += bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
    payload = json.dumps(line["payload"]).encode() if "payload" in line else b""
    out = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    out += zlib.crc32(out).to_bytes(4, "big") + head + payload
    return out + zlib.crc32(out).to_bytes(4, "big")


# These speak like OpenAI, and one target reads the streams of all of them.
LIKE_OPENAI = ["azure", "deepseek", "groq", "qwen", "xai", "openrouter", "together", "ollama", "vllm"]

count = 0
for path in sorted(GOLDEN.glob("*/*/*")):
    api, kind, name = path.parts[-3], path.parts[-2], "-".join(path.parts[-3:])
    if kind == "stream":
        if path.name.endswith(".in.sse"):
            seed("sse", name, path.read_bytes())
            seed("sse", name + ".crlf", path.read_bytes().replace(b"\n", b"\r\n"))
            family = "compatible" if api in LIKE_OPENAI else api
            seed(family + "_stream", name, path.read_bytes())
        elif path.name.endswith(".in.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines() if line]
            frames = b"".join(map(frame, lines))
            seed("aws_event_stream", name, frames)
            seed(api + "_stream", name, frames)
            script = [f"{line.get('event') or line.get('exception') or 'error'} {json.dumps(line.get('payload', ''))}" for line in lines]
            seed(api + "_stream", name + ".script", "\n".join(script).encode())
        elif path.name.endswith(".answer.json"):
            seed("answers", name, path.read_bytes())
    else:
        case = json.loads(path.read_text())
        if kind == "request":
            seed("chat_request", name, text(case, "request"))
        elif kind == "embeddings_request":
            seed("embeddings", name, text(case, "request") + b"\0")
        elif kind == "embeddings_response":
            asked = text(case, "request") if "request" in case else b"{}"
            seed("embeddings", name, asked + b"\0" + text(case, "body"))
        elif case["status"] < 300:
            seed("answers", name, text(case, "body"))
        else:
            headers = {key.lower(): value for key, value in case.get("headers", {}).items()}
            names = ["content-type", "retry-after", "retry-after-ms", "x-should-retry"]
            head = "|".join([str(case["status"])] + [headers.get(name, "") for name in names])
            seed("failure", name, head.encode() + b"\n" + text(case, "body"))
    count += 1
if not count:
    sys.exit("no fixtures: the fuzzers would begin with nothing")

# Files as they are, and edits: a zero byte, then the places in turn, each with every kind of edit.
CHECKED = ROOT / "tests" / "check"
for name in ("config.json", "routing.json"):
    seed("config", name, (CHECKED / name).read_bytes())
for path in (ROOT / "envoy" / "envoy.yaml", ROOT / "tests" / "bench" / "envoy.yaml"):
    seed("check", path.parent.name + ".yaml", path.read_bytes())
for target in ("config", "check"):
    for number, line in enumerate((CHECKED / {"config": "config.txt", "check": "envoy.txt"}[target]).read_text().splitlines()):
        if line.startswith("text "):
            seed(target, f"text-{number}", json.loads(line[5:]).encode())
    for number in range(600):
        place = number.to_bytes(2, "big") if target == "check" else bytes([0, number % 256])
        base = b"" if target == "check" else bytes([number % 6])
        seed(target, f"edit-{number}", b"\0" + base + place + bytes([number % 6, number % 251]))

# Values of the shared store: which key and which length in the first byte, then the value's own.
for kind in range(32):
    seed("health_slot", f"kind-{kind}", bytes([kind, 1]) + bytes(25) + bytes([3]) + bytes(64))

# Each case of the table of what is found and what only looks like it; the first byte says where it is cut.
for number, line in enumerate((ROOT / "tests" / "guard" / "pii.txt").read_text(encoding="utf-8").splitlines()):
    seed("guard", f"case-{number}", bytes([number % 256]) + line.encode())

# Values of accounts: whose in the first byte, then the value; and snapshots, time zones.
for kind in range(4):
    seed("ledger", f"account-{kind}", bytes([kind, 1]) + bytes(range(248)) + b"a\0u")
seed("ledger", "snapshot", b"\4" + json.dumps({"version": 1, "accounts": [
    {"kind": "user", "tenant": "a", "name": "u", "day": "2026-11-21", "day_nano_usd": 7,
     "month": "2026-11", "month_nano_usd": 9},
]}).encode())
for number, zone in enumerate(["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "A<1B,J59/0,3/-9", "-03:30"]):
    seed("ledger", f"zone-{number}", b"\5" + zone.encode())
