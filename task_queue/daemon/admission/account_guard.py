"""Lets nothing start on a paused account, and one task try it when the pause is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.running import RunningKey
from task_queue.domain.attempt.account import (
    Account,
    model_paused,
    model_works,
    opened,
    paused,
    was_paused,
    with_utilization,
)
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import (
    AgentHold,
    Held,
    Hold,
    ReturnedHold,
    account_paused,
    models_held,
    near_the_limit,
)
from task_queue.domain.model import Ending, OutcomeKind, Pause
from task_queue.ports.admission import AccountStore

_ASKS_AGAIN_WITHIN = timedelta(minutes=10)
"""A worker that did not ask for so long cannot: its source is unavailable, or gone."""
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
        self.probe: RunningKey | None = None
        """What tries the account after a pause."""
        self._on_trial = False
        """A person opened it, and no task has tried it since."""
        self._running: dict[RunningKey, Waiting] = {}
        """Agents' tasks."""
        self._candidates: dict[str, tuple[int, datetime]] = {}
        """Sources with a task that could try the account: how often that one was sent back, and when it asked."""
        self._looked: set[str] = set()
        """Sources that have looked for a task since, and not chosen one of them yet."""

    def looks(self, source: str) -> None:
        """A worker looks for a task: if it chose none after its last look, it has none."""
        if source in self._looked:
            self._candidates.pop(source, None)
        self._looked.add(source)

    def started(self, source: str, task: Waiting) -> None:
        self._running[source, task.id] = task
        self._candidates.pop(source, None)
        if self._needs_trial:
            self.probe = source, task.id

    def left(self, key: RunningKey) -> None:
        self._running.pop(key, None)
        if self.probe == key:
            self.probe = None

    def pause(self, pause: Pause, *, now: datetime, jitter: float) -> datetime:
        """Let nothing start; returns until when."""
        self.account = paused(self.account, pause, now=now, jitter=jitter)
        self.probe, self._on_trial = None, False
        self._store.save(self.account)
        assert self.account.paused_until is not None
        return self.account.paused_until

    def pause_model(
        self, source: str, name: str, pause: Pause, *, asked: str | None, now: datetime, jitter: float
    ) -> datetime:
        """Let nothing of the model, or class of models, *name* start; returns until when."""
        self.account = model_paused(
            self.account, name, pause, source=source, asked=asked, now=now, jitter=jitter
        )
        self._store.save(self.account)
        return self.account.models[name].paused_until

    def was_paused(self, before: datetime) -> bool:
        return was_paused(self.account, before=before)

    def open(self) -> None:
        self.account, self.probe, self._on_trial = opened(self.account), None, False
        self._store.save(self.account)

    def model_answered(self, key: RunningKey) -> None:
        """That attempt got an answer of the model that it uses."""
        task = self._running.get(key)
        known = self.account
        if task is not None:
            self.account = model_works(known, task.model, source=key[0])
        if self.account is not known:
            self._store.save(self.account)

    def opened_by_a_person(self) -> bool:
        """Whether the account's file was removed since; it is open then."""
        if (self.account.paused_until is None and not self.account.models) or self._store.exists():
            return False
        self._on_trial = self.account.paused_until is not None
        self.account, self.probe = replace(opened(self.account), models={}), None
        return True

    def take(self, account: Account) -> None:
        """It is known from elsewhere how the account stands."""
        self.account, self._on_trial = account, False
        self._store.save(account)

    def note_utilization(self, utilization: float, now: datetime) -> None:
        self.account = with_utilization(self.account, utilization, now=now)
        self._store.save(self.account)

    def is_shown_to_work(self, key: RunningKey, ending: Ending) -> bool:
        """Whether that attempt, which ended so, tried the account and got an answer."""
        kind = ending.outcome.kind
        asked = kind is not OutcomeKind.UNAVAILABLE or ending.work.num_turns > 0
        return self.probe == key and asked and kind not in _DOES_NOT_OPEN

    def asks(self, source: str, task: Waiting, now: datetime) -> None:
        """The worker of *source* has chosen *task* to begin."""
        self._looked.discard(source)
        if not task.uses_agent:
            self._candidates.pop(source, None)
        elif self._needs_trial:
            self._candidates[source] = task.paused, now

    def held(self, source: str, task: Waiting, now: datetime) -> Held | None:
        """Why *task* may not use the account, None if it may. What the account sent back tries last of all sources."""
        if not task.uses_agent:
            return None
        hold = self.hold(now)
        others = [each for other, each in self._candidates.items() if other != source]
        gives_way = any(
            sent_back < task.paused and timedelta() <= now - asked_at <= _ASKS_AGAIN_WITHIN
            for sent_back, asked_at in others
        )
        if isinstance(hold, ReturnedHold) and not gives_way:
            return None
        return None if hold is None else hold.on(task)

    def hold(self, now: datetime) -> AgentHold | ReturnedHold | None:
        """What keeps agents from using the account, None if nothing does."""
        if not self._needs_trial:
            return None
        pause = account_paused(self.account, now)
        if pause is None and self.probe is not None:
            return AgentHold(
                Held(f"a task of source {self.probe[0]} tries first whether the account works again")
            )
        return pause or ReturnedHold(Held("another task tries first whether the account works again"))

    @property
    def _needs_trial(self) -> bool:
        return self.account.paused_until is not None or self._on_trial

    def hold_models(self, source: str, now: datetime) -> Hold | None:
        return models_held(self.account, now, source=source)

    def hold_low_priority(self, bounds: Bounds, now: datetime) -> AgentHold | None:
        """Keeps agents of low priority from starting while the usage limit is near."""
        above, below = bounds.hold_above_utilization, bounds.hold_below_priority
        return near_the_limit(self.account, above=above, below=below, now=now)
