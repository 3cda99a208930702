"""Whether a waiting task can go elsewhere, or has things here that would not go with it."""

from __future__ import annotations

import os

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.layout import RUN, Layout


def why_tied(layout: Layout, archive: Archive, task_id: TaskId) -> str | None:
    """Why *task_id* has to stay in its source; None if its document is all that there is of it. Raises OSError."""
    document = naming.document_of(task_id)
    numbers = archive.attempts_used(task_id)
    ran = any(os.path.lexists(layout.attempt(task_id, number) / RUN) for number in numbers)
    if ran or os.path.lexists(layout.journal(document)):
        return "it was tried here before, and its attempts belong to this source"
    if os.path.lexists(layout.cancel(document)):
        return "it is to be cancelled"
    if os.path.lexists(layout.artifacts(task_id)):
        return "it has artifacts, which belong to this source"
    return None
