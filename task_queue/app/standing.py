"""Where a waiting task stands in its source: its place, and why it waits."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.app.answers import ListedSource
from task_queue.app.circumstances import Circumstances
from task_queue.app.running import running_in
from task_queue.domain.task import TaskId


@dataclass(frozen=True, slots=True)
class Standing:
    """``place`` counts from 1, what runs included, and is at most ``of``."""

    place: int
    of: int
    why: str


def standing_in(circumstances: Circumstances, listed: ListedSource, task_id: TaskId) -> Standing | None:
    """None if *task_id* does not wait in *listed* (any more), or its order is not known because so many wait.

    Raises OSError.
    """
    survey = circumstances.snapshots.survey(listed.id)
    running, _ = running_in(listed.id, listed.folders, survey.locks, circumstances.now)
    reasons = circumstances.snapshots.reasons(
        listed.id, now=circumstances.now, running=len(running), holds=circumstances.holds(listed)
    )
    for place, (task, why) in enumerate(reasons, start=len(running) + 1):
        if task.id == task_id:
            return Standing(place, len(running) + len(reasons), why)
    return None
