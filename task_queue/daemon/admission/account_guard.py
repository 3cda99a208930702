"""Lets nothing start on a paused account, and one task try it when the pause is over."""

from __future__ import annotations

from datetime import datetime

from task_queue.daemon.admission.bounds import Bounds
from task_queue.domain.attempt.account import (
    Account,
    opened,
    paused,
    with_utilization,
)
from task_queue.domain.holds import AgentHold, account_paused, near_the_limit
from task_queue.domain.model import OutcomeKind
from task_queue.ports.admission import AccountStore

# After an attempt that ended so, the account is as it was: limited, refused, or not asked.
_DOES_NOT_OPEN = frozenset(
    {
        OutcomeKind.LIMITED,
        OutcomeKind.ACCOUNT,
        OutcomeKind.INTERRUPTED,
        OutcomeKind.REJECTED,
        OutcomeKind.CANCELLED,
    }
)


class AccountGuard:
    """The account as it is now, also on disk. Not thread-safe: the admission's lock guards it."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self.account: Account = store.load()
        self.probe: str | None = None
        """The source whose task tries the account after a pause."""

    def started(self, source: str) -> None:
        if self.account.paused_until is not None:
            self.probe = source

    def left(self, source: str) -> None:
        if self.probe == source:
            self.probe = None

    def pause(self, why: str, until: datetime | None, *, now: datetime, jitter: float) -> datetime:
        """Let nothing start; returns until when."""
        self.account = paused(self.account, why=why, until=until, now=now, jitter=jitter)
        self.probe = None
        self._store.save(self.account)
        assert self.account.paused_until is not None
        return self.account.paused_until

    def open(self) -> None:
        self.account, self.probe = opened(self.account), None
        self._store.save(self.account)

    def opened_by_a_person(self) -> bool:
        """Whether the account's file was removed since; it is open then."""
        if self.account.paused_until is None or self._store.exists():
            return False
        self.account, self.probe = opened(self.account), None
        return True

    def note_utilization(self, utilization: float, now: datetime) -> None:
        self.account = with_utilization(self.account, utilization, now=now)
        self._store.save(self.account)

    def is_shown_to_work(self, source: str, kind: OutcomeKind) -> bool:
        """Whether an attempt of *source* that ended as *kind* tried the account and got an answer."""
        return self.probe == source and kind not in _DOES_NOT_OPEN

    def hold(self, source: str, now: datetime) -> AgentHold | None:
        """Why no agent may start in *source*, None if one may."""
        if self.account.paused_until is None:
            return None
        pause = account_paused(self.account, now)
        if pause is None and self.probe not in {None, source}:
            return AgentHold(f"a task of source {self.probe} tries first whether the account works again")
        return pause

    def hold_low_priority(self, bounds: Bounds, now: datetime) -> AgentHold | None:
        """Keeps agents of low priority from starting while the usage limit is near."""
        above, below = bounds.hold_above_utilization, bounds.hold_below_priority
        return near_the_limit(self.account, above=above, below=below, now=now)
