"""Documents that a person writes in an editor: files that stay until the task is in the queue."""

from __future__ import annotations

import itertools
from pathlib import Path

from task_queue.app.adding import read_document
from task_queue.app.installation import Installation
from task_queue.platform import durable


def begin(installation: Installation, text: str, *, continues: str = "") -> Path:
    """A file with *text*, for the user alone: *continues* if it is a draft, else a new one. Raises OSError."""
    folder = installation.locations.drafts
    durable.make_directory(folder)
    earlier = Path(continues).absolute()
    if continues and earlier.parent == folder:
        write(earlier, text)
        return earlier
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        path = folder / f"{installation.now().astimezone():%Y%m%d-%H%M%S}{suffix}.md"
        try:
            durable.publish(path, text.encode())
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")


def text_of(draft: Path) -> str:
    """As the editor left it; raises TaskQueueError."""
    return read_document(draft)


def write(draft: Path, text: str) -> None:
    """Raises OSError."""
    durable.replace(draft, text.encode())


def discard(draft: Path) -> None:
    """Once it is in the queue, or says nothing."""
    durable.remove(draft)
