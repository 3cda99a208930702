"""Which checks failed before a task began, and which of them passed on an earlier commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from task_queue.domain.model import WorkProduct
from task_queue.domain.work.baseline import (
    BaseResult,
    baseline_of,
    broken_base,
    failed_before,
    known_of,
)

NOW = datetime(2026, 2, 7, tzinfo=UTC)


def result(
    commit: str, *, passed: bool, command: str = "pytest", target: str = "main", set_up: str = "s"
) -> BaseResult:
    return BaseResult(
        target, commit, command, passed, set_up, NOW, "" if passed else "failed with exit code 1"
    )


@pytest.mark.parametrize(
    ("earlier", "regressed"),
    [
        ([result("one", passed=True)], ("pytest",)),
        ([result("one", passed=True), result("two", passed=False)], ("pytest",)),
        ([], ()),
        ([result("one", passed=False)], ()),
        ([result("one", passed=True, target="other")], ()),
        ([result("one", passed=True, command="ruff")], ()),
        ([result("one", passed=True, set_up="another")], ()),
    ],
    ids=[
        "passed before",
        "passed long before",
        "never run",
        "never passed",
        "another branch",
        "another command",
        "another set-up",
    ],
)
def test_only_what_passed_on_an_earlier_commit_of_the_branch_has_regressed(
    earlier: list[BaseResult], regressed: tuple[str, ...]
) -> None:
    results = [*earlier, result("now", passed=False)]

    found = baseline_of(results, repository="/r", target="main", commit="now")

    assert (found.failed, found.regressed) == (("pytest (failed with exit code 1)",), regressed)


def test_what_passes_has_neither_failed_nor_regressed() -> None:
    found = baseline_of([result("now", passed=True)], repository="/r", target="main", commit="now")

    assert (found.failed, found.regressed) == ((), ())
    assert failed_before(found) == "On now of main, on which the work began, all of these checks pass."


def test_a_commit_is_known_where_every_command_was_run_on_it_with_this_set_up() -> None:
    results = [result("now", passed=True), result("now", passed=False, command="ruff")]

    assert known_of(results, ["pytest", "ruff"], commit="now", set_up="s") == tuple(results)
    assert known_of(results, ["pytest", "mypy"], commit="now", set_up="s") is None
    assert known_of(results, ["pytest"], commit="now", set_up="another") is None
    assert known_of(results, ["pytest"], commit="other", set_up="s") is None


def test_only_a_regression_holds_a_source() -> None:
    found = {"repository": "/r", "commit": "now", "target": "main", "failed": ["pytest (failed)"]}
    regressed = WorkProduct(None, baseline={**found, "regressed": ["pytest"]})

    broken = broken_base("task-x", regressed, at=NOW + timedelta(1))

    assert broken is not None
    assert (broken.commit, broken.commands, broken.resumed) == ("now", ("pytest",), False)
    assert broken_base("task-x", WorkProduct(None, baseline={**found, "regressed": []}), at=NOW) is None
    assert broken_base("task-x", WorkProduct(None), at=NOW) is None
    assert broken_base("task-x", None, at=NOW) is None
