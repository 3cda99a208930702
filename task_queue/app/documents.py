"""The title of a document, and the type of the work that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import Task
from task_queue.platform.durable import read_regular

if TYPE_CHECKING:
    from task_queue.domain.document.layers import Layers


def title_of(path: Path) -> str:
    """The title in the document at *path*, empty if it has none or cannot be read."""
    task = _task_in(path)
    return "" if task is None else task.title


def type_of(path: Path, layers: Layers) -> str:
    """The type of the work, where *layers* holds the owner's defaults; empty if it cannot be said."""
    task = _task_in(path)
    try:
        return "" if task is None else layers.known_settings_of(task.given).type
    except TaskFileError:
        return ""


def _task_in(path: Path) -> Task | None:
    try:
        data, _ = read_regular(path, limit=MAX_BYTES)
        return parse(data, naming.task_id_of(path.name))
    except (OSError, TaskFileError):
        return None
