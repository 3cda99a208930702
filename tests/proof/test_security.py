"""What ``make proof-security`` runs is what the documentation says."""

from __future__ import annotations

from tests.house.tables import ROOT, table_in
from tests.proof.security import named_in_the_table


def test_each_attack_of_the_table_is_run() -> None:
    rows = table_in("contributing/tests.md", "attack")
    tests = named_in_the_table()

    assert len(tests) > 30
    assert [row[0] for row in rows if not any(test in row[1] for test in tests)] == []
    assert [test for test in tests if not (ROOT / test.partition("::")[0]).is_file()] == []
