"""Where a waiting task stands in its source: its place, and why it waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from task_queue.app.answers import ListedSource
from task_queue.app.circumstances import Circumstances
from task_queue.app.running import running_in
from task_queue.domain.task import TaskId

if TYPE_CHECKING:
    from task_queue.domain.document.ordering import Waiting


@dataclass(frozen=True, slots=True)
class Standing:
    """``place`` counts from 1, what runs included, and is at most ``of``."""

    place: int
    of: int
    why: str


def standing_in(
    circumstances: Circumstances, source: str, task_id: TaskId, *, also: Iterable[Waiting] = ()
) -> Standing | None:
    """None if *task_id* does not wait in *source* (any more), or its order is not known: very many wait, or a folder
    cannot be read. *also* is looked at as if it waited there.
    """
    listed = next(each for each in circumstances.sources if each.id == source)
    try:
        return _standing(circumstances, listed, task_id, also)
    except OSError:
        return None


def _standing(
    circumstances: Circumstances, listed: ListedSource, task_id: TaskId, also: Iterable[Waiting]
) -> Standing | None:
    survey = circumstances.snapshots.survey(listed.id)
    running, _ = running_in(listed.id, listed.folders, survey.locks, circumstances.now)
    if survey.unread:
        return None
    reasons = circumstances.snapshots.reasons(
        listed.id, now=circumstances.now, running=len(running), holds=circumstances.holds(listed), also=also
    )
    for place, (task, why) in enumerate(reasons, start=len(running) + 1):
        if task.id == task_id:
            return Standing(place, len(running) + len(reasons), why)
    return None
