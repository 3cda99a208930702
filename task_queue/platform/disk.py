"""Whether the disk takes what is written: room, files, quota, and whether it works at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

_Name = TypeVar("_Name")


def free_mb_at(folder: Path) -> int | None:
    """MiB that are free on the file system of *folder*; None if it is not a directory, or cannot be asked."""
    return free_mb_by({None: folder}).get(None)


def is_refusal(code: int | None) -> bool:
    """Whether the error *code* of a call means that the disk is in trouble."""
    return code in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def why_refused(code: int | None, folder: Path) -> str | None:
    """What the error *code* of a call says of the disk of *folder*; None where the disk is not to blame."""
    match code:
        case errno.ENOSPC if _has_no_inodes(folder):
            return f"no inodes are left on the disk of {folder}: it holds as many files as it can"
        case errno.ENOSPC:
            return f"no space is left on the disk of {folder}"
        case errno.EDQUOT:
            return f"your quota on the disk of {folder} is used up"
        case errno.EROFS:
            return f"the disk of {folder} is read-only"
        case errno.EIO:
            return f"the disk of {folder} fails (input/output error); the kernel's log says more"
        case _:
            return None


def trouble_at(folder: Path, *, try_it: bool) -> str | None:
    """Why nothing can be written into *folder* now; None if nothing is known to be wrong.

    *try_it*: by writing a file without a name, which is gone at once: only that shows a used up quota.
    """
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return why_refused(errno.EROFS, folder)
        if _has_no_inodes(folder):
            return why_refused(errno.ENOSPC, folder)
        if try_it:
            fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, b"\0")
            finally:
                os.close(fd)
    except OSError as error:  # some file systems know no files without a name
        return why_refused(error.errno, folder)
    return None


def starts_programs(path: Path) -> bool:
    """Whether the file system of *path* is mounted so that programs can be started from it."""
    try:
        return not os.statvfs(path).f_flag & os.ST_NOEXEC
    except OSError:
        return True


def _has_no_inodes(folder: Path) -> bool:
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return room.f_files > 0 and room.f_favail == 0  # none at all: it counts none


def free_mb_by(folders: Mapping[_Name, Path]) -> dict[_Name, int]:
    """``free_mb_at`` for many, without those that cannot be asked; each file system is asked once."""
    found: dict[_Name, int] = {}
    of_device: dict[int, int] = {}
    for key, folder in folders.items():
        try:
            about = os.stat(folder)  # noqa: PTH116 - half of what Path.stat costs, for each of 500 sources
            if not stat.S_ISDIR(about.st_mode):
                continue
            if about.st_dev not in of_device:
                room = os.statvfs(folder)
                of_device[about.st_dev] = room.f_bavail * room.f_frsize // 2**20
        except OSError:
            continue
        found[key] = of_device[about.st_dev]
    return found
