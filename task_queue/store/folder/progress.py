"""How far who works on a task elsewhere has said to be, kept beside its logs; what was said first never falls."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, number_in, text_in
from task_queue.platform.records import encode
from task_queue.store.folder.files import make_folder
from task_queue.store.folder.layout import Layout

_LIMIT = 2**16
_NOTING = threading.Lock()
"""Held while what was said before is compared: a worker and a person may say it at the same time."""


@dataclass(frozen=True, slots=True)
class SaidProgress:
    """``percent``: 0 to 100."""

    percent: float | None = None
    step: str | None = None
    schema_version: int = 1


def said_progress(layout: Layout, task_id: TaskId) -> SaidProgress:
    """Empty where nothing was said, or what is there cannot be read."""
    content = json_object(layout.progress(task_id), limit=_LIMIT)
    if not isinstance(content, dict):
        return SaidProgress()
    percent = number_in(content, "percent")
    return SaidProgress(
        percent if percent is not None and 0 <= percent <= 100 else None, text_in(content, "step")
    )


def note_progress(layout: Layout, task_id: TaskId, percent: float | None, step: str | None) -> SaidProgress:
    """What holds from now on. Raises OSError. Only the process of the API notes it."""
    with _NOTING:
        before = said_progress(layout, task_id)
        if percent is None or (before.percent is not None and before.percent > percent):
            percent = before.percent
        now = SaidProgress(percent, step or before.step)
        if now != before:
            make_folder(layout, layout.log(task_id))
            durable.replace(layout.progress(task_id), encode(now))
        return now
