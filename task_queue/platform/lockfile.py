"""A lock that the kernel drops when its holder dies: flock(2) on a file that is never unlinked by us."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class FileLock:
    """Held by at most one open file of one path. What is written inside is information only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, holder: str) -> bool:
        """Take the lock without waiting and note *holder* in it; False if another process holds it.

        Called again, it checks that the locked file is still the one that *path* names (a user may
        have deleted it, or the folder), and takes the new one if not.
        """
        if self._fd is not None:
            if self._is_named(self._fd):
                return True
            self.release()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        if not self._is_named(fd):  # unlinked and made anew between open and lock
            os.close(fd)
            return self.acquire(holder)
        self._fd = fd
        with contextlib.suppress(OSError):  # who holds it is for people only; a full disk must not matter
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{holder}\n".encode(), 0)
        return True

    def holder(self) -> str:
        """What the holder wrote about itself, empty if unknown."""
        try:
            return self._path.read_text(errors="replace").strip()
        except OSError:
            return ""

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_named(self, fd: int) -> bool:
        try:
            there = self._path.lstat()
        except OSError:
            return False
        ours = os.fstat(fd)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
