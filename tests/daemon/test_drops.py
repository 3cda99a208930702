"""Which documents an event told of already."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.daemon.drops import Drops
from task_queue.domain.events import TaskDropped
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog

A, B = TaskId("task-a"), TaskId("task-b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def drops(folder: Path) -> Drops:
    """As a daemon that starts has them."""
    return Drops(folder / "dropped.json", folder / "events")


def test_an_older_document_is_known_after_an_orderly_end(folder: Path) -> None:
    """Of its own source only."""
    first = drops(folder)
    assert first.is_new("web", A, 1000)
    assert first.is_new("web", B, 900)  # seen later, because it was still being written
    first.save()

    again = drops(folder)
    assert not again.is_new("web", A, 1000)
    assert not again.is_new("web", B, 900)
    assert again.is_new("web", A, 1001)
    assert again.is_new("docs", A, 1000)


def test_after_a_kill_the_recent_events_are_asked(folder: Path) -> None:
    """Nothing was saved; a document of that name that came later is another one."""
    log = EventLog(folder / "events", segment_bytes=300)
    for n in range(10):
        log.emit(TaskDropped("web", TaskId(f"task-{n}")))
    log.emit(TaskDropped("web", A))
    log.close()

    again = drops(folder)
    assert not again.is_new("web", A, 1000)
    assert again.is_new("web", B, 1000)
    assert again.is_new("docs", A, 1000)
    assert again.is_new("web", A, 4 * 10**18)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"web": "x"}', "\x00"])
def test_marks_that_cannot_be_read_are_forgotten(folder: Path, text: str) -> None:
    (folder / "dropped.json").write_text(text)

    assert drops(folder).is_new("web", A, 1000)


def test_marks_that_cannot_be_written_do_no_harm(folder: Path) -> None:
    (folder / "dropped.json").mkdir()
    seen = drops(folder)
    seen.is_new("web", A, 1000)
    seen.save()
