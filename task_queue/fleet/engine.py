"""FleetEngine: a source kept in PostgreSQL. Every step is one transaction.

Runners do not write to it: theirs is the disk of their host, and what they say there is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from task_queue.domain.document.layers import Layers
from task_queue.fleet.attempts import FleetAttempts
from task_queue.fleet.database import Database
from task_queue.fleet.held import HeldSource, HostLife, demand_serving
from task_queue.fleet.leased import FleetLeased
from task_queue.fleet.queue import FleetQueue
from task_queue.fleet.requests import FleetRequests
from task_queue.fleet.snapshot import FleetSnapshot


class FleetEngine:
    """Implements ports.store.Engine."""

    def __init__(
        self,
        database: Database,
        source: str,
        owner: HostLife,
        *,
        slots: Callable[[], int],
        scratch: Path,
        layers: Callable[[], Layers] = Layers,
    ) -> None:
        """*owner* acts. *slots* and *layers*: what is in force of the configuration. *scratch*: a folder here."""
        self._held = HeldSource(database, source, owner, slots, layers)
        self._snapshot = FleetSnapshot(self._held)
        self.touch, self.survey = self._snapshot.touch, self._snapshot.survey
        self.may_be_moved_by = self._snapshot.may_be_moved_by
        self.changed_ns, self.state_of = self._snapshot.changed_ns, self._snapshot.state_of
        self.queue = FleetQueue(self._held)
        self.attempts = FleetAttempts(self._held, scratch)
        self.requests = FleetRequests(self._held)
        self.leased = FleetLeased(self._held)

    def open(self) -> None:
        """Other hosts may serve it, too: who claims what is decided at each claim."""
        with self._held.database.transaction() as cursor:
            demand_serving(cursor, self._held.owner)
