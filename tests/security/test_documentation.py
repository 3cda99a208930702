"""Every attack in ``docs/security.md`` names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_named_test_exists() -> None:
    """A renamed test must not leave an attack without one."""
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", text)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]

    assert len(named) == len(rows)
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
