"""The crash table: each set of facts has one repair."""

from __future__ import annotations

from itertools import product

import pytest

from task_queue.domain.attempt.recovery import ClaimFacts, Repair, repair_for


def facts(**given: bool) -> ClaimFacts:
    names = ("ending", "run", "abandoned", "acted", "runner_alive", "result_in_transcript")
    return ClaimFacts(**{name: given.get(name, False) for name in names})


@pytest.mark.parametrize(
    ("found", "repair"),
    [
        (facts(), Repair.ABANDON),
        (facts(run=True, abandoned=True), Repair.RELEASE),
        (facts(run=True, abandoned=True, acted=True), Repair.CRASHED),
        (facts(run=True, runner_alive=True), Repair.ADOPT),
        (facts(run=True), Repair.CRASHED),
        (facts(run=True, result_in_transcript=True), Repair.REBUILD),
        (facts(run=True, ending=True), Repair.SETTLE),
        (facts(ending=True), Repair.SETTLE),
    ],
    ids=lambda value: value.value if isinstance(value, Repair) else "",
)
def test_the_rows_of_the_table(found: ClaimFacts, repair: Repair) -> None:
    """As docs/file-formats.md has them."""
    assert repair_for(found) is repair


@pytest.mark.parametrize("values", list(product((False, True), repeat=5)))
def test_nothing_is_settled_or_given_up_while_its_runner_lives(values: tuple[bool, ...]) -> None:
    """An ending could be forged by the agent whose runner still works."""
    ending, run, abandoned, acted, result = values
    found = ClaimFacts(ending, run, abandoned, acted, runner_alive=True, result_in_transcript=result)

    assert repair_for(found) is Repair.ADOPT
