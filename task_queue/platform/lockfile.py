"""Locks that the kernel drops when their holder dies: flock(2) on a file that is never unlinked by us.

A lock file that is removed and created again would admit two holders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from task_queue.platform import durable

_FIRST_PAUSE_S = 0.0002
_HOLDER_BYTES = 200
_QUESTION_TAKES_S = 0.05
"""More than ``is_held`` takes to ask: it keeps the file locked for a moment."""


class FileLock:
    """Held by at most one open file of one path. What is written inside is information only.

    Not for several threads at once.
    """

    def __init__(self, path: Path, *, longest_pause_s: float = 0.01) -> None:
        """*longest_pause_s*: after how many seconds one that waits with a time limit looks again."""
        self._path = path
        self._longest_pause_s = longest_pause_s
        self._fd: int | None = None
        self._is_held = False

    def acquire(self, holder: str) -> bool:
        """As ``take``, waiting no longer than another may ask; notes *holder* in the file."""
        if self._is_held and self._fd is not None and _is_named(self._fd, self._path):
            return True
        if not self.take(within_s=_QUESTION_TAKES_S):
            self.release()
            return False
        assert self._fd is not None
        with contextlib.suppress(OSError):  # who holds it is for people only; a full disk must not matter
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{holder}\n".encode(), 0)
        return True

    def take(self, *, within_s: float | None = None, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Take the lock within that time, None: however long it takes; False if another holds it all the while.

        *give_up* is asked again and again whether to wait no longer; only where there is a time limit.

        Called again, it checks that the locked file is still the one that the path names (a user may
        have deleted it, or the folder), and takes the new one if not. Raises OSError.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        pause_s = min(_FIRST_PAUSE_S, self._longest_pause_s)
        while True:
            fd = self._opened()
            self._is_held = self._is_held or _locked(fd, wait=deadline is None)
            if not _is_named(
                fd, self._path
            ):  # the folder was deleted or moved away: its lock protects nothing
                self.release()
            elif self._is_held:
                return True
            elif deadline is not None:
                if give_up() or time.monotonic() >= deadline:
                    return False
                # flock(2) knows no time-out, and a signal to interrupt it would reach other code.
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, self._longest_pause_s)

    @contextmanager
    def held(self, *, within_s: float | None = None) -> Generator[None]:
        """Hold it while the block runs; the file stays open for the next time, until ``release``.

        Raises OSError; TimeoutError if another holds it all the while.
        """
        if not self.take(within_s=within_s):
            raise TimeoutError(f"{self._path}: another process holds the lock")
        fd = self._fd
        assert fd is not None
        try:
            yield
        finally:
            self._is_held = False
            fcntl.flock(fd, fcntl.LOCK_UN)

    @property
    def path(self) -> Path:
        return self._path

    def holder(self) -> str:
        """What the holder wrote about itself, empty if unknown."""
        try:
            return durable.read_regular(self._path, limit=_HOLDER_BYTES)[0].decode(errors="replace").strip()
        except OSError:
            return ""

    def release(self) -> None:
        fd, self._fd, self._is_held = self._fd, None, False
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        if self._fd is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
        return self._fd


@contextmanager
def locked(path: Path, *, within_s: float | None = None) -> Generator[None]:
    """Hold the lock file at *path*, made where there is none, while the block runs. Raises as ``FileLock.held``."""
    lock = FileLock(path)
    try:
        with lock.held(within_s=within_s):
            yield
    finally:
        lock.release()


@contextmanager
def locked_itself(path: Path) -> Generator[bool]:
    """Let one of several work on the file at *path*, waited for; False if another is there, or none, at our turn.

    Raises FileNotFoundError if there was none before.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _locked(fd, wait=True)
        yield _is_named(fd, path)
    finally:
        os.close(fd)


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock file at *path*, in whichever PID namespace or on whichever machine.

    None: nothing is known, because there is no such file, or none that can be locked.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        # Shared, so that two who ask at the same time do not take each other for the holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(fd)


def _locked(fd: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(fd: int, path: Path) -> bool:
    """Whether *path* still names the file that is open as *fd*."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except OSError:
        return False
