"""A host of a fleet within the process of a test: what its daemon would do with one source, step by step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attempt.account import Account
from task_queue.domain.attempt.results import bare_ending, journal_after, result_of
from task_queue.domain.document.layers import Layers
from task_queue.domain.document.ordering import Ready
from task_queue.domain.errors import ClaimLost
from task_queue.domain.events import Event
from task_queue.domain.model import Claim, Outcome, OutcomeKind, Release, Result, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.joined import JoinedEngine
from task_queue.fleet.membership import Membership
from task_queue.fleet.roster import add_host
from task_queue.platform import durable
from task_queue.platform.clock import SystemClock
from task_queue.ports.clock import Clock
from task_queue.ports.fleet import FleetCheckout, FleetSource, ShownResult, SpentEntry, WorkBase
from task_queue.store.folder.claim_notes import ClaimNotes
from task_queue.store.folder.layout import Layout
from tests.store.contract import DONE

REPOSITORY = "https://git.example.org/team/app"


class Killed(BaseException):
    """The process ends here."""


class NoCheckout:
    """Implements ports.fleet.FleetCheckout: the source works in no repository."""

    def base(self, before: WorkBase | None) -> None:
        assert before is None

    def receive_base(self, base: WorkBase) -> None:
        raise NotImplementedError

    def received_base(self) -> None: ...

    def for_a_guest(self, document: bytes) -> bytes:
        return document

    def bundle_of(self, task_id: TaskId, product: WorkProduct) -> bytes | None:
        raise NotImplementedError

    def shown(self, result: Result, document: bytes, bundle: bytes | None) -> ShownResult:
        assert document
        assert bundle is None
        return ShownResult(result, "# Report")


class InnerHost:
    """``begun``, ``ended``, ``settled``: attempts that began, that came to an end, and what was written of it."""

    def __init__(
        self,
        home: Path,
        name: str,
        database: Database,
        *,
        source: str = "app",
        slots: int = 4,
        repository: str | None = REPOSITORY,
        clock: Clock | None = None,
        credential: str | None = None,
        checkout: FleetCheckout | None = None,
        retention_days: int = 0,
    ) -> None:
        self._checkout, self._retention_days = checkout or NoCheckout(), retention_days
        self.name, self.source, self._slots, self._repository = name, source, slots, repository
        self._home, self._address = home, database.address
        self.credential = credential or add_host(database, name, ())
        self._clock = clock or SystemClock()
        self.layout = Layout(home / "tasks" / source / "pending")
        self.layout.pending.mkdir(parents=True, mode=0o700)
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.settled: list[Result] = []
        self.events: list[Event] = []
        self.woken: list[list[str] | None] = []
        """Which sources were to look again, each time; None: all."""
        self.is_held = False
        self.outcome = DONE
        """How its attempts end."""
        self.known_account = Account()
        self.new_spent: list[SpentEntry] = []
        self.spent_elsewhere: list[tuple[str, float]] = []
        self.membership: Membership
        self.engine: JoinedEngine
        self._is_open = False

    def start(self) -> None:
        self.membership = Membership(
            self._address,
            self.name,
            self.credential,
            slots=self._slots,
            account="shared",
            folder=self._home / "fleet",
            clock=self._clock,
            retention_days=self._retention_days,
        )
        durable.make_directory(self._home / "fleet")
        self.engine = self._engine_of(self.layout.pending, self.source)
        self._is_open = False

    def another_source(self, home: Path, source: str) -> JoinedEngine:
        """One more of this host, in which a task waits."""
        pending = home / "pending"
        pending.mkdir(parents=True, mode=0o700)
        (pending / f"task-of-{source}.md").write_text("# Do it")
        engine = self._engine_of(pending, source)
        engine.open()
        return engine

    def _engine_of(self, pending: Path, source: str) -> JoinedEngine:
        notes = ClaimNotes(self._home / "claims").of(source)
        place = FleetSource(source, pending, self._repository, Layers, lambda: 0.0, notes, self._checkout)
        return self.membership.engine_of(place, self.events.append)

    def end(self) -> None:
        """As a kill does: locks go, files stay."""
        self.engine.close()
        self.membership.stop()

    def turn(self) -> None:
        """One sign of life."""
        self.membership.turn(self)

    def work(self, *, until_begun: bool = False) -> None:
        """What its worker does when it is woken; *until_begun*: it is left with a task in hand."""
        engine = self.engine
        engine.touch()  # nothing watches its folder
        if not self._is_open:
            engine.open()
            self._conclude_all()
            self._is_open = True
        survey = engine.survey()
        if survey.locks:
            self._conclude_all()
            survey = engine.survey()
        unwanted = {name: Outcome(OutcomeKind.CANCELLED, "cancelled") for name in survey.cancelled}
        unwanted |= {name: Outcome(OutcomeKind.REJECTED, why) for name, why in survey.rejected}
        for name, outcome in unwanted.items():
            claim = engine.queue.claim(name, worker=self.source, now=self._clock.now())
            engine.attempts.abandon(claim, now=self._clock.now())
            self._end(claim, outcome)
            self._conclude(claim)
        found = survey.waiting.next(now=self._clock.now(), state_of=lambda _: None)
        if not isinstance(found, Ready):
            return
        claim = engine.queue.claim(found.task.id, worker=self.source, now=self._clock.now())
        self.begun.append(f"{claim.task_id} {claim.attempt}")
        if until_begun:
            return
        self._end(claim, self.outcome)
        self.ended.append(f"{claim.task_id} {claim.attempt}")
        self._conclude(claim)

    def drop(self, name: str, text: str = "# Do it") -> None:
        (self.layout.pending / f"{name}.md").write_text(text)

    def state_of(self, name: str) -> TaskState | None:
        """As its folder says."""
        return self.engine.state_of(name)  # type: ignore[arg-type]

    def wake(self, sources: Collection[str] | None = None) -> None:
        self.woken.append(None if sources is None else list(sources))

    def hold(self) -> None:
        self.is_held = True

    def go_on(self) -> None:
        self.is_held = False

    @staticmethod
    def now() -> datetime:
        return SystemClock().now()

    def is_idle(self) -> bool:
        return True

    def account(self) -> Account:
        return self.known_account

    def take_account(self, account: Account) -> None:
        self.known_account = account

    def spent(self) -> list[SpentEntry]:
        new, self.new_spent = self.new_spent, []
        return new

    def note_spent(self, host: str, entry: SpentEntry) -> None:
        self.spent_elsewhere.append((host, entry.usd))

    def _end(self, claim: Claim, outcome: Outcome) -> None:
        ending = bare_ending(claim, outcome, by="worker", now=self._clock.now())
        self.engine.attempts.commit(claim, ending)

    def _conclude_all(self) -> None:
        for claim in self.engine.queue.claims():
            try:
                self._conclude(claim)
            except ClaimLost:
                continue

    def _conclude(self, claim: Claim) -> None:
        attempts, queue, now = self.engine.attempts, self.engine.queue, self._clock.now()
        ending = attempts.ending_of(claim)
        if ending is None:
            attempts.abandon(claim, now=now)
            ending = attempts.commit(
                claim, bare_ending(claim, Outcome(OutcomeKind.INTERRUPTED, "killed"), by="recovery", now=now)
            )
        journal = queue.journal(claim)
        if ending.outcome.kind in {OutcomeKind.INTERRUPTED, OutcomeKind.CRASHED}:
            queue.release(claim, journal_after(claim, ending, journal, Release()))
            return
        is_done = ending.outcome.kind is OutcomeKind.SUCCEEDED
        state = TaskState.COMPLETED if is_done else TaskState.FAILED
        result = result_of(claim, ending, journal, state=state, source=self.source, workspace=None)
        queue.settle(claim, result, "# Report")
        self.settled.append(result)


@dataclass
class Steps:
    """Counts what is done to files and tables; ``kill_at``: the process ends at that one."""

    count: int = 0
    kill_at: int | None = None

    def step(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            raise Killed


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Each file that is published, replaced, moved or removed, and each transaction: before it and after it."""
    steps = Steps()

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            steps.step()
            done = function(*given, **more)
            steps.step()
            return done

        return call

    for name in ("publish", "replace", "move", "remove"):
        monkeypatch.setattr(durable, name, counting(getattr(durable, name)))
    transaction = Database.transaction

    @contextmanager
    def counted(self: Database) -> Generator[Cursor]:
        with transaction(self) as cursor:
            yield cursor
        steps.step()

    monkeypatch.setattr(Database, "transaction", counted)
    return steps
