"""A wake-up that a thread can wait for together with other descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import time


class Wakeup:
    """Any thread may wake the one that waits; several calls between two waits count as one."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.awake_since: float | None = time.monotonic()
        """Since when the waiter does something else than wait; None while it waits."""

    def fileno(self) -> int:
        return self._fd

    def wake(self) -> None:
        """Safe from a signal handler."""
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        """Wait for a wake-up or for one of *others* to become readable; True if anything happened in time."""
        poll = select.poll()
        for fd in (self._fd, *others):
            poll.register(fd, select.POLLIN)
        self.awake_since = None
        ready = poll.poll(None if timeout_s is None else max(0, timeout_s) * 1000)
        self.awake_since = time.monotonic()
        if any(fd == self._fd for fd, _ in ready):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._fd)
        return bool(ready)

    def close(self) -> None:
        os.close(self._fd)
