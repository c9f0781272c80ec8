"""The tests that hold what is taken for granted of Envoy are all there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_every_test_that_the_table_of_host_facts_names_exists() -> None:
    table = (HERE.parent / "host/README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", table))
    there = {name for path in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)}
    assert len(named) > 20
    assert named - there == set()
