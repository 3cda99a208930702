"""What the machine itself does in a second: more than that no queue with these promises can do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_TEXT = b"x" * 1024


def renames(folder: Path, number: int) -> float:
    """Renames in one folder, per second."""
    one, other = folder / "one", folder / "other"
    one.write_bytes(b"")

    def rename(turn: int) -> None:
        os.rename(*((one, other) if turn % 2 == 0 else (other, one)))  # noqa: PTH104 - the system call is measured

    return _per_s(rename, number)


def publications(folder: Path, number: int) -> float:
    """Create, write 1 KB, fsync, rename, fsync the folder: one thing that survives a power cut, per second."""
    target = folder / "published"
    target.mkdir()
    directory = os.open(target, os.O_RDONLY)

    def publish(turn: int) -> None:
        draft = target / "draft"
        fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.write(fd, _TEXT)
        os.fsync(fd)
        os.close(fd)
        draft.rename(target / str(turn))
        os.fsync(directory)

    try:
        return _per_s(publish, number)
    finally:
        os.close(directory)


def starts(argv: Sequence[str], number: int) -> float:
    """Programs started and waited for, one after the other, per second."""
    return _per_s(lambda _: subprocess.run(argv, check=True), number)


def _per_s(act: Callable[[int], object], number: int) -> float:
    began = time.perf_counter()
    for turn in range(number):
        act(turn)
    return number / (time.perf_counter() - began)
