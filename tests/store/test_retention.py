"""What is beyond ``retention`` goes; what something still needs stays, and what ordering needs outlives the files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attention import Acknowledgement
from task_queue.domain.document.layers import Layers
from task_queue.domain.retention import PrunedKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.worktrees import Keep
from task_queue.platform import durable
from task_queue.store.event_reader import EventReader
from task_queue.store.event_rebuild import reindex
from task_queue.store.folder import states
from task_queue.store.folder.acknowledgements import acknowledge
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.intake import drop
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import past_end, past_settled
from task_queue.store.retention import Prunable, SourceRetention, needed_by_waiting
from task_queue.store.snapshot import ReadSource
from tests.store.ended import NOON, a_source, an_end, files_of
from tests.store.test_materialising_killed import killed_at

WEEK = Keep(10**9, timedelta(days=7))
NEED = {"kind": "denied", "sentence": "the agent was denied: Bash", "command": "task-queue tasks show task-a"}
MERGE = "git -C /repository merge task-queue/task-a"
NOT_LANDED = {"kind": "not_landed", "sentence": "its work is not on the target branch", "command": MERGE}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return a_source(tmp_path / "web")


def prune(layout: Layout, **limits: Any) -> dict[str, str | None]:
    """Why each is kept that is beyond the limits; None: it is gone."""
    return {thing.name: thing.why_kept for thing in pruned(layout, **limits)}


def pruned(
    layout: Layout,
    *,
    results: Keep | None = WEEK,
    logs: Keep | None = None,
    dry_run: bool = False,
    needed: Mapping[TaskId, str] | None = None,
    settled: bool = False,
) -> tuple[Prunable, ...]:
    retention = SourceRetention("web", layout, needed=needed or {}, is_settled=lambda _: settled, now=NOON)
    return retention.prune(results=results, logs=logs, dry_run=dry_run)


def test_what_is_older_goes_and_its_end_is_still_known(layout: Layout) -> None:
    old, young = an_end(layout, "task-old", days=8), an_end(layout, "task-young", days=6)
    failed = an_end(layout, "task-failed", days=8, state=TaskState.FAILED)

    assert prune(layout) == {"task-old": None, "task-failed": None}
    assert files_of(layout, old) == files_of(layout, failed) == []
    assert len(files_of(layout, young)) == 3
    assert layout.attempt(old, 1).is_dir()
    known = [states.state_of(layout, task_id) for task_id in (old, failed, young)]
    assert known == [TaskState.COMPLETED, TaskState.FAILED, TaskState.COMPLETED]
    assert prune(layout) == {}


def test_a_dry_run_says_the_same_and_how_much_and_removes_nothing(layout: Layout) -> None:
    task_id = an_end(layout, "task-a", days=8)
    before = sorted(layout.root.rglob("*"))

    would = pruned(layout, dry_run=True, logs=WEEK)
    assert [(thing.kind, thing.name, thing.why_kept) for thing in would] == [
        (PrunedKind.LOGS, "task-a", None),
        (PrunedKind.RESULTS, "task-a", None),
    ]
    assert would[1].size_bytes == sum(path.stat().st_size for path in files_of(layout, task_id))
    assert would[0].size_bytes >= 300
    assert sorted(layout.root.rglob("*")) == before
    assert pruned(layout, logs=WEEK) == would


def test_artifacts_go_with_the_logs(layout: Layout) -> None:
    """Also where a kill left them half removed."""
    task_id = an_end(layout, "task-a", days=8)
    layout.artifacts(task_id).mkdir()
    (layout.artifacts(task_id) / "work.bundle").write_bytes(b"b" * 5000)
    half_removed = layout.log(task_id) / ".removed-artifacts"
    half_removed.mkdir()

    assert pruned(layout, results=None, logs=WEEK)[0].size_bytes > 5000
    assert not layout.log(task_id).exists()


def test_numbers_and_names_outlive_the_files(layout: Layout) -> None:
    task_id = an_end(layout, "task-a", days=8, attempts=[{"number": 1}, {"number": 3}])
    prune(layout, logs=WEEK)
    archive = Archive(layout)

    assert not layout.log(task_id).exists()
    assert max(archive.attempts_used(task_id)) == 3
    assert archive.free_record(task_id) == "task-a.2"
    assert drop(layout.pending, "# Again", name="task-a.md", now=NOON) == "task-a-2"
    an_end(layout, "task-a.2", days=8, state=TaskState.FAILED)
    prune(layout)
    assert states.state_of(layout, task_id) is TaskState.FAILED
    assert archive.free_record(task_id) == "task-a.3"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"attention": [NEED]}, "it needs a person: denied"),
        ({"attention": [NOT_LANDED]}, "its work is not on the target branch"),
        ({"keep": [MERGE]}, "its work is not on the target branch"),
        ({"task_id": "task-other"}, "it is not a result of the queue"),
        ({"success": "perhaps"}, "it is not a result of the queue"),
    ],
    ids=["a person is needed", "not landed", "on a branch", "of another task", "not a result"],
)
def test_what_is_still_needed_stays(content: dict[str, Any], why: str, layout: Layout) -> None:
    task_id = an_end(layout, "task-a", days=8, **content)
    before = files_of(layout, task_id)

    assert list(prune(layout, logs=WEEK).values()) == [why]
    assert (files_of(layout, task_id), layout.attempt(task_id, 1).is_dir()) == (before, True)
    assert not layout.past_ends.exists()


def test_what_a_person_has_acknowledged_goes_unless_it_is_unlanded(layout: Layout) -> None:
    for name, need in (("task-a", NEED), ("task-b", NOT_LANDED)):
        at = NOON - timedelta(days=8)
        task_id = an_end(layout, name, days=8, attention=[need])
        seen = Acknowledgement(at.isoformat(), frozenset({need["sentence"]}))
        acknowledge(layout, task_id, seen, at=NOON.isoformat())

    assert prune(layout) == {"task-a": None, "task-b": "its work is not on the target branch"}
    assert not layout.acknowledgement(TaskId("task-a")).exists()
    assert prune(layout, settled=True) == {"task-b": None}


def test_what_runs_waits_or_was_moved_by_hand_stays(layout: Layout) -> None:
    for name in ("task-retried", "task-filed"):
        an_end(layout, name, days=8, state=TaskState.FAILED)
    (layout.pending / ".task-retried.attempts.json").write_text('{"task_id": "task-retried"}')
    (layout.ended(TaskState.FAILED) / "task-filed.md").unlink()

    assert prune(layout, logs=WEEK) == {
        "task-retried": "its task runs, or will be tried again",
        "task-filed": "its document is not where its task ended",
    }


def test_what_a_waiting_task_of_another_source_needs_stays_until_it_has_run(
    layout: Layout, tmp_path: Path
) -> None:
    task_id, other = an_end(layout, "task-a", days=8), a_source(tmp_path / "docs")
    waiting = other.pending / "task-b.md"
    waiting.write_text("---\ndepends_on: [task-a]\n---\n# Then\n")
    sources = [ReadSource("web", layout, Layers), ReadSource("docs", other, Layers)]

    assert prune(layout, needed=needed_by_waiting(sources)) == {"task-a": "task task-b waits for it"}
    waiting.unlink()
    assert prune(layout, needed=needed_by_waiting(sources)) == {"task-a": None}
    assert states.state_in([other, layout], task_id) is TaskState.COMPLETED


def test_number_and_size_count_from_the_newest(layout: Layout) -> None:
    for age in range(4):
        an_end(layout, f"task-{age}", days=age)
    size = sum(path.stat().st_size for path in files_of(layout, TaskId("task-0")))

    assert set(prune(layout, results=Keep(3), dry_run=True)) == {"task-3"}
    assert set(prune(layout, results=Keep(10, size_bytes=2 * size + 9))) == {"task-2", "task-3"}


def test_logs_go_alone_and_what_others_put_there_stays(layout: Layout) -> None:
    """The folder is left with what the queue set aside for a person; another without a task is not looked at."""
    task_id, whole = an_end(layout, "task-a", days=8), an_end(layout, "task-b", days=8)
    aside = layout.log(task_id) / "removed-1234abcd.md"
    aside.write_text("mine")
    (layout.logs / "notes").mkdir()
    closed = layout.attempt(whole, 1) / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0)

    assert prune(layout, results=None, logs=WEEK) == {"task-a": None, "task-b": None}
    assert [path for path in layout.logs.rglob("*") if path.is_file()] == [aside]
    assert (layout.logs / "notes").is_dir()
    assert len(files_of(layout, task_id)) == 3
    known = past_end(layout, task_id)
    assert known is not None
    assert (known.state, known.attempts) == (None, 1)


def test_reindex_keeps_what_the_pruned_results_said(layout: Layout, tmp_path: Path) -> None:
    """Each once, though a killed pruning noted one whose result is still there."""
    for name in ("task-a", "task-b"):
        an_end(layout, name, days=8, total_cost_usd=1.5)
    kept = layout.result(TaskId("task-b")).read_bytes()
    prune(layout)
    layout.result(TaskId("task-b")).write_bytes(kept)
    folder = tmp_path / "events"

    assert reindex(folder, {"web": layout.results}) == 2
    reader = EventReader(folder)
    settled = [event for event in reader.events() if event.type == "settled"]
    reader.close()
    assert sorted((event.task_id or "", event.data["cost_usd"]) for event in settled) == [
        ("task-a", 1.5),
        ("task-b", 1.5),
    ]
    assert {event.at for event in settled} == {NOON - timedelta(days=8)}


def test_a_torn_last_line_hides_nothing(layout: Layout) -> None:
    an_end(layout, "task-a", days=8)
    prune(layout)
    with layout.past_ends.open("ab") as file:
        file.write(b'{"id":"task-b","sta')
    an_end(layout, "task-c", days=8)
    prune(layout)

    known = [states.state_of(layout, TaskId(f"task-{name}")) for name in "abc"]
    assert known == [TaskState.COMPLETED, None, TaskState.COMPLETED]
    assert {each.task_id for each in past_settled(layout.results)} == {"task-a", "task-c"}


def test_a_kill_at_any_call_loses_and_leaves_nothing(tmp_path: Path) -> None:
    """At every moment the end of the task is known; the next pruning finishes it."""
    points = 0
    while True:
        layout = a_source(tmp_path / str(points))
        names = [an_end(layout, f"task-{each}", days=8, attention=[]) for each in "ab"]
        calls = (
            (os, "fsync"),
            (os, "write"),
            (os, "unlink"),
            (os, "rmdir"),
            (Path, "rename"),
            (Path, "unlink"),
        )
        if not killed_at(points, partial(prune, layout, logs=WEEK), calls=(*calls, (durable, "append"))):
            break

        for task_id in names:
            assert states.state_of(layout, task_id) is TaskState.COMPLETED, points
            assert Archive(layout).free_record(task_id) == f"{task_id}.2"
            assert 1 in Archive(layout).attempts_used(task_id)
            attempt = layout.attempt(task_id, 1)
            assert not attempt.exists() or (attempt / "transcript.jsonl").exists(), points
            document = layout.ended(TaskState.COMPLETED) / f"{task_id}.md"
            assert not document.exists() or layout.result(task_id).exists()
        reindexed = {each.task_id for each in past_settled(layout.results)}
        assert all(layout.result(each).exists() or each in reindexed for each in names)
        prune(layout, logs=WEEK)

        assert [path for each in names for path in files_of(layout, each)] == [], points
        assert list(layout.logs.iterdir()) == []
        lines = layout.past_ends.read_bytes().splitlines()
        assert all(json.loads(line)["id"] in names for line in lines)
        points += 1
    assert points > 20
