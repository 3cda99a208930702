"""One task as a person looks at it in a browser: all that is known, with what it asks and what came of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from task_queue.app.answers import ShowView
from task_queue.app.installation import Installation
from task_queue.app.listing import show_of
from task_queue.app.result_view import ResultView, view_of
from task_queue.app.task_files import file_of
from task_queue.app.tracked_task import TrackedTask
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.policy import Caller


@dataclass(frozen=True, slots=True)
class TaskSight:
    """``document`` and its ``sha256`` are empty where it cannot be read."""

    now: datetime
    task: TrackedTask
    show: ShowView
    result: ResultView | None
    document: str
    sha256: str


def task_sight(installation: Installation, task_id: str, caller: Caller, kept: KeptDocuments) -> TaskSight:
    """Raises UnknownTaskError, also where *caller* does not see the task."""
    task = tracked(installation, task_id, caller, kept)
    circumstances = installation.circumstances()
    show = show_of(circumstances, task.id, events=installation.locations.events)
    if show is None:
        raise UnknownTaskError(f"task {task_id} moved just now", hint="look again")
    text, sha256 = "", ""
    with suppress(UnknownTaskError, OSError):
        file = file_of(installation, task.id, "document")
        text, sha256 = file.data.decode(errors="replace"), file.sha256
    # Published before the task moves to where it has ended.
    result = view_of(show.result) if show.result is not None and task.state.ended else None
    return TaskSight(circumstances.now, task, show, result, text, sha256)
