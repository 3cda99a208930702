"""A wake-up that a thread can wait for together with other descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import time


def readable(*fds: int, timeout_s: float | None) -> list[int]:
    """Those of *fds* that can be read, or are at their end, after at most *timeout_s*; None: however long it takes.

    A process may have more descriptors than select(2) can count.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)]


class Wakeup:
    """Any thread may wake the one that waits; several calls between two waits count as one."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.awake_since: float | None = time.monotonic()
        """Since when the waiter does something else than wait; None while it waits."""
        self._waits_ended = 0

    def fileno(self) -> int:
        return self._fd

    def wake(self) -> None:
        """Safe from a signal handler."""
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        """Wait for a wake-up or for one of *others* to become readable; True if anything happened in time."""
        self.awake_since = None
        ready = readable(self._fd, *others, timeout_s=timeout_s)
        self._waits_ended += 1  # before the wake-up is taken, so that ``rest`` never misses both
        self.awake_since = time.monotonic()
        if self._fd in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._fd)
        return bool(ready)

    @property
    def rest(self) -> int | None:
        """Which of its waits the waiter is in, None if it does something or was woken. For any thread.

        The same number at two moments: nothing was done and no wake-up came between them.
        """
        if readable(self._fd, timeout_s=0) or self.awake_since is not None:
            return None
        return self._waits_ended

    def close(self) -> None:
        os.close(self._fd)
