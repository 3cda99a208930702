"""Steps on single files that several of the engine's methods share."""

from __future__ import annotations

import contextlib
import errno
import stat
import uuid
from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.records import Decoded, UnreadableRecordError, decode
from task_queue.store.folder.layout import Layout

_RECORD_LIMIT = 64 * 2**20


def ino_of(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def keep_in_logs(layout: Layout, path: Path) -> Path:
    """Move what is in the place of a file or folder of the queue to where it can be looked at; its new place."""
    return durable.move_aside(path, layout.logs / f"{path.name.removeprefix('.')}.{uuid.uuid4().hex[:8]}")


def remove_file(layout: Layout, path: Path) -> None:
    """Remove a file of the queue; a folder in its place is kept in ``logs/``."""
    try:
        durable.remove(path)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
        keep_in_logs(layout, path)


def replace_file(layout: Layout, path: Path, data: bytes) -> None:
    """Replace a file of the queue; a folder in its place is kept in ``logs/``."""
    try:
        durable.replace(path, data)
    except IsADirectoryError:
        keep_in_logs(layout, path)
        durable.replace(path, data)


def make_attempt(layout: Layout, task_id: TaskId, number: int) -> Path:
    """The folder of an attempt, usable. What else is in its place, or in that of its parent, is kept in ``logs/``."""
    for folder in (layout.log(task_id), layout.attempt(task_id, number)):
        make_folder(layout, folder)
    return folder


def make_folder(layout: Layout, folder: Path) -> None:
    """Make *folder*, which is one task's, usable for us."""
    with contextlib.suppress(FileNotFoundError):
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            keep_in_logs(layout, folder)
        elif mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IRWXU)
    durable.make_directory(folder)


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
    except (FileNotFoundError, NotADirectoryError):
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
