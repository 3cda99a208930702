"""Fakes that implement the ports, for tests that need no processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from task_queue.daemon.context import SourceContext, Timing
from task_queue.daemon.quota import Quota
from task_queue.daemon.worker import Worker
from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.settings import Settings, resolve
from task_queue.domain.errors import ExecutorError, TaskFileError
from task_queue.domain.events import Event
from task_queue.domain.model import (
    Claim,
    Ending,
    Journal,
    Outcome,
    OutcomeKind,
    Pause,
    RunRecord,
    Work,
    WorkProduct,
)
from task_queue.domain.task import Task, TaskId
from task_queue.domain.work.worktrees import Keep
from task_queue.platform.owners import this_process
from task_queue.ports.admission import Admission
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import ExecutorKind, GitSetup, Order, Stop
from task_queue.ports.runner import Runners, RunningAttempt
from task_queue.ports.store import Engine
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.keyed_tasks import KeyedTasks
from task_queue.store.opening import open_log
from tests.store.memory import MemoryEngine

SUCCESS = Outcome(OutcomeKind.SUCCEEDED, "done")


class FakeClock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


class EndedAttempt:
    """A runner that has ended already."""

    def __init__(self) -> None:
        self._fd = os.eventfd(1)

    def fileno(self) -> int:
        return self._fd

    def ended(self) -> bool:
        return True

    def can_answer(self) -> bool:
        return True

    def stop(self, how: Stop) -> None:
        raise AssertionError(f"an ended runner was asked to {how}")

    def kill(self) -> None:
        raise AssertionError("an ended runner was killed")

    def close(self) -> None:
        os.close(self._fd)


@dataclass
class FakeRunners:
    """Commits one scripted outcome per start; None stands for a runner that dies without a word."""

    engine: Engine
    outcomes: list[Outcome | None]
    clock: FakeClock
    work: Work = field(default_factory=Work)
    orders: list[Order] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    unseen: int = 0
    """How many of the next runners die before they have shown themselves."""

    def start(self, order: Order) -> RunningAttempt:
        if self.unseen:
            self.unseen -= 1
            return EndedAttempt()
        outcome = self.outcomes.pop(0)
        self.orders.append(order)
        run = RunRecord(
            order.claim.task_id, order.claim.attempt, order.marker, this_process(), self.clock.now()
        )
        self.writer_of(order).show(run)
        if outcome is not None:
            ending = bare_ending(order.claim, outcome, by="runner", now=self.clock.now(), work=self.work)
            self.engine.attempts.commit(order.claim, replace(ending, token=order.token))
        return EndedAttempt()

    def writer_of(self, order: Order) -> AttemptWriter:
        return (
            self.engine.writer(order.claim)
            if isinstance(self.engine, MemoryEngine)
            else open_log(order.log, order.claim)
        )

    def adopt(self, run: RunRecord) -> RunningAttempt | None:  # noqa: ARG002 - the port's signature
        return None

    def find(self, marker: str) -> RunningAttempt | None:  # noqa: ARG002 - the port's signature
        return None

    def sweep(self, marker: str) -> int:
        self.swept.append(marker)
        return 0


@dataclass
class FakeOrders:
    """Orders as the document says, in a workspace that is never looked at."""

    refusal: ExecutorError | TaskFileError | None = None

    def settings_of(self, task: Task) -> Settings:
        return resolve(task.given)

    def check(self, task: Waiting) -> None: ...

    def order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:  # noqa: ARG002 - the port's signature
        if self.refusal is not None:
            raise self.refusal
        nowhere = Path("/nowhere")
        return Order(
            claim=claim,
            source="test",
            title=task.title,
            body=task.body,
            document=place.document,
            agent_copy=nowhere / "task.md",
            scratch=place.scratch,
            temporary=nowhere,
            log=place.log,
            queue_dirs=(),
            workspace=nowhere,
            git=GitSetup(worktrees=nowhere, keep=Keep(5)),
            settings=self.settings_of(task),
            executor=ExecutorKind.CLAUDE,
        )

    def compared(self, claim: Claim, task: Task, product: WorkProduct) -> WorkProduct:  # noqa: ARG002 - the port's signature
        return product

    def workspace_of(self, task: Task) -> str | None:  # noqa: ARG002 - the port's signature
        return "/nowhere"


@dataclass
class OpenAdmission:
    """Lets everybody in, and remembers who asked for a pause."""

    refusal: str | None = None
    pauses: list[str] = field(default_factory=list)
    held: Callable[[Waiting], str | None] | None = None
    """Why a task is not to begin."""

    def screen(self, source: str) -> Callable[[Waiting], str | None] | None:  # noqa: ARG002 - the port's signature
        return self.held

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:  # noqa: ARG002 - the port's
        return self.refusal

    def is_probing(self, source: str, task_id: TaskId) -> bool:  # noqa: ARG002 - the port's signature
        return False

    def account_works(self) -> None: ...

    def ended(self, source: str, claim: Claim, ending: Ending) -> None: ...

    def count_in(
        self, source: str, task_id: TaskId, wanted_usd: float | None, *, task: Waiting | None = None
    ) -> None: ...

    def leave(self, source: str, task_id: TaskId) -> None: ...

    def pause(self, pause: Pause) -> datetime:
        self.pauses.append(pause.why)
        return pause.until or datetime(2026, 2, 7, 13, 0, tzinfo=UTC)

    def pause_model(self, source: str, name: str, pause: Pause, *, asked: str | None) -> datetime:  # noqa: ARG002 - the port's
        self.pauses.append(f"{name}: {pause.why}")
        return pause.until or datetime(2026, 2, 7, 13, 0, tzinfo=UTC)

    def was_paused(self, before: datetime) -> bool:  # noqa: ARG002 - the port's signature
        return False


def source_context(
    engine: FolderEngine | MemoryEngine,
    runners: Runners,
    admission: Admission,
    clock: FakeClock,
    **others: Any,
) -> SourceContext:
    """*others* are fields of the context; without them nothing is emitted, and no wait is spread."""
    given: dict[str, Any] = {
        "source": "test",
        "orders": FakeOrders(),
        "state_of": engine.state_of,
        "emit": lambda _: None,
        "timing": lambda: Timing(jitter=lambda: 0.0),
        "dedupe": KeyedTasks(),
    }
    return SourceContext(
        **given | others,
        engine=engine,
        runners=runners,
        admission=admission,
        clock=clock,
    )


class Bench:
    """A worker on a memory engine, turned by hand."""

    def __init__(
        self, *outcomes: Outcome | None, engine: MemoryEngine | None = None, quota: Quota | None = None
    ) -> None:
        self.clock = FakeClock()
        self.engine = engine or MemoryEngine()
        self.runners = FakeRunners(self.engine, list(outcomes), self.clock)
        self.orders = FakeOrders()
        self.admission = OpenAdmission()
        self.events: list[Event] = []
        self.quota = quota or Quota()
        self.shown: list[TaskId | None] = []
        """What ran whenever that changed."""
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        """As after a restart of the daemon."""
        return Worker(
            source_context(
                self.engine,
                self.runners,
                self.admission,
                self.clock,
                orders=self.orders,
                emit=self.events.append,
                quota=self.quota,
                on_change=lambda: self.shown.append(self.worker.running),
            )
        )

    def drop(self, task_id: str, text: str = "# Do it") -> TaskId:
        return self.engine.add(task_id, text)

    def turn(self, times: int = 1) -> float | None:
        wait_s: float | None = 0.0
        for _ in range(times):
            wait_s = self.worker.turn()
        return wait_s

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def outcomes(*kinds: OutcomeKind) -> Iterable[Outcome]:
    return (Outcome(kind, kind.value) for kind in kinds)
