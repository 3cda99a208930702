"""Whether a task closed a cycle does not depend on which source was looked at first, also with duplicates in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from task_queue.daemon.cycles import SharedCycles
from task_queue.domain.task import TaskId
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.states import place_in
from task_queue.store.keyed_tasks import KeyedTasks
from tests.waiting import eventually

FIRST, SECOND = "task-20260207-110000-first", "task-20260207-110001-second"


@pytest.mark.parametrize("looked_at", ["ab", "ba"])
def test_a_duplicate_counts_in_the_cycle_that_its_first_closes(tmp_path: Path, looked_at: str) -> None:
    """The first of two with one key was changed last: it is rejected, so the second is no duplicate of it."""
    layouts = {name: Layout(tmp_path / name / "pending") for name in "ab"}
    keyed = KeyedTasks()
    cycles = SharedCycles(lambda task_id: place_in(layouts, task_id), wake=lambda _: None)
    engines = {
        name: FolderEngine(
            layout.pending, settle_s=lambda: 0, source=name, keyed=keyed, cycles=cycles.of(name)
        )
        for name, layout in layouts.items()
    }
    for engine in engines.values():
        engine.open()
    second = _drop(layouts["b"], SECOND, needs=FIRST)
    eventually(
        lambda: _drop(layouts["a"], FIRST, needs=SECOND).st_ctime_ns > second.st_ctime_ns,
        what="the first was changed last",
    )
    for name in looked_at * 2:
        engines[name].survey()
    surveys = {name: engine.survey() for name, engine in engines.items()}

    assert [(name, "closes a cycle" in why) for name, why in surveys["a"].rejected] == [(FIRST, True)]
    assert surveys["b"].rejected == ()
    assert [task.id for task in surveys["b"].waiting] == [SECOND]


def _drop(layout: Layout, name: str, *, needs: str) -> os.stat_result:
    path = layout.pending / f"{name}.md"
    path.write_text(f"---\ndedupe_key: k\ndepends_on: {TaskId(needs)}\n---\n# It\n")
    return path.stat()
