"""Ends what an attempt runs where its host may not go on with it: others may soon take the host for dead.

A runner outlives its daemon, so it looks for itself.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from task_queue.domain.peers import LEASE_S
from task_queue.platform import identity
from task_queue.platform.leases import LeaseFile

_LOOK_S = 1.0
_GRACE_S = 3.0


class LeaseFence:
    """While it is entered, what this process runs is suspended, then ended, once *lease* was not renewed in time."""

    def __init__(self, lease: Path | None, marker: str) -> None:
        self._lease = None if lease is None else LeaseFile(lease)
        self._marker = marker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lease", daemon=True)

    @property
    def is_over(self) -> bool:
        """The host may not go on: nothing is to begin."""
        return self._lease is not None and self._lease.age_s() >= LEASE_S / 2

    def __enter__(self) -> Self:
        if self._lease is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._lease is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self.is_over:
            if self._over.wait(_LOOK_S):
                return
        os.kill(os.getpid(), signal.SIGTERM)
        if not self._over.wait(_GRACE_S):
            identity.end_tree(self._marker, root=os.getpid(), grace_s=0.0, git_grace_s=_GRACE_S)
