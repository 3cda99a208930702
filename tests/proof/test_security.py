"""What ``make proof-security`` runs is what the documentation says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house.tables import ROOT, table_in
from tests.proof.security import OWNER, named_in_the_table
from tests.users import why_no_other_users


def test_each_attack_of_the_table_is_run() -> None:
    rows = table_in("contributing/tests.md", "attack")
    tests = named_in_the_table()

    assert len(tests) > 30
    assert [row[0] for row in rows if not any(test in row[1] for test in tests)] == []
    assert [test for test in tests if not (ROOT / test.partition("::")[0]).is_file()] == []


def test_each_test_of_the_table_is_collected() -> None:
    """By pytest itself: one that is there and never runs shows nothing."""
    found = in_python("pytest", "--collect-only", "-p", "no:cacheprovider", *named_in_the_table())

    assert found.returncode == 0, found.stdout[-2000:]


def test_the_short_form_passes_as_another_user() -> None:
    why_not = why_no_other_users(OWNER)
    if why_not is not None:
        pytest.skip(why_not)

    done = in_python("tests.proof.security", "--short")

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"as user {OWNER}" in done.stdout
    assert "of one user on another" in done.stdout


def in_python(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without the words that pytest may be given for all of its calls."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
