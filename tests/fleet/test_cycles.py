"""Tasks that wait for each other over sources and hosts: the one that closed the cycle ends, the others go on."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.fleet.database import Database
from tests.fleet.test_engine import FleetBench

KEYED = "---\ndedupe_key: k\n"


def on(*task_ids: str) -> str:
    return f"---\ndepends_on: [{', '.join(task_ids)}]\n---\n# It"


def barred(bench: FleetBench) -> list[str]:
    return [name for name, why in bench.engine.survey().rejected if "closes a cycle" in why]


def test_who_closed_a_cycle_over_hosts_ends(database: Database, tmp_path: Path) -> None:
    """Each host finds the same one, whichever looks first, and what it kept waiting can begin."""
    one = FleetBench(database, tmp_path, host="one")
    two = FleetBench(database, tmp_path, host="two", source="other")
    one.drop("task-a", on("task-b"))
    two.drop("task-b", on("task-c"))
    one.drop("task-c", on("task-a"))
    early = barred(one)  # what task-b depends on is not known yet

    found = [barred(two), barred(one), barred(two)]
    assert (early, found) == ([], [[], ["task-c"], []])
    assert dict(one.engine.survey().rejected)[TaskId("task-c")] == (
        "depends_on closes a cycle: task-c -> task-a -> task-b -> task-c; "
        "correct one of these, then: task-queue tasks retry task-c"
    )
    assert one.waiting() == ["task-a"]


def test_a_cycle_that_was_opened_is_none(database: Database, tmp_path: Path) -> None:
    """By a change of the task at the other end, on another host."""
    one = FleetBench(database, tmp_path, host="one")
    two = FleetBench(database, tmp_path, host="two", source="other")
    two.drop("task-b", on("task-a"))
    barred(two)
    one.drop("task-a", on("task-b"))
    closed = barred(one)
    two.value(
        "UPDATE task SET document = %s, revision = revision + 1 WHERE name = 'task-b' RETURNING 1", b"# It"
    )
    barred(two)

    assert (closed, barred(one), one.waiting()) == (["task-a"], [], ["task-a"])


def test_an_ended_task_of_a_cycle_leaves_none(database: Database, tmp_path: Path) -> None:
    one = FleetBench(database, tmp_path, host="one")
    for name, other in (("task-a", "task-b"), ("task-b", "task-a")):
        one.drop(name, on(other))
    closed = barred(one)
    one.settle(one.claim("task-b"))

    assert (closed, barred(one), one.waiting()) == (["task-b"], [], ["task-a"])


def test_of_a_task_that_was_dropped_again_elsewhere_the_last_counts(
    database: Database, tmp_path: Path
) -> None:
    """As where a dependency is looked up."""
    one = FleetBench(database, tmp_path, host="one")
    two = FleetBench(database, tmp_path, host="two", source="other")
    one.drop("task-a", on("task-b"))
    one.drop("task-b", on("task-a"))
    barred(one)
    closed = barred(one)
    two.drop("task-b", "# It waits for nothing")
    barred(two)

    assert closed == ["task-b"]
    assert one.waiting() == ["task-a", "task-b"]


def test_who_closed_a_cycle_keeps_no_duplicate_out(database: Database, tmp_path: Path) -> None:
    one = FleetBench(database, tmp_path, host="one")
    two = FleetBench(database, tmp_path, host="two", source="other")
    two.drop("task-20260207-110001-b", f"{KEYED}depends_on: task-20260207-110000-a\n---\n# It")
    one.drop("task-20260207-110000-a", f"{KEYED}depends_on: task-20260207-110001-b\n---\n# It")
    for bench in (two, one):
        bench.engine.survey()

    assert barred(one) == ["task-20260207-110000-a"]
    assert two.engine.survey().rejected == ()
    assert two.waiting() == ["task-20260207-110001-b"]
