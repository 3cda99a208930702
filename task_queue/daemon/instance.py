"""One daemon for a configuration: its locks, and the end of what a dead one left running."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager

from task_queue.config import schema
from task_queue.config.locations import Locations, demand_trusted_folders
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.ports.executor import marker_of
from task_queue.store.folder.engine import FolderEngine

log = logging.getLogger(__name__)


@contextmanager
def only_daemon(locations: Locations) -> Generator[Callable[[], bool]]:
    """Raises TaskQueueError, which names the holder, while another daemon serves that configuration.

    Yields a question to be asked now and then: is this still the only one? It puts back folders and locks
    that were removed; False if another daemon was quicker.
    """
    if not identity.proc_is_ours():
        raise TaskQueueError(
            "/proc shows the processes of another PID namespace, so that no process could be watched or ended",
            hint="mount it anew in the container: mount -t proc proc /proc",
        )
    demand_trusted_folders(*locations.folders)
    demand_regular_files(locations)
    _make_directories(locations)
    # Two, because XDG_RUNTIME_DIR differs between a login and a cron job, and the state file has one writer.
    locks = [FileLock(locations.daemon_lock), FileLock(locations.state_lock)]
    try:
        for lock in locks:
            if not lock.acquire(f"pid {os.getpid()}"):
                raise TaskQueueError(
                    f"another daemon serves {locations.config} already ({lock.holder()})",
                    hint="look at it with: task-queue status",
                )
        with contextlib.suppress(OSError):  # of no further use, and no reason not to start
            durable.sweep_temporaries(locations.state_dir)
        yield lambda: _still_hold(locks, locations)
    finally:
        for lock in locks:
            lock.release()


def demand_regular_files(locations: Locations) -> None:
    """Raise TaskQueueError if something else than a file is where our state is kept: a FIFO would hold us up."""
    for path in locations.files:
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise TaskQueueError(
                f"{path} is not a regular file, and task-queue keeps its state there",
                hint=f"move it away: mv {shlex.quote(str(path))} ELSEWHERE",
            )


def sweep(locations: Locations) -> int:
    """End every process of this configuration's attempts, while no daemon serves it; how many there were.

    What the service manager calls after a daemon that hung while it was being stopped.
    """
    with only_daemon(locations):
        ended = 0
        for source in schema.load(locations.config).sources:
            for claim in FolderEngine(source.path).queue.claims():
                ended += identity.end_tree(marker_of(source.id, claim), grace_s=5)
        return ended


def _still_hold(locks: list[FileLock], locations: Locations) -> bool:
    try:
        _make_directories(locations)
        return all(lock.acquire(f"pid {os.getpid()}") for lock in locks)
    except OSError as error:
        log.warning("locks not looked at path=%s error=%s", locations.daemon_lock, error)
        return True


def _make_directories(locations: Locations) -> None:
    durable.make_directory(locations.state_dir)
    durable.make_directory(locations.runtime_dir)
