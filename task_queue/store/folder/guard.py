"""Which process serves a source: one at a time, also where two configurations name the same folder."""

from __future__ import annotations

import os

from task_queue.domain.errors import EngineUnavailable
from task_queue.platform.lockfile import FileLock
from task_queue.store.folder.layout import Layout


class SourceGuard:
    """Of one source. Raises OSError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = FileLock(layout.guard)
        self._served: tuple[tuple[int, int], ...] | None = None
        """Which folders were found fit to build on; others in their place are looked at first."""

    @property
    def serves(self) -> bool:
        """Whether this process serves the source, or has served it."""
        return self._served is not None

    def demand(self) -> None:
        """Raises EngineUnavailable while another process serves the source."""
        if not self.acquire():
            raise EngineUnavailable(
                f"{self._layout.root} is served by another daemon ({self._lock.holder()})",
                hint="a folder can belong to one configuration only",
            )

    def acquire(self) -> bool:
        return self._lock.acquire(f"pid {os.getpid()}")

    def settle_in(self) -> None:
        """The folders that are there now are the ones to serve."""
        self._served = self._folders()

    def is_displaced(self) -> bool:
        """Whether other folders were put in the place of those that are served."""
        return self._served != self._folders()

    def release(self) -> None:
        self._lock.release()

    def _folders(self) -> tuple[tuple[int, int], ...]:
        layout = self._layout
        return tuple((about.st_dev, about.st_ino) for about in (layout.root.stat(), layout.pending.lstat()))
