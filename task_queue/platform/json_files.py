"""JSON that may be missing, torn, huge or foreign: people, agents, other programs and power cuts leave such files.

Nothing here raises because of what a file holds. A file is read to a limit, and only if it is a regular one: a
link is not followed, and a FIFO is not waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, cast

from task_queue.platform import durable

RECORD_LIMIT = 16 * 2**20
"""Bytes; no record of the queue comes near it."""
_SEARCHED_AT_ONCE = 4 * 2**20
Record = Mapping[str, Any]


def json_object(path: Path, *, limit: int = RECORD_LIMIT) -> dict[str, Any] | str | None:
    """The JSON object in *path*, None if there is no such file, or what is wrong with it: the rest of a sentence."""
    try:
        data, _ = durable.read_regular(path, limit=limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return f"is larger than {limit:,} bytes" if len(data) > limit else object_in(data)


def object_in(data: bytes | str) -> dict[str, Any] | str:
    """The JSON object in *data*, or what is wrong with it: the rest of a sentence."""
    try:
        content: object = json.loads(data)
    except (ValueError, RecursionError):
        return "is not JSON"
    return cast("dict[str, Any]", content) if isinstance(content, dict) else "is not a JSON object"


def last_lines(path: Path, *, limit: int, unended: bool = True) -> tuple[list[str], bool]:
    """The lines within the last *limit* bytes of *path*, and whether these are all. Raises OSError.

    The first is left out where it may be a part of one. *unended*: with what follows the last newline, which may
    be a line that is not written to its end.
    """
    with durable.open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read(limit)
    lines = data.decode(errors="replace").split("\n")
    if not (lines[-1] and unended):
        lines.pop()
    whole = size <= limit
    return (lines if whole else lines[1:]), whole


def lines_with(words: bytes, path: Path, *, limit: int) -> Iterator[str]:
    """The lines of *path* that hold *words*, from its end; only the last *limit* bytes are searched. Raises OSError."""
    with durable.open_regular(path) as file:
        end = file.seek(0, os.SEEK_END)
        last, unfinished = max(0, end - limit), b""
        while end > last:
            begin = max(last, end - _SEARCHED_AT_ONCE)
            file.seek(begin)
            unfinished, *whole = (file.read(end - begin) + unfinished).split(b"\n")
            end = begin
            for line in reversed(whole):
                if words in line:
                    yield line.decode(errors="replace")
        if last == 0 and words in unfinished:
            yield unfinished.decode(errors="replace")


def text_in(content: Record, key: str) -> str | None:
    value: object = content.get(key)
    return value if isinstance(value, str) else None


def texts_in(content: Record, key: str) -> tuple[str, ...]:
    listed: object = content.get(key)
    items = cast("list[object]", listed) if isinstance(listed, list) else []
    return tuple(item for item in items if isinstance(item, str))


def whole_in(content: Record, key: str) -> int | None:
    value: object = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number_in(content: Record, key: str) -> float | None:
    """A finite one: sums and comparisons with it must mean something."""
    value: object = content.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value) if isfinite(value) else None
    return None


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
