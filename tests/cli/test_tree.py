"""``tasks tree``: the graph of what waits, over sources, however large."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench
from tests.cli.test_next import drop, ended


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def test_the_graph_is_drawn_over_sources(bench: Bench) -> None:
    """Done, failed and missing ones, each once; what waits says why."""
    ended(bench, "task-done", "completed")
    ended(bench, "task-broken", "failed", source="planned")
    drop(bench, "task-a", "depends_on: task-done", source="planned")
    drop(bench, "task-b", "depends_on: [task-a, task-broken]")
    drop(bench, "task-c", "depends_on: [task-b, task-a, task-nowhere]")
    drop(bench, "task-d", "depends_on: task-b")
    drop(bench, "task-alone")

    assert bench.run("tasks", "tree").out.splitlines() == [
        "task-c (ad-hoc) pending: waits for task-b",
        "├─ task-b (ad-hoc) pending: blocked by task-broken (failed)",
        "│  ├─ task-a (planned) pending: next",
        "│  │  └─ task-done (ad-hoc) completed",
        "│  └─ task-broken (planned) failed",
        "├─ task-a (planned) pending: next (above)",
        "└─ task-nowhere missing: there is no such task",
        "task-d (ad-hoc) pending: waits for task-b",
        "└─ task-b (ad-hoc) pending: blocked by task-broken (failed) (above)",
    ]
    assert bench.run("tasks", "tree", "task-b").out.splitlines() == [
        "task-b (ad-hoc) pending: blocked by task-broken (failed)",
        "├─ task-a (planned) pending: next",
        "│  └─ task-done (ad-hoc) completed",
        "└─ task-broken (planned) failed",
        "needed by: task-c, task-d",
    ]
    told = bench.run("tasks", "tree", "--json").json
    assert told["roots"] == ["task-c", "task-d"]
    assert "task-alone" not in {task["task_id"] for task in told["tasks"]}
    b = next(task for task in told["tasks"] if task["task_id"] == "task-b")
    assert (b["depends_on"], b["needed_by"]) == (["task-a", "task-broken"], ["task-c", "task-d"])


def test_a_large_graph_is_cut(bench: Bench) -> None:
    """A chain of a thousand: the lines stay short and few, and say how many there are more."""
    for number in range(1_000):
        keys = [f"depends_on: task-{number - 1:04}"] if number else []
        drop(bench, f"task-{number:04}", *keys)

    lines = bench.run("tasks", "tree", "--limit", "50").out.splitlines()

    assert len(lines) == 51
    assert lines[0].startswith("task-0999 ")
    assert lines[-1].startswith("and ")
    assert max(map(len, lines)) < 120
    assert len(bench.run("tasks", "tree", "--json").json["tasks"]) == 1_000


def test_nothing_to_draw_and_what_ended(bench: Bench) -> None:
    """A task that ended still says on what it depended."""
    assert bench.run("tasks", "tree").out == "No task depends on another.\n"
    (bench.pending("ad-hoc").parent / "completed" / "task-z.md").write_text(
        "---\ndepends_on: task-y\n---\n# Z\n"
    )
    ended(bench, "task-y", "completed", source="planned")

    assert bench.run("tasks", "tree", "task-z").out.splitlines() == [
        "task-z (ad-hoc) completed",
        "└─ task-y (planned) completed",
    ]
