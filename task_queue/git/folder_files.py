"""The files of a workspace that is in no git repository, before and after a task."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from task_queue.domain.document.naming import key_of
from task_queue.domain.work.by_products import FOLDERS, MARKERS, by_product_of
from task_queue.domain.work.folder_changes import FolderChanges, Stamp, changes_between_looks
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.ports.executor import Order

MOST_FILES = 50_000
_LIMIT = 2**25
_SUFFIX = ".files.json"
_LEFT_OUT = frozenset({*FOLDERS, ".git"})


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """A folder and what was in it before the task; no *before* where that was too much to look at."""

    folder: Path
    leave_out: tuple[Path, ...] = ()
    """Folders of the queue."""
    before: dict[str, Stamp] | None = None

    @property
    def note(self) -> str | None:
        """What a person should know of it."""
        if self.before is not None:
            return None
        return f"{self.folder} holds more than {MOST_FILES:,} files, or cannot be read: nothing says which changed"

    def changes(self) -> FolderChanges | None:
        """What is different now; None where nothing can say it."""
        now = None if self.before is None else _files_in(self.folder, self.leave_out)
        return None if self.before is None or now is None else changes_between_looks(self.before, now)


@dataclass(frozen=True, slots=True)
class _FirstLook:
    """The record of a task that is not done."""

    folder: Path
    files: dict[str, Stamp] = field(default_factory=dict[str, Stamp])


def look_at(order: Order) -> FolderFiles:
    """The workspace of *order* now."""
    leave_out = tuple(folder.resolve() for folder in order.queue_dirs)
    return FolderFiles(order.workspace, leave_out, _files_in(order.workspace, leave_out))


def first_look_at(order: Order) -> FolderFiles:
    """As the first attempt of the task found it, as far as that could be kept until ``forget_first_look``."""
    path = _record_of(order)
    with suppress(OSError, UnreadableRecordError):
        kept = decode(_FirstLook, durable.read_regular(path, limit=_LIMIT)[0])
        if kept.folder == order.workspace:
            return FolderFiles(
                order.workspace, tuple(each.resolve() for each in order.queue_dirs), kept.files
            )
    found = look_at(order)
    if found.before is not None:
        with suppress(OSError):
            durable.make_directory(path.parent)
            durable.replace(path, encode(_FirstLook(found.folder, found.before)))
    return found


def forget_first_look(order: Order) -> None:
    with suppress(OSError):  # the daemon removes it later
        durable.remove(_record_of(order))


def first_looks_in(folder: Path) -> dict[str, Path]:
    """The records in *folder*, where a source's checkouts are, by the key of their task."""
    found = folder.glob(f".*{_SUFFIX}")
    return {path.name.removeprefix(".").removesuffix(_SUFFIX): path for path in found}


def _record_of(order: Order) -> Path:
    return order.git.worktrees / f".{key_of(order.claim.task_id)}{_SUFFIX}"


def _files_in(folder: Path, leave_out: Collection[Path]) -> dict[str, Stamp] | None:
    """By path from *folder*, without what tools leave; links are not followed. None where there are too many."""
    found: dict[str, Stamp] = {}
    root = folder.resolve()
    rest = [root]
    while rest:
        place = rest.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            if place == root:
                return None
            continue  # the task could not read it either
        if place != root and any(entry.name in MARKERS for entry in entries):
            continue
        for entry in entries:
            path = os.path.relpath(entry.path, root)
            if entry.is_dir(follow_symlinks=False):
                below = Path(entry.path)
                if entry.name not in _LEFT_OUT and below not in leave_out:
                    rest.append(below)
            elif by_product_of(path, frozenset()) is None:
                with suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    found[path] = (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            if len(found) > MOST_FILES:
                return None
    return found
