"""One daemon for a configuration: its locks, and the end of what a dead one left running."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from task_queue.adapters.config import schema
from task_queue.adapters.config.locations import Locations
from task_queue.adapters.engine.folder import FolderEngine
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.ports import marker_of


@contextmanager
def only_daemon(locations: Locations) -> Generator[None]:
    """Raises TaskQueueError, which names the holder, while another daemon serves that configuration."""
    durable.make_directory(locations.state_dir)
    durable.make_directory(locations.runtime_dir)
    # Two, because XDG_RUNTIME_DIR differs between a login and a cron job, and the state file has one writer.
    locks = [FileLock(locations.daemon_lock), FileLock(locations.state_lock)]
    try:
        for lock in locks:
            if not lock.acquire(f"pid {os.getpid()}"):
                raise TaskQueueError(
                    f"another daemon serves {locations.config} already ({lock.holder()})",
                    hint="look at it with: task-queue status",
                )
        yield
    finally:
        for lock in locks:
            lock.release()


def sweep(locations: Locations) -> int:
    """End every process of this configuration's attempts, while no daemon serves it; how many there were.

    What the service manager calls after a daemon that hung while it was being stopped.
    """
    with only_daemon(locations):
        ended = 0
        for source in schema.load(locations.config).sources:
            for claim in FolderEngine(source.path).claims():
                ended += identity.end_tree(marker_of(source.id, claim), grace_s=5)
        return ended
