"""Steps on single files that several of the engine's methods share."""

from __future__ import annotations

import errno
from pathlib import Path

from task_queue.platform import durable
from task_queue.platform.records import Decoded, UnreadableRecordError, decode

_RECORD_LIMIT = 64 * 2**20


def ino_of(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def publish_once(path: Path, data: bytes) -> None:
    """Publish unless an earlier try got this far; that one may have been killed before its name was durable."""
    try:
        durable.publish(path, data)
    except FileExistsError:
        durable.sync_directory(path.parent)


def move_to_free_name(source: Path, target: Path) -> Path:
    """Move to *target*, or beside it under a number where there is a file of that name; where it is now."""
    free, number = target, 1
    while True:
        try:
            durable.move(source, free)
        except FileExistsError:
            number += 1
            free = target.with_name(f"{target.name.removesuffix('.md')}.{number}.md")
        else:
            return free


def read_record(kind: type[Decoded], path: Path) -> Decoded | str | None:
    """The record in *path*, None if there is no such file, or why it is unreadable."""
    try:
        data, _ = durable.read_regular(path, limit=_RECORD_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ELOOP, errno.EACCES}:
            return f"unreadable: {error.strerror}"
        raise
    if len(data) > _RECORD_LIMIT:
        return f"unreadable: larger than {_RECORD_LIMIT:,} bytes"
    try:
        return decode(kind, data)
    except UnreadableRecordError as error:
        return f"unreadable: {error}"
