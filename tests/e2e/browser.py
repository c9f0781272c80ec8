"""A page as a browser shows it: Chromium without a screen."""

from __future__ import annotations

import shutil
import subprocess
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome")


def page(url: str, milliseconds: int = 4500) -> str:
    """The document as it stands after so many milliseconds of the page's own time, as HTML.

    Raises FileNotFoundError without a browser, and RuntimeError when it does not do as it is told.
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if not browser:
        raise FileNotFoundError(f"no browser: install one of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(prefix="waypost-browser-") as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--disable-background-networking", f"--user-data-dir={profile}", f"--virtual-time-budget={milliseconds}"]
        done = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=90, check=False)
    if done.returncode or "</html>" not in done.stdout:
        raise RuntimeError(f"the browser ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
