"""What a host does for its fleet once a day: it removes what is old from the tables, beside its other work."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from task_queue.domain.errors import EngineUnavailable
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.retention import prune
from task_queue.ports.clock import Clock

log = logging.getLogger(__name__)
FIRST_AFTER_S = 3600.0
AGAIN_AFTER_S = 86_400.0


class DailyRetention:
    """``look`` is for one thread; it never waits."""

    def __init__(self, address: FleetAddress, days: int, clock: Clock) -> None:
        """*days*: what is older goes; 0: nothing."""
        self._address, self._age, self._clock = address, timedelta(days=days), clock
        self._due = clock.monotonic() + FIRST_AFTER_S
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        is_at_work = self._thread is not None and self._thread.is_alive()
        if not self._age or is_at_work or self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + AGAIN_AFTER_S
        self._thread = threading.Thread(target=self._remove, name="fleet-retention", daemon=True)
        self._thread.start()

    def wait(self, within_s: float) -> bool:
        """Until it is not at work; whether that is so."""
        if self._thread is not None:
            self._thread.join(within_s)
        return self._thread is None or not self._thread.is_alive()

    def _remove(self) -> None:
        database = Database(self._address)
        try:
            done = prune(database, self._age, count=lambda _done, _of: None, is_alone=True)
        except EngineUnavailable as error:
            log.warning("old rows of the fleet not removed error=%s", error)
        else:
            log.info("old rows of the fleet removed tasks=%d events=%d", done.tasks, done.events)
        finally:
            database.close()
