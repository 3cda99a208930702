"""Reading what may be missing, torn, huge or foreign; nothing here raises because of a file's content."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from task_queue.app.answers import Count
from task_queue.domain.document import naming
from task_queue.platform.json_files import (
    Record,
    json_object,
    last_lines,
    lines_with,
    number_in,
    object_in,
    records_in,
    text_in,
    texts_in,
    time_in,
    whole_in,
)

__all__ = [
    "Record",
    "count_tasks",
    "lines_with",
    "names_in",
    "number_in",
    "object_in",
    "record",
    "records_in",
    "tail_of",
    "text_in",
    "texts_in",
    "time_in",
    "whole_in",
]

COUNT_LIMIT = 10_000


def record(path: Path) -> Record | str | None:
    """The JSON object in *path*, None if there is no such file, or what is wrong with it: the rest of a sentence."""
    return json_object(path)


def names_in(folder: Path) -> list[str] | str:
    """Every name in *folder*, unsorted, or why it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError as error:
        return f"{error.strerror}: {folder}"


def count_tasks(folder: Path) -> Count:
    """How many task documents *folder* holds; counting stops at ``COUNT_LIMIT``."""
    number = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if naming.why_not_a_task(entry.name) is None:
                if number == COUNT_LIMIT:
                    return Count(number, more=True)
                number += 1
    return Count(number)


def tail_of(path: Path, limit: int) -> tuple[list[str], bool]:
    """The whole lines within the last *limit* bytes of *path*, and whether that is all of it."""
    try:
        return last_lines(path, limit=limit, unended=False)
    except OSError:
        return [], True
