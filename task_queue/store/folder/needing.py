"""The index of the results that may need a person. The result decides: an entry without one does no harm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.store.folder.files import publish_once, remove_file
from task_queue.store.folder.layout import Layout


def note_need(layout: Layout, task_id: TaskId) -> None:
    """Before the result is published: no crash may leave one that readers would not find. Raises OSError."""
    durable.make_directory(layout.needing)
    publish_once(layout.needs(task_id), b"{}\n")


def forget_need(layout: Layout, task_id: TaskId) -> None:
    """Raises OSError."""
    if os.path.lexists(layout.needs(task_id)):
        remove_file(layout, layout.needs(task_id))


def note_need_of(layout: Layout, result: Mapping[str, Any]) -> bool:
    """Whether the published *result*, a file's JSON, needs a person; then the index has it. Raises OSError.

    Nothing is removed: a result may be published meanwhile, after its entry.
    """
    task_id: object = result.get("task_id")
    if not result.get("attention") or not isinstance(task_id, str) or not naming.is_task_id(task_id):
        return False
    if not os.path.lexists(layout.needs(TaskId(task_id))):
        note_need(layout, TaskId(task_id))
    return True
