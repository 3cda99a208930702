"""Removes the oldest complete segments of the event log that are beyond ``retention``; statistics keep their sums.

A reader whose cursor is in one of them gets ``cursor_reset`` and what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.retention import PrunedKind, overdue_segments
from task_queue.domain.work.worktrees import Idle, Keep
from task_queue.platform import durable
from task_queue.store.event_files import EventFolder, is_sealed
from task_queue.store.event_summaries import EventSummaries
from task_queue.store.retention import OnPruneStep, Prunable


def prune_events(
    events: Path,
    summaries: Path,
    keep: Keep | None,
    *,
    now: datetime,
    dry_run: bool = False,
    step: OnPruneStep = lambda _done, _of: None,
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[Prunable, ...]:
    """What is beyond *keep* in the epoch that is in use, the oldest first; *dry_run*: nothing goes.

    Raises OSError.
    """
    log = EventFolder(events)
    epoch = log.current_epoch()
    if keep is None or epoch is None:
        return ()
    going = overdue_segments(_sealed(log, epoch), keep, now=now)
    sums = EventSummaries(events, summaries)
    pruned: list[Prunable] = []
    for done, segment in enumerate(going):
        if stopping():
            break
        step(done, len(going))
        thing = Prunable(PrunedKind.EVENTS, segment.directory.name, None, segment.size_bytes)
        if not dry_run and not sums.outlives(epoch, int(segment.directory.stem)):
            pruned.append(replace(thing, why_kept="what statistics need of it cannot be kept"))
            break  # a later one would make a gap
        if not dry_run:
            durable.remove(segment.directory)
        pruned.append(thing)
    return tuple(pruned)


def _sealed(log: EventFolder, epoch: str) -> list[Idle]:
    """In their order, up to the first that is still written; never the newest."""
    found: list[Idle] = []
    for first in log.firsts(epoch)[:-1]:
        about = log.segment(epoch, first).lstat()
        if not is_sealed(about):
            break
        at = datetime.fromtimestamp(about.st_mtime, UTC)
        found.append(Idle(log.segment(epoch, first), at, about.st_size))
    return found
