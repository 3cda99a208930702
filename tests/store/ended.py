"""Ended tasks in the folders of a source, as the queue leaves them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.layout import Layout

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


def a_source(folder: Path) -> Layout:
    layout = Layout(folder / "pending")
    layout.create()
    return layout


def an_end(
    layout: Layout, name: str, *, days: float = 0, state: TaskState = TaskState.COMPLETED, **content: Any
) -> TaskId:
    """A task that ended so many *days* before noon; *content* is what else its result says."""
    task_id, at = TaskId(name), NOON - timedelta(days=days)
    (layout.ended(state) / f"{name}.md").write_text("# Do it\n")
    layout.report(task_id).write_text("It is done.\n")
    attempt = layout.attempt(task_id, 1)
    attempt.mkdir(parents=True)
    (attempt / "transcript.jsonl").write_text("{}\n" * 100)
    result = {
        "task_id": name,
        "success": state is TaskState.COMPLETED,
        "completed_at": at.isoformat(),
        "attempts": [{"number": 1}],
        **content,
    }
    layout.result(task_id).write_text(json.dumps(result))
    os.utime(layout.result(task_id), (at.timestamp(), at.timestamp()))
    if content.get("attention"):
        layout.needing.mkdir(exist_ok=True)
        layout.needs(task_id).write_text("{}\n")
    return task_id


def files_of(layout: Layout, task_id: TaskId) -> list[Path]:
    """Those that are left."""
    documents = (layout.ended(state) / f"{task_id}.md" for state in (TaskState.COMPLETED, TaskState.FAILED))
    others = (layout.report(task_id), layout.result(task_id), layout.needs(task_id))
    return [path for path in (*documents, *others) if path.exists()]
