"""Reading what may be missing, torn, huge or foreign; nothing here raises because of a file's content."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from task_queue.app.answers import Count
from task_queue.domain.document import naming
from task_queue.platform import durable

RECORD_LIMIT = 16 * 2**20
COUNT_LIMIT = 10_000
Record = Mapping[str, Any]


def record(path: Path) -> Record | str | None:
    """The JSON object in *path*, None if there is no such file, or a sentence on what is wrong with it."""
    try:
        data, _ = durable.read_regular(path, limit=RECORD_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        content: object = json.loads(data)
    except (ValueError, RecursionError):
        return "is not JSON"
    return cast("dict[str, Any]", content) if isinstance(content, dict) else "is not a JSON object"


def text_in(content: Record, key: str) -> str | None:
    value: object = content.get(key)
    return value if isinstance(value, str) else None


def whole_in(content: Record, key: str) -> int | None:
    value: object = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number_in(content: Record, key: str) -> float | None:
    value: object = content.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def time_in(content: Record, key: str) -> datetime | None:
    """An aware time; one without an offset is local."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(text_in(content, key) or "").astimezone()
    return None


def records_in(content: Record, key: str) -> Iterator[Record]:
    listed: object = content.get(key)
    if isinstance(listed, list):
        for item in cast("list[object]", listed):
            if isinstance(item, dict):
                yield cast("dict[str, Any]", item)


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
        with durable.open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError:
        return [], True
    lines = data.decode(errors="replace").split("\n")
    whole = size <= limit
    return (lines if whole else lines[1:])[:-1], whole
