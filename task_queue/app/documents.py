"""The title of a document."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import TaskFileError
from task_queue.platform.durable import read_regular


def title_of(path: Path) -> str:
    """The title in the document at *path*, empty if it has none or cannot be read."""
    try:
        data, _ = read_regular(path, limit=MAX_BYTES)
        return parse(data, naming.task_id_of(path.name)).title
    except (OSError, TaskFileError):
        return ""
