"""The words of a job queue: position, what is ahead, attempts left, dead letters, types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def fail(bench: Bench, task_id: str, *, dead: bool, text: str = "# Failed\n") -> None:
    failed = bench.pending().with_name("failed")
    (failed / f"{task_id}.md").write_text(text)
    attempt = {"number": 1, "outcome": "failed", "reason": "no", "counted": True}
    result = {
        "task_id": task_id,
        "success": False,
        "outcome": "failed",
        "state": "failed",
        "dead_letter": dead,
    }
    content = {**result, "schema_version": 1, "error": "no", "attempts": [attempt]}
    (bench.pending().with_name("results") / f"{task_id}.json").write_text(json.dumps(content))


def listed(bench: Bench, *options: str) -> list[str]:
    return [task["task_id"] for task in bench.run("tasks", "list", *options, "--json").json["tasks"]]


def test_a_waiting_task_has_a_position_and_attempts_left(bench: Bench) -> None:
    """And says what is ahead of it, and when it is tried next."""
    for number in range(1, 7):
        name = f"task-2026020{number}-120000-x"
        (bench.pending() / f"{name}.md").write_text("---\nmax_attempts: 2\n---\n# Do it\n")
    first, *_, last = sorted(path.stem for path in bench.pending().glob("task-*.md"))
    attempt = {"number": 1, "outcome": "failed", "counted": True, "ended_at": "2026-02-07T12:00:00+00:00"}
    journal = {"task_id": last, "attempts": [attempt], "not_before": "2099-02-07T12:00:00+00:00"}
    (bench.pending() / f".{last}.attempts.json").write_text(json.dumps(journal))
    waiting = bench.run("tasks", "show", last, "--json").json["waiting"]
    tasks = bench.run("tasks", "list", "--state", "pending", "--json").json["tasks"]
    shown = bench.run("tasks", "show", last).out

    assert (waiting["position"], len(waiting["ahead"]), waiting["ahead"][0]) == (6, 3, first)
    assert (waiting["attempts"], waiting["attempts_left"]) == (1, 1)
    assert waiting["next_attempt_at"] == "2099-02-07T12:00:00+00:00"
    assert [task["position"] for task in tasks] == [1, 2, 3, 4, 5, 6]
    assert (tasks[0]["attempts_left"], tasks[0]["next_attempt_at"]) == (2, None)
    assert "2 more" in shown
    assert "1 made, 1 left, the next one not before 2099-02-07" in shown


def test_tasks_are_listed_by_the_type_of_their_work(bench: Bench) -> None:
    """What waits and what ended; the limit counts those alone."""
    for name, kind in (("task-1", "coding"), ("task-2", "research"), ("task-3", "coding")):
        (bench.pending() / f"{name}.md").write_text(f"---\ntype: {kind}\n---\n# Do it\n")
    fail(bench, "task-4", dead=False, text="---\ntype: coding\n---\n# x\n")
    fail(bench, "task-5", dead=False)

    assert listed(bench, "--type", "coding") == ["task-1", "task-3", "task-4"]
    assert listed(bench, "--type", "research", "--type", "general") == ["task-2", "task-5"]
    limited = bench.run("tasks", "list", "--type", "coding", "--limit", "1", "--json").json
    assert ([task["task_id"] for task in limited["tasks"]], limited["more"]) == (["task-1", "task-4"], True)


def test_dead_letters_are_listed_and_tried_again(bench: Bench) -> None:
    """The count is said first; without --yes nothing is done where no one can be asked."""
    fail(bench, "task-1", dead=True)
    fail(bench, "task-2", dead=False)
    fail(bench, "task-3", dead=True)
    dead = listed(bench, "--dead")
    refused = bench.run("tasks", "retry", "--all-dead")
    unasked = bench.run("tasks", "retry", "--all-dead", "--json")
    dry = bench.run("tasks", "retry", "--all-dead", "--dry-run")
    still = listed(bench, "--dead")
    (bench.pending() / "task-3.md").write_text("# In the way\n")
    retried = bench.run("tasks", "retry", "--all-dead", "--yes", "--json")

    assert sorted(dead) == sorted(still) == ["task-1", "task-3"]
    assert (refused.code, unasked.code) == (2, 2)
    assert "give --yes" in refused.err
    assert (sorted(dry.out.split()), dry.code) == (["task-1", "task-3"], 0)
    assert "2 tasks have used up their attempts" in dry.err
    assert (retried.json["retried"], retried.code) == (["task-1"], 1)
    assert [each["task_id"] for each in retried.json["refused"]] == ["task-3"]
    assert (bench.pending() / "task-1.md").exists()


@pytest.mark.parametrize("options", [(), ("task-1", "--all-dead"), ("task-1", "--yes")])
def test_retry_takes_one_task_or_all_dead_ones(bench: Bench, options: tuple[str, ...]) -> None:
    assert bench.run("tasks", "retry", *options).code == 2


def test_without_dead_letters_there_is_nothing_to_do(bench: Bench) -> None:
    assert bench.run("tasks", "retry", "--all-dead").code == 0
    assert bench.run("tasks", "retry", "--all-dead", "--json").json["retried"] == []
