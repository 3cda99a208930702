"""This daemon as a host of its fleet: what the fleet may ask of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path

from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.admission.ledger import Ledger, entries_after
from task_queue.daemon.sources import ServedSources
from task_queue.domain.attempt.account import Account
from task_queue.ports.fleet import SpentEntry

log = logging.getLogger(__name__)
_AT = "@"
"""Of another host, in the name of a task in the ledger: no task has it."""


class HostDaemon:
    """Implements ports.fleet.FleetDaemon."""

    def __init__(
        self,
        sources: ServedSources,
        admission: SharedAdmission,
        ledger: Path,
        is_halted: Callable[[], bool],
    ) -> None:
        """*is_halted*: a person has stopped everything."""
        self._sources, self._admission, self._is_halted = sources, admission, is_halted
        self._path, self._place = ledger, 0
        self._ledger = Ledger(ledger)

    def wake(self, sources: Collection[str] | None = None) -> None:
        self._sources.wake(sources)

    def hold(self) -> None:
        log.warning("held: this host may not go on with tasks of its fleet")
        self._sources.halt(at_once=True)

    def go_on(self) -> None:
        log.warning("going on in the fleet")
        if not self._is_halted():
            self._sources.go_on()

    def is_idle(self) -> bool:
        return self._sources.is_idle()

    def account(self) -> Account:
        return self._admission.account

    def take_account(self, account: Account) -> None:
        self._admission.take_account(account)

    def spent(self) -> Sequence[SpentEntry]:
        is_first = self._place == 0
        entries, self._place = entries_after(self._path, self._place)
        today = datetime.now().astimezone().date()
        return [
            entry
            for entry in entries
            if _AT not in entry.task_id and not (is_first and entry.at.astimezone().date() < today)
        ]

    def note_spent(self, host: str, entry: SpentEntry) -> None:
        self._ledger.enter(
            entry.source,
            f"{entry.task_id}{_AT}{host}",
            entry.attempt,
            entry.usd,
            at=entry.at.astimezone(),
            estimated=entry.estimated_usd,
        )
