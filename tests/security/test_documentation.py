"""Attacks of ``docs/security.md``, cases of two actors at once and promises name tests that exist."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest

from tests.house.tables import ROOT, table_in


@pytest.mark.parametrize("table", ["attack", "case", "promise"])
def test_each_row_names_a_test_that_exists(table: str) -> None:
    """A renamed test must not leave an attack, a case or a promise without one; each may have several tables."""
    _, *parts = (ROOT / "docs/contributing/tests.md").read_text().split(f"\n| {table} |")
    rows = [
        row for part in parts for row in takewhile(lambda line: line.startswith("|"), part.splitlines()[2:])
    ]

    assert len(rows) >= len(parts) > 0
    for tests in rows:
        named = re.findall(r"`(tests/\S+\.py)::(\w+)`", tests)
        assert named, tests
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_each_attack_of_the_users_page_has_a_test() -> None:
    """The two tables have the same rows, in the same order."""
    for_users = [row[0] for row in table_in("security.md", "attack")]

    assert for_users == [row[0] for row in table_in("contributing/tests.md", "attack")]
