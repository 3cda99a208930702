"""A fake admission that keeps the port's contract: one place, one account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.model import Claim, Ending, OutcomeKind, Pause
from task_queue.domain.task import TaskId
from tests.fakes import FakeClock


class FakeAdmission:
    """Implements ports.admission.Admission."""

    def __init__(self, clock: FakeClock) -> None:
        self.inside: set[str] = set()
        self.log: list[str] = []
        """What it was told, by the names of its methods."""
        self._clock = clock
        self._waiting: dict[str, Callable[[], None]] = {}
        self._paused_until: datetime | None = None
        self._probe: str | None = None
        self._since: datetime | None = None

    def screen(self, source: str) -> Callable[[Waiting], str | None] | None:
        held = self._held(source)
        return None if held is None else lambda task: held if task.executor == CLAUDE else None

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:
        held = self._held(source) if task.executor == CLAUDE else None
        if held is None and self.inside:
            held = "the place is taken"
        if held is not None:
            self._waiting[source] = wake
            return held
        self.inside.add(source)
        if self._paused_until is not None and task.executor == CLAUDE:
            self._probe = source
        return None

    def count_in(
        self,
        source: str,
        task_id: TaskId,  # noqa: ARG002 - the port's signature
        wanted_usd: float | None,  # noqa: ARG002 - the same
        *,
        task: Waiting | None = None,  # noqa: ARG002 - the same
    ) -> None:
        self.log.append("count_in")
        self.inside.add(source)

    def leave(self, source: str, task_id: TaskId) -> None:  # noqa: ARG002 - the port's signature
        self.log.append("leave")
        self.inside.discard(source)
        if self._probe == source:
            self._probe = None
        self._wake_all()

    def pause(self, pause: Pause) -> datetime:
        self._since = self._clock.now()
        self._paused_until = pause.until or self._clock.now() + timedelta(hours=1)
        self._probe = None
        return self._paused_until

    def pause_model(self, source: str, name: str, pause: Pause, *, asked: str | None) -> datetime:
        self.log.append(f"pause_model {source} {name} {asked}")
        return pause.until or self._clock.now() + timedelta(hours=1)

    def was_paused(self, before: datetime) -> bool:
        return self._paused_until is not None and self._since is not None and self._since <= before

    def is_probing(self, source: str, task_id: TaskId) -> bool:  # noqa: ARG002 - the port's signature
        return self._probe == source

    def account_works(self) -> None:
        self.log.append("account_works")
        self._paused_until = self._probe = None
        self._wake_all()

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:  # noqa: ARG002 - the port's signature
        if self._probe == source and ending.outcome.kind is OutcomeKind.SUCCEEDED:
            self.account_works()

    def _held(self, source: str) -> str | None:
        if self._paused_until is None:
            return None
        if self._clock.now() < self._paused_until:
            return "the account is paused"
        return None if self._probe in {None, source} else "another task tries the account"

    def _wake_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for wake in waiting.values():
            wake()
