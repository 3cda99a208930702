"""What a document says of itself, read as cheaply as it can be: front matter only where there is some."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document import naming
from task_queue.domain.document.ordering import Waiting, waiting_for
from task_queue.domain.document.settings import resolve
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


def waiting_in(folder: Path, name: str, *, next_try: Delay | None) -> Waiting | str | None:
    """The document as ordering sees it, None if it is gone, or why it will be rejected."""
    task_id = naming.task_id_of(name)
    try:
        data, about = read_regular(folder / name, limit=MAX_BYTES)
        task = parse(data, task_id)
        settings = resolve(task.given)
    except FileNotFoundError:
        return None
    except (OSError, TaskFileError) as error:
        return str(error)
    dropped_at = naming.time_in(name) or datetime.fromtimestamp(about.st_mtime, UTC)
    return waiting_for(task, settings, dropped_at=dropped_at, next_try=next_try)
