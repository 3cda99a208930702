"""What all sources share: places for agents, the account, budgets, room on the disk, and the breaker.

``screen`` says which waiting tasks are held back while others may pass (the account, budgets); ``enter``
takes the place of the one that was chosen. Everything is held back with a reason, never dropped.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from task_queue.adapters.account_file import AccountFile
from task_queue.adapters.ledger import Ledger
from task_queue.domain.account import Account, opened, paused, told, utilization_now
from task_queue.domain.model import Claim, Ending, OutcomeKind
from task_queue.domain.ordering import Waiting
from task_queue.ports import Clock

_BREAKER_WINDOW = timedelta(minutes=10)
_CLAUDE = "claude"
# An attempt that ended so has shown nothing about the account.
_SAYS_NOTHING = frozenset({OutcomeKind.INTERRUPTED, OutcomeKind.REJECTED, OutcomeKind.CANCELLED})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the configuration says; ``folders``, ``closed`` and ``source_budgets`` are by source."""

    places: int = 4
    min_free_mb: int = 0
    starts_per_10min: int = 20
    daily_budget_usd: float | None = None
    hold_above_utilization: float | None = None
    hold_below_priority: int | None = None
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    closed: frozenset[str] = frozenset()
    source_budgets: dict[str, float] = field(default_factory=dict[str, float])


class SharedGate:
    """Implements ports.Gate. Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        account: AccountFile,
        ledger: Ledger,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._file = account
        self._ledger = ledger
        self._jitter = jitter
        self._lock = threading.RLock()
        self._bounds = Bounds()
        self._account: Account = account.load()
        self._probe: str | None = None
        """The source whose task tries the account after a pause."""
        self._inside: dict[str, float] = {}
        """USD that each running source may still spend today."""
        self._starts: dict[str, deque[datetime]] = {}
        self._tripped: dict[str, str] = {}
        self._stopped = False
        self._waiting: dict[str, Callable[[], None]] = {}

    def configure(self, bounds: Bounds) -> None:
        with self._lock:
            reopened = self._bounds.closed - bounds.closed
            for source in reopened:
                self._tripped.pop(source, None)
                self._starts.pop(source, None)
            self._bounds = bounds
        self._ring()

    @property
    def account(self) -> Account:
        return self._account

    def set_stopped(self, stopped: bool) -> None:
        """Nothing enters while a person has stopped everything."""
        with self._lock:
            changed, self._stopped = self._stopped != stopped, stopped
        if changed and not stopped:
            self._ring()

    def look_at_account_file(self) -> None:
        """A person opened the account by removing its file."""
        with self._lock:
            if self._account.paused_until is None or self._file.exists():
                return
            self._account, self._probe = opened(self._account), None
        self._ring()

    def tripped(self, source: str) -> str | None:
        """Why the breaker stopped *source*, if it did."""
        return self._tripped.get(source)

    def disk_trouble(self, source: str) -> str | None:
        """Why *source* may be unable to write now, also while a task of it runs."""
        return self._disk_holds(source, least_mb=max(1, self._bounds.min_free_mb))

    def screen(self, source: str) -> Callable[[Waiting], str | None] | None:
        with self._lock:
            held = self._account_holds(source) or self._budget_holds(source)
            low = None if held else self._low_priority_holds()
        if held is not None:
            return lambda task: held if task.executor == _CLAUDE else None
        if low is not None:
            below, why = low
            return lambda task: why if task.executor == _CLAUDE and task.priority < below else None
        return None

    def enter(self, source: str, task: Waiting, ring: Callable[[], None]) -> str | None:
        with self._lock:
            reason = self._why_not(source, task)
            if reason is not None:
                self._waiting[source] = ring
                return reason
            self._waiting.pop(source, None)
            self._inside[source] = 0.0
            now = self._clock.now()
            self._starts.setdefault(source, deque()).append(now)
            if task.executor == _CLAUDE and self._account.paused_until is not None:
                self._probe = source
            return None

    def leave(self, source: str) -> None:
        with self._lock:
            self._inside.pop(source, None)
            if self._probe == source:
                self._probe = None
        self._ring()

    def allowance(self, source: str, wanted_usd: float | None) -> float | None:
        """Set aside what the attempt about to start in *source* may spend today; None: no bound."""
        with self._lock:
            left = self._left_today(source)
            if left is None:
                return None
            self._inside[source] = left if wanted_usd is None else min(left, wanted_usd)
            return self._inside[source]

    def pause(self, why: str, until: datetime | None) -> datetime:
        with self._lock:
            now = self._clock.now()
            self._account = paused(self._account, why=why, until=until, now=now, jitter=self._jitter())
            self._probe = None
            self._file.save(self._account)
            assert self._account.paused_until is not None
            return self._account.paused_until

    def is_probing(self, source: str) -> bool:
        return self._probe == source

    def account_works(self) -> None:
        """The agent that tried the account got an answer: let the others go on."""
        with self._lock:
            self._account, self._probe = opened(self._account), None
            self._file.save(self._account)
        self._ring()

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        """Take note of what an attempt cost and showed."""
        with self._lock:
            cost = ending.work.total_cost_usd
            if cost:
                self._ledger.enter(source, claim.task_id, claim.attempt, cost, at=ending.ended_at)
            if ending.work.utilization is not None:
                self._account = told(self._account, ending.work.utilization, now=self._clock.now())
                self._file.save(self._account)
            kind = ending.outcome.kind
            if kind is OutcomeKind.SUCCEEDED:
                self._starts.pop(source, None)
            if self._probe == source and kind not in {
                OutcomeKind.LIMITED,
                OutcomeKind.ACCOUNT,
                *_SAYS_NOTHING,
            }:
                self.account_works()

    def _why_not(self, source: str, task: Waiting) -> str | None:
        bounds = self._bounds
        if self._stopped:
            return "everything is stopped; go on with: task-queue resume"
        if source in bounds.closed:
            return f"the source is paused; go on with: task-queue sources resume --source-id {source}"
        if source in self._tripped:
            return self._tripped[source]
        screen = self.screen(source)
        held = screen(task) if screen is not None else None
        if held is not None:
            return held
        if len(self._inside) >= bounds.places:
            return f"all {bounds.places} places for agents are taken"
        return self._disk_holds(source, least_mb=self._bounds.min_free_mb) or self._breaker_holds(source)

    def _account_holds(self, source: str) -> str | None:
        until = self._account.paused_until
        if until is None:
            return None
        if self._clock.now() < until:
            return f"account paused until {until.astimezone():%Y-%m-%d %H:%M}: {self._account.why}"
        if self._probe not in {None, source}:
            return f"a task of source {self._probe} tries first whether the account works again"
        return None

    def _low_priority_holds(self) -> tuple[int, str] | None:
        bounds = self._bounds
        used = utilization_now(self._account, self._clock.now())
        if used is None or bounds.hold_above_utilization is None or bounds.hold_below_priority is None:
            return None
        if used <= bounds.hold_above_utilization:
            return None
        below = bounds.hold_below_priority
        return below, f"{used:.0%} of the usage limit are used: only priority {below} and above starts"

    def _budget_holds(self, source: str) -> str | None:
        left = self._left_today(source)
        if left is None or left > 0:
            return None
        spent = self._ledger.spent_on(self._clock.now().astimezone().date())
        if any(of != source for of in self._inside) and self._left_today(source, reserved=False):
            return "what is left of the daily budget is set aside for the tasks that run"
        return f"the daily budget is spent ({spent:.2f} USD today); goes on at midnight"

    def _left_today(self, source: str, *, reserved: bool = True) -> float | None:
        """USD that may still be spent today in *source*, None if there is no bound."""
        bounds, today = self._bounds, self._clock.now().astimezone().date()
        others = sum(usd for of, usd in self._inside.items() if of != source) if reserved else 0.0
        left: list[float] = []
        if bounds.daily_budget_usd is not None:
            left.append(bounds.daily_budget_usd - self._ledger.spent_on(today) - others)
        if source in bounds.source_budgets:
            left.append(bounds.source_budgets[source] - self._ledger.spent_on(today, source))
        return max(0.0, min(left)) if left else None

    def _disk_holds(self, source: str, *, least_mb: int) -> str | None:
        folder = self._bounds.folders.get(source)
        if folder is None or not folder.is_dir():
            return None
        free_mb = shutil.disk_usage(folder).free // 2**20
        if free_mb >= least_mb:
            return None
        return f"only {free_mb} MB are free on the disk of {folder}, less than {least_mb}"

    def _breaker_holds(self, source: str) -> str | None:
        starts, now = self._starts.get(source, deque[datetime]()), self._clock.now()
        while starts and now - starts[0] > _BREAKER_WINDOW:
            starts.popleft()
        if len(starts) < self._bounds.starts_per_10min:
            return None
        self._tripped[source] = (
            f"stopped by the breaker: {len(starts)} starts in 10 minutes and no task succeeded;"
            f" go on with: task-queue sources pause --source-id {source}, then sources resume"
        )
        return self._tripped[source]

    def _ring(self) -> None:
        with self._lock:
            bells = list(self._waiting.values())
            self._waiting.clear()
        for ring in bells:
            ring()
