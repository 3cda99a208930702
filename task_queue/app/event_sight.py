"""Which events a caller sees: those of tasks that it sees, and of sources that its policy allows."""

from __future__ import annotations

from itertools import islice

from task_queue.app.event_feed import EventReader, LoggedEvent
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.policy import Caller
from task_queue.store.event_reader import CURSOR_RESET

_MOST_TASKS = 10_000


class EventSight:
    def __init__(self, installation: Installation, caller: Caller, kept: KeptDocuments) -> None:
        self._installation = installation
        self._caller = caller
        self._kept = kept
        self._seen: dict[str, bool] = {}

    def sees(self, event: LoggedEvent) -> bool:
        policy = self._caller.policy
        if policy.is_unlimited or event.type == CURSOR_RESET:
            return True
        if event.source is None:
            return False
        if not policy.allows_source(event.source):
            return False
        return not policy.own if event.task_id is None else self._sees_task(event.task_id)

    def _sees_task(self, task_id: str) -> bool:
        """A task's traits stay, so each is looked up once."""
        if task_id not in self._seen:
            if len(self._seen) >= _MOST_TASKS:
                self._seen.clear()
            try:
                tracked(self._installation.again(), task_id, self._caller, self._kept)
                self._seen[task_id] = True
            except UnknownTaskError:
                return False
        return self._seen[task_id]


def events_of(reader: EventReader, sight: EventSight, limit: int) -> tuple[list[LoggedEvent], bool]:
    """At most *limit* that follow and are seen, and whether there may be more at once. Raises OSError."""
    events = list(islice((event for event in reader.events() if sight.sees(event)), limit))
    return events, len(events) == limit
