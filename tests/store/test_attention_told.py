"""Random histories of a real folder: what front ends say needs a person, against a rule that reads results only."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from task_queue.app.answers import ListedSource, needs_attention
from task_queue.app.attention import of_results
from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document.layers import Layers
from task_queue.domain.model import Outcome, OutcomeKind, Work, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from tests.store.contract import NOW
from tests.store.test_folder import FolderBench

NAMES = ("task-a", "task-b", "task-c")
ENDINGS = {
    "clean": (OutcomeKind.SUCCEEDED, WorkProduct("/w")),
    "unmerged": (OutcomeKind.SUCCEEDED, WorkProduct("/w", commits=("c",), keep=("git merge x",))),
    "unchanged": (OutcomeKind.SUCCEEDED, WorkProduct("/w", base_commit="b")),
    "failed": (OutcomeKind.FAILED, WorkProduct("/w")),
    "crashed": (OutcomeKind.CRASHED, WorkProduct("/w")),
    "cancelled": (OutcomeKind.CANCELLED, WorkProduct("/w")),
}
ACTS = st.tuples(st.sampled_from(("run", "run", "retry", "forget")), st.sampled_from(NAMES))


def told(bench: FolderBench) -> list[tuple[str | None, str, str]]:
    source = ListedSource("s", bench.engine.layout, layers=lambda: Layers({}, {}))
    return sorted((each.task_id, each.kind, each.command) for each in of_results([source]))


def expected(bench: FolderBench) -> list[tuple[str | None, str, str]]:
    """From the results that lie there, without the product's own rule."""
    found: list[tuple[str | None, str, str]] = []
    for path in bench.engine.layout.results.glob("*.json"):
        result: dict[str, Any] = json.loads(path.read_text())
        task_id, retry = result["task_id"], f"task-queue tasks retry {result['task_id']}"
        if result["success"]:
            if result["keep"]:
                found.append((task_id, "not_landed", result["keep"][0]))
            if result["base_commit"] and not result["commits"]:
                found.append((task_id, "nothing_changed", f"task-queue tasks show {task_id}"))
        elif result["dead_letter"]:
            found.append((task_id, "dead_letter", retry))
        elif result["outcome"] == "crashed":
            found.append((task_id, "review", retry))
        elif result["outcome"] != "cancelled":
            found.append((task_id, "failed", retry))
    return sorted(found)


def end(bench: FolderBench, name: str, how: str, *, dead_letter: bool) -> None:
    kind, product = ENDINGS[how]
    bench.drop(name)
    claim = bench.claim(name)
    state = TaskState.COMPLETED if kind is OutcomeKind.SUCCEEDED else TaskState.FAILED
    ending = bare_ending(claim, Outcome(kind, how), by="runner", now=NOW, work=Work(product=product))
    bench.engine.attempts.commit(claim, ending)
    journal = bench.engine.queue.journal(claim)
    dead = dead_letter and kind is OutcomeKind.FAILED
    settled = result_of(claim, ending, journal, state=state, source="s", workspace=None, dead_letter=dead)
    bench.engine.queue.settle(claim, settled)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ACTS, st.sampled_from(sorted(ENDINGS)), st.booleans()), max_size=10))
def test_what_is_told_is_what_the_results_say(
    history: list[tuple[tuple[str, str], str, bool]],
) -> None:
    """After every act: tasks that end, are retried, and whose results a person deletes."""
    with tempfile.TemporaryDirectory() as folder:
        bench = FolderBench(Path(folder))
        try:
            for (act, name), how, dead_letter in history:
                layout = bench.engine.layout
                if act == "run" and bench.state_of(name) is None and not layout.result(TaskId(name)).exists():
                    end(bench, name, how, dead_letter=dead_letter)
                elif act == "retry" and bench.state_of(name) is TaskState.FAILED:
                    bench.engine.requests.requeue(TaskId(name))
                    assert name not in {task_id for task_id, _, _ in told(bench)}
                    end(bench, name, how, dead_letter=dead_letter)
                elif act == "forget":
                    layout.result(TaskId(name)).unlink(missing_ok=True)
                assert told(bench) == expected(bench)
        finally:
            bench.engine.close()


def test_many_are_counted_and_only_the_newest_are_read(tmp_path: Path) -> None:
    """One line says how many more there are."""
    bench = FolderBench(tmp_path)
    layout = bench.engine.layout
    layout.needing.mkdir()
    for number in range(25):
        task_id = TaskId(f"task-{number:02}")
        need = {"kind": "failed", "sentence": "it failed", "command": "x"}
        layout.result(task_id).write_text(json.dumps({"attention": [need]}))
        layout.needs(task_id).touch()
    layout.result(TaskId("task-00")).unlink()

    found = tuple(of_results([ListedSource("s", layout, layers=lambda: Layers({}, {}))]))

    assert needs_attention(found)
    assert [each.task_id for each in found[:2]] == ["task-24", "task-23"]
    assert found[-1].sentence == "4 more results of source 's' need attention"
    assert len(found) == 21
    bench.engine.close()
