"""What may not run beside what runs; and how far apart attempts start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.running import RunningTasks
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Held, Hold, starts_apart
from task_queue.domain.together import TogetherHold, Workplace
from task_queue.git.location import workplace_of

_KNOWN_WITHIN = timedelta(seconds=30)
"""A source that an earlier daemon may have left something running in is waited for so long."""


class Neighbours:
    """Not thread-safe: the admission's lock guards it."""

    def __init__(self, running: RunningTasks) -> None:
        self._running = running
        self._unknown: dict[str, datetime] = {}

    def expect(self, source: str, now: datetime) -> None:
        """What runs in *source* is not known before its worker has looked."""
        self._unknown[source] = now

    def know(self, source: str) -> bool:
        """What runs in *source* is known now; whether that is news."""
        return self._unknown.pop(source, None) is not None

    def hold(self, source: str, bounds: Bounds, now: datetime) -> Hold | None:
        """What runs in *source* itself counts, too: workers carry out several of its tasks at once."""
        others = tuple(each for task in self._running.all if (each := task.neighbour) is not None)
        unknown = next((name for name, since in self._unknown.items() if now - since < _KNOWN_WITHIN), None)
        if not others and unknown is None:
            return None
        return TogetherHold(others, bounds.caps, lambda task: place_of(source, task, bounds), unknown)

    def gap(self, bounds: Bounds, now: datetime) -> Held | None:
        """Why no attempt may start so soon after the last one."""
        last = self._running.last_start
        if bounds.start_gap is None or last is None:
            return None
        return starts_apart(bounds.start_gap, last=last, now=now)


def place_of(source: str, task: Waiting, bounds: Bounds) -> Workplace:
    """Where *task* of *source* works, or would."""
    told = replace(task, in_place=False) if source in bounds.remote else task
    return workplace_of(told, base=bounds.workspaces.get(source))
