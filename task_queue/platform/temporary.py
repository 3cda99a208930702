"""Folders for what a program keeps only while it runs: each is one process' own, and goes with it.

Not in ``/tmp``: a name there that can be guessed may be another user's before it is ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from itertools import count
from pathlib import Path

from task_queue.platform.durable import make_directory
from task_queue.platform.identity import identity_of, own_identity


def make(folder: Path) -> Path:
    """A new folder of this process in *folder*, for us alone (0700 whatever the umask). Raises OSError."""
    make_directory(folder)
    owner = own_identity()
    # Short, because the agent puts sockets there, whose paths may have 107 bytes.
    return Path(tempfile.mkdtemp(prefix=f"{owner.pid}-{owner.pid_start_ticks}-", dir=folder))


def sweep(folder: Path) -> int:
    """Remove the folders of processes that have ended; how many there were. Raises OSError."""
    swept = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        pid, ticks, *_ = (*path.name.split("-"), "")
        owner = identity_of(int(pid)) if pid.isdecimal() else None
        if owner is None or str(owner.pid_start_ticks) != ticks:
            remove_tree(path)
            swept += 1
    return swept


def remove_tree(path: Path) -> None:
    """Remove *path* with all that is in it, below folders that may not be written and however deep. Raises OSError."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(path)
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    numbers = count()
    path.chmod(stat.S_IRWXU)
    while folders := [Path(entry.path) for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
            for inner in list(folder.iterdir()):
                if inner.is_symlink() or not inner.is_dir():
                    inner.unlink()
                    continue
                inner.chmod(stat.S_IRWXU)
                # One level up at a time: neither a path nor the stack grows with the depth.
                inner.rename(_free_in(path, numbers))
            folder.rmdir()
    for left in path.iterdir():
        left.unlink()
    path.rmdir()


def _free_in(folder: Path, numbers: count[int]) -> Path:
    return next(name for number in numbers if not os.path.lexists(name := folder / f".removed-{number}"))
