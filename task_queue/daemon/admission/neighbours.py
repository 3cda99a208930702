"""What runs in each source, and what may not run beside it; and how far apart attempts start."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from task_queue.daemon.admission.bounds import Bounds
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Held, Hold, starts_apart
from task_queue.domain.together import Neighbour, TogetherHold
from task_queue.git.location import workplace_of

_KNOWN_WITHIN = timedelta(seconds=30)
"""A source that an earlier daemon may have left something running in is waited for so long."""


class Neighbours:
    """Not thread-safe: the admission's lock guards it."""

    def __init__(self) -> None:
        self._running: dict[str, Neighbour] = {}
        self._unknown: dict[str, datetime] = {}
        self._last_start: datetime | None = None

    def expect(self, source: str, now: datetime) -> None:
        """What runs in *source* is not known before its worker has looked."""
        self._unknown[source] = now

    def looked(self, source: str) -> bool:
        """Whether that is news."""
        return self._unknown.pop(source, None) is not None

    def running_in(self, source: str) -> Neighbour | None:
        return self._running.get(source)

    def started(self, source: str, task: Waiting, *, bounds: Bounds) -> None:
        place = workplace_of(task, base=bounds.workspaces.get(source))
        self._running[source] = Neighbour(source, task.id, place)

    def note_start(self, now: datetime) -> None:
        self._last_start = now

    def left(self, source: str) -> None:
        self._running.pop(source, None)

    def hold(self, source: str, bounds: Bounds, now: datetime) -> Hold | None:
        others = tuple(each for name, each in self._running.items() if name != source)
        unknown = next((name for name, since in self._unknown.items() if now - since < _KNOWN_WITHIN), None)
        if not others and unknown is None:
            return None
        place_of = partial(workplace_of, base=bounds.workspaces.get(source))
        return TogetherHold(others, bounds.caps, place_of, unknown)

    def gap(self, bounds: Bounds, now: datetime) -> Held | None:
        """Why no attempt may start so soon after the last one."""
        if bounds.start_gap is None or self._last_start is None:
            return None
        return starts_apart(bounds.start_gap, last=self._last_start, now=now)
