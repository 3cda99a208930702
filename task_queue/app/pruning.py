"""``prune``: what is beyond ``retention`` goes, or is only named. The daemon does the same while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.errors import TaskQueueError
from task_queue.git.merged_branches import MergedBranches
from task_queue.store.event_retention import prune_events
from task_queue.store.retention import Prunable, SourceRetention, needed_by_waiting
from task_queue.store.snapshot import ReadSource

__all__ = ["Prunable", "PrunedFiles", "prune"]


@dataclass(frozen=True, slots=True)
class PrunedFiles:
    removed: tuple[Prunable, ...]
    """What went, or would go."""
    kept: tuple[Prunable, ...]
    """What is beyond a limit and stays, with the reason."""
    is_configured: bool
    """Whether ``retention`` limits anything."""


def prune(
    installation: Installation,
    *,
    dry_run: bool = False,
    step: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> PrunedFiles:
    """Remove what is beyond the limits in every source and in the event log; *dry_run*: only say what.

    *step* is called with what is looked at, how many of it are done, and of how many. Raises TaskQueueError where a
    source cannot be read, ConfigError.
    """
    from task_queue.config.schema import load

    installation.demand_trust()
    locations = installation.locations
    retention = load(locations.config).retention
    if not retention.is_on:
        return PrunedFiles((), (), is_configured=False)
    found: list[Prunable] = []
    sources = installation.sources()
    is_settled = MergedBranches().has_settled
    try:
        needed = needed_by_waiting(ReadSource(each.id, each.folders, each.layers) for each in sources)
        for source in sources:
            of_source = SourceRetention(
                source.id, source.folders, needed=needed, is_settled=is_settled, now=installation.now()
            )
            found += of_source.prune(
                results=retention.results.keep,
                logs=retention.logs.keep,
                dry_run=dry_run,
                step=partial(step, f"looking through source '{source.id}'"),
            )
        found += prune_events(
            locations.events,
            locations.summaries,
            retention.events.keep,
            now=installation.now(),
            dry_run=dry_run,
            step=partial(step, "looking through the event log"),
        )
    except (OSError, ValueError) as error:
        raise TaskQueueError(f"not pruned further: {error}", hint="see: task-queue doctor") from error
    removed = tuple(thing for thing in found if thing.why_kept is None)
    if removed and not dry_run:
        record_action(installation, "prune")
    return PrunedFiles(
        removed, tuple(thing for thing in found if thing.why_kept is not None), is_configured=True
    )
