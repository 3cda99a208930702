"""Every attack in ``docs/security.md`` and every case in ``docs/reliability.md`` names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("document", "heading"), [("security", "Attacks"), ("reliability", "Two of everything")]
)
def test_each_row_names_a_test_that_exists(document: str, heading: str) -> None:
    """A renamed test must not leave an attack or a case without one."""
    text = (ROOT / "docs" / f"{document}.md").read_text()
    section = text.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]

    assert rows
    for row in rows:
        named = re.findall(r"`(tests/\S+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
