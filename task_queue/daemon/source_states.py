"""What the state file shows of each served source; made again only where something may have changed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.admission.running import described
from task_queue.daemon.served_source import ServedSource
from task_queue.daemon.worker import Worker

log = logging.getLogger(__name__)


class SourceStates:
    """``changed`` is for any thread, all else for the daemon's main thread."""

    def __init__(self, admission: SharedAdmission) -> None:
        self._admission = admission
        self._unwatched: Mapping[str, str] = {}
        self._disk_troubles: Mapping[str, str] = {}
        self._changed: deque[str] = deque()
        self._described: Mapping[str, dict[str, Any]] = {}

    def changed(self, *source_ids: str) -> None:
        """Something else may have to be shown of them."""
        self._changed.extend(source_ids)

    def set_unwatched(self, unwatched: Mapping[str, str]) -> bool:
        """Why no file events come from a source, by source; whether that is another answer than before."""
        is_new = unwatched != self._unwatched
        self._unwatched = unwatched
        return is_new

    def is_watched(self, source_id: str) -> bool:
        return source_id not in self._unwatched

    def look_at_disks(self, served: Mapping[str, ServedSource]) -> None:
        busy = [name for name, each in served.items() if each.worker.running or each.worker.trouble]
        troubles = self._admission.limits.disk_troubles({*busy, *self._disk_troubles})
        if troubles != self._disk_troubles:
            for source_id, why in troubles.items():
                if why != self._disk_troubles.get(source_id):
                    log.warning("disk refuses source=%s why=%s", source_id, why)
            self._disk_troubles = troubles
            self.changed(*served)

    def describe(self, served: Mapping[str, ServedSource], *, stopped: bool) -> Mapping[str, dict[str, Any]]:
        """Each of *served*; the same object while there is nothing new."""
        if stopped:
            self.changed(*served)
        if self._changed:
            changed: set[str] = set()
            while self._changed:  # workers add to it meanwhile
                changed.add(self._changed.popleft())
            self._described = {
                source_id: self._description_of(each, stopped=stopped)
                if source_id in changed
                else self._described[source_id]
                for source_id, each in served.items()
            }
        return self._described

    def _description_of(self, served: ServedSource, *, stopped: bool) -> dict[str, Any]:
        worker, source_id = served.worker, served.source.id
        refusal = self._disk_troubles.get(source_id)
        why = worker.trouble or refusal or worker.hold_reason
        runs = self._admission.limits.running.of(source_id)
        return {
            "state": served.state(stopped=stopped),
            "why": why,
            "holds": None if why is None else self._what_is_held(worker, why),
            "runs": [each for task in runs if (each := described(task)) is not None],
            "needs_person": self._admission.limits.tripped(source_id) is not None
            or (worker.trouble is None and refusal is not None),
            "watch": "events" if self.is_watched(source_id) else "sweep",
            "watch_why": self._unwatched.get(source_id),
            "thread_id": worker.thread_id,
            "task_id": worker.running,
            "busy": bool(runs) or worker.running is not None or not worker.has_recovered,
        }

    def _what_is_held(self, worker: Worker, why: str) -> str:
        if why != worker.hold_reason:
            return "everything"
        if self._admission.holds_one(worker.source):
            return "one"
        return "agents" if worker.holds_agents_only else "everything"
