"""Random histories of a real folder: what front ends say needs a person, against a rule that reads results only."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_queue.app.answers import AttentionView, ListedSource, needs_attention
from task_queue.app.attention import of_results
from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document import naming
from task_queue.domain.document.layers import Layers
from task_queue.domain.model import Outcome, OutcomeKind, Work, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.layout import Layout
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
    source = ListedSource("s", bench.engine.layout, layers=Layers)
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


def placed(layout: Layout, task_id: str, *, state: TaskState = TaskState.FAILED) -> None:
    """A task that ended and needs a person, as a daemon leaves it."""
    task = TaskId(task_id)
    layout.needing.mkdir(exist_ok=True)
    layout.needs(task).touch()
    need = {"kind": "failed", "sentence": "it failed", "command": "x"}
    layout.result(task).write_text(json.dumps({"task_id": task_id, "attention": [need]}))
    (layout.ended(state) / naming.document_of(task)).touch()


def of(layout: Layout, *, source: str = "s", **options: Any) -> tuple[AttentionView, ...]:
    return tuple(of_results([ListedSource(source, layout, layers=Layers)], **options))


def test_many_are_counted_and_only_the_newest_are_named(layout: Layout) -> None:
    """One line, of a kind of its own, says how many more there are; the command in it names them all."""
    for number in range(25):
        placed(layout, f"task-{number:02}")
    layout.result(TaskId("task-00")).unlink()

    found = of(layout, source="my source")
    assert needs_attention(found)
    assert [each.task_id for each in found[:2]] == ["task-24", "task-23"]
    assert len(found) == 21
    more = found[-1]
    assert (more.kind, more.sentence) == ("more", "4 more results of source 'my source' need attention")
    assert shlex.split(more.command) == [
        "task-queue", "tasks", "list", "--source", "my source", "--limit", "24",
    ]  # fmt: skip
    assert [each.task_id for each in of(layout, named=24)] == [f"task-{n:02}" for n in range(24, 0, -1)]
    assert of(layout, named=23)[-1].sentence == "1 more result of source 's' needs attention"


@pytest.mark.parametrize("gone", ["result", "document"])
def test_what_is_gone_hides_nothing_else(layout: Layout, gone: str) -> None:
    """However many newer ones a person has deleted."""
    for number in range(1100):
        placed(layout, f"task-{number:04}")
        if number:
            task = TaskId(f"task-{number:04}")
            path = layout.result(task) if gone == "result" else layout.ended(TaskState.FAILED) / f"{task}.md"
            path.unlink()

    assert [each.task_id for each in of(layout)] == ["task-0000"]


def test_a_document_that_a_hand_took_away_needs_nobody(layout: Layout) -> None:
    """Retried by moving it back, or deleted: the command of the earlier result would find nothing."""
    for name in ("task-a", "task-b", "task-c"):
        placed(layout, name)
    (layout.ended(TaskState.FAILED) / "task-a.md").rename(layout.pending / "task-a.md")
    (layout.ended(TaskState.FAILED) / "task-b.md").unlink()

    assert [each.task_id for each in of(layout)] == ["task-c"]


def test_a_very_long_name_is_given_whole(layout: Layout) -> None:
    """The names of its companion files are shortened; also among those that are only counted."""
    long = "task-" + "x" * 240
    placed(layout, long)
    placed(layout, "task-y")

    assert [each.task_id for each in of(layout)] == ["task-y", long]
    assert of(layout, named=1)[-1].kind == "more"
    assert "1 more result " in of(layout, named=1)[-1].sentence


def test_a_stray_entry_goes_when_the_task_ends_well(tmp_path: Path) -> None:
    """As a daemon leaves one that was killed before the result was published."""
    bench = FolderBench(tmp_path)
    layout = bench.engine.layout
    layout.needing.mkdir()
    layout.needs(TaskId("task-a")).touch()
    end(bench, "task-a", "clean", dead_letter=False)

    assert list(layout.needing.iterdir()) == []
    bench.engine.close()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "pending")
    made.create()
    return made
