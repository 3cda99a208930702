"""Room on the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

_Name = TypeVar("_Name")


def free_mb_at(folder: Path) -> int | None:
    """MiB that are free on the file system of *folder*; None if it is not a directory, or cannot be asked."""
    return free_mb_by({None: folder}).get(None)


def free_mb_by(folders: Mapping[_Name, Path]) -> dict[_Name, int]:
    """The same for many, without those that cannot be asked; each file system is asked once."""
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
