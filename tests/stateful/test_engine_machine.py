"""Random lives of a source against a small model: what must hold after every step, whatever the order.

Faults are of two kinds: a folder that is missing, and an engine whose next calls fail with the error of
a sick disk. The worker is turned by hand; the runner is a fake that commits an outcome or dies.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from task_queue.daemon.worker import Worker
from task_queue.domain.document import naming
from task_queue.domain.errors import EngineUnavailable, UnknownTaskError
from task_queue.domain.model import Attempt, Claim, Journal, Outcome, OutcomeKind, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.executor import Order
from task_queue.ports.runner import RunningAttempt
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.files import read_record
from task_queue.store.folder.records import LockFile
from tests.fakes import FakeClock, FakeRunners, OpenAdmission, source_context
from tests.store.memory import MemoryEngine

NAMES = st.sampled_from(["task-a", "task-b", "task-c"])
ENDS = st.sampled_from([*OutcomeKind, None])
MAX_ATTEMPTS = 2
TEXT = f"---\nmax_attempts: {MAX_ATTEMPTS}\nretry_delay: 1s\n---\n# Version {{}}\n"


class Runners(FakeRunners):
    """Notes which attempts were started."""

    def __init__(self, engine: FolderEngine | MemoryEngine, clock: FakeClock) -> None:
        super().__init__(engine, [], clock)
        self.started: list[tuple[TaskId, int]] = []
        self.next: Outcome | None = Outcome(OutcomeKind.SUCCEEDED, "done")

    def start(self, order: Order) -> RunningAttempt:
        claim = order.claim
        assert (claim.task_id, claim.attempt) not in self.started, "an attempt was started twice"
        self.started.append((claim.task_id, claim.attempt))
        self.outcomes = [self.next]
        return super().start(order)


class EngineMachine(RuleBasedStateMachine):
    """The rules and invariants; a subclass names the engine, and what a person sees of it."""

    engine: FolderEngine | MemoryEngine

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.admission = OpenAdmission()
        self.make_engine()
        self.runners = Runners(self.engine, self.clock)
        self.version = 0
        self.dropped: dict[TaskId, int] = {}
        """How many documents of each name were handed in and not taken away again."""
        self.restart()

    def make_engine(self) -> None:
        self.engine = MemoryEngine()

    # What happens

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        if self.is_waiting(name):
            return
        self.version += 1
        self.put(name, TEXT.format(self.version))
        self.dropped[TaskId(name)] = self.dropped.get(TaskId(name), 0) + 1

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self.is_waiting(name):
            self.take(name)
            self.dropped[TaskId(name)] -= 1

    @rule(name=NAMES)
    def edit(self, name: str) -> None:
        if self.is_waiting(name):
            self.version += 1
            self.put(name, TEXT.format(self.version))

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        try:
            self.engine.requests.request_cancel(TaskId(name))
        except (UnknownTaskError, EngineUnavailable):
            return

    @rule(name=NAMES, number=st.integers(1, 3))
    def retry(self, name: str, number: int) -> None:
        task_id = TaskId(name) if number == 1 else naming.numbered(TaskId(name), number)
        try:
            self.engine.requests.requeue(task_id)
        except (UnknownTaskError, EngineUnavailable):
            return
        if number > 1:  # the record's document keeps its number, and is one of that name from now on
            self.dropped[TaskId(name)] -= 1
            self.dropped[task_id] = self.dropped.get(task_id, 0) + 1

    @rule(end=ENDS)
    def turn(self, end: OutcomeKind | None) -> None:
        """The next runner ends like this, or dies without a word."""
        self.runners.next = None if end is None else Outcome(end, end.value)
        self.clock.advance(2)
        self.engine.touch()
        self.worker.turn()

    @rule()
    def restart(self) -> None:
        self.worker = Worker(source_context(self.engine, self.runners, self.admission, self.clock))

    @rule()
    def pause(self) -> None:
        self.admission.refusal = None if self.admission.refusal else "paused"

    @rule(hours=st.integers(-24, 24))
    def clock_jumps(self, hours: int) -> None:
        self.clock.time += timedelta(hours=hours)

    # What must hold

    @invariant()
    def the_worker_lives(self) -> None:
        assert "defect" not in (self.worker.trouble or "")

    @invariant()
    def every_task_is_in_exactly_one_place(self) -> None:
        found = self.documents()
        for name, expected in self.dropped.items():
            records = [record for record in found if record == name or naming.unnumbered(record) == name]
            mine = [r for r in records if not (r != name and r in self.dropped)]
            there = sum(len(found[record]) for record in mine)
            assert there == expected, f"{name}: {expected} handed in, but {found}"
        for record, places in found.items():
            ended = [place for place in places if place is not TaskState.PENDING]
            assert len(ended) <= 1, f"{record} ended twice: {places}"

    @invariant()
    def the_result_matches_the_place(self) -> None:
        for record, places in self.documents().items():
            for place in places:
                if place is not TaskState.PENDING:
                    result = self.result(record)
                    assert result is not None, record
                    assert (result.state, result.success) == (place, place is TaskState.COMPLETED)

    @invariant()
    def at_most_one_claim(self) -> None:
        assert len(self.claims()) <= 1, "two live attempts of one source"

    @invariant()
    def numbers_only_grow_and_the_limit_is_kept(self) -> None:
        highest: dict[TaskId, int] = {}
        for record, number in self.runners.started:
            assert number > highest.get(record, 0), self.runners.started
            highest[record] = number
        for record in self.documents():
            result = self.result(record)
            history = result.attempts if result else self.journal(record)
            numbers = [attempt.number for attempt in history]
            assert numbers == sorted(set(numbers))
            assert sum(attempt.counted for attempt in history) <= MAX_ATTEMPTS

    # A person's hands and eyes

    def is_waiting(self, name: str) -> bool:
        assert isinstance(self.engine, MemoryEngine)
        return TaskId(name) in self.engine.documents

    def put(self, name: str, text: str) -> None:
        assert isinstance(self.engine, MemoryEngine)
        self.engine.add(name, text)

    def take(self, name: str) -> None:
        assert isinstance(self.engine, MemoryEngine)
        del self.engine.documents[TaskId(name)]

    def documents(self) -> dict[TaskId, list[TaskState]]:
        assert isinstance(self.engine, MemoryEngine)
        found: dict[TaskId, list[TaskState]] = {name: [TaskState.PENDING] for name in self.engine.documents}
        for record, (state, _) in self.engine.ended.items():
            found.setdefault(record, []).append(state)
        return found

    def result(self, record: TaskId) -> Result | None:
        assert isinstance(self.engine, MemoryEngine)
        return self.engine.results.get(record)

    def journal(self, record: TaskId) -> tuple[Attempt, ...]:
        assert isinstance(self.engine, MemoryEngine)
        journal = self.engine._journals.get(record)
        return journal.attempts if journal else ()

    def claims(self) -> tuple[Claim, ...]:
        return self.engine.queue.claims()


class SickEngine(FolderEngine):
    """Its n-th guarded step from now on finds a sick disk, until ``calls_left`` is None again."""

    calls_left: int | None = None

    @contextmanager
    def _available(self) -> Iterator[None]:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise EngineUnavailable("the disk is sick")
        with super()._available():
            yield


class FolderMachine(EngineMachine):
    """The same with files, and with faults."""

    engine: SickEngine

    def make_engine(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="task-queue-machine-"))
        self.engine = SickEngine(self.home / "queue" / "pending", settle_s=lambda: 0)
        self.engine.open()

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.home)

    @rule(calls=st.integers(0, 12))
    def disk_gets_sick(self, calls: int) -> None:
        """Somewhere in the middle of the next steps."""
        self.engine.calls_left = calls

    @precondition(lambda self: self.engine.calls_left is not None)
    @rule()
    def disk_recovers(self) -> None:
        self.engine.calls_left = None

    @rule(folder=st.sampled_from(["results", "completed", "failed"]))
    def empty_folder_goes_missing(self, folder: str) -> None:
        path = self.engine.layout.root / folder
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()

    @rule()
    def lock_is_deleted(self) -> None:
        for lock in self.engine.layout.pending.glob(".task-*.lock"):
            lock.unlink()

    def is_waiting(self, name: str) -> bool:
        pending = self.engine.layout.pending
        locked = (pending / naming.lock_of(f"{name}.md")).exists()
        return (pending / f"{name}.md").exists() and not locked

    def put(self, name: str, text: str) -> None:
        pending = self.engine.layout.pending
        if (
            pending / naming.lock_of(f"{name}.md")
        ).exists():  # what a hand does while it runs is tried elsewhere
            self.dropped[TaskId(name)] = self.dropped.get(TaskId(name), 0) - 1
            return
        (self.home / "draft").write_text(text)
        (self.home / "draft").rename(pending / f"{name}.md")

    def take(self, name: str) -> None:
        pending = self.engine.layout.pending
        (pending / f"{name}.md").unlink()
        (pending / naming.journal_of(f"{name}.md")).unlink(missing_ok=True)

    def documents(self) -> dict[TaskId, list[TaskState]]:
        found: dict[TaskId, list[TaskState]] = {}
        for state in (TaskState.PENDING, TaskState.COMPLETED, TaskState.FAILED):
            folder = self.engine.layout.root / state.value
            for path in folder.glob("task-*.md") if folder.is_dir() else ():
                found.setdefault(naming.task_id_of(path.name), []).append(state)
        return found

    def result(self, record: TaskId) -> Result | None:
        found = read_record(Result, self.engine.layout.result(record))
        assert not isinstance(found, str), found
        return found

    def journal(self, record: TaskId) -> tuple[Attempt, ...]:
        found = read_record(Journal, self.engine.layout.journal(naming.document_of(record)))
        assert not isinstance(found, str), found
        return found.attempts if found else ()

    def claims(self) -> tuple[Claim, ...]:
        locks = self.engine.layout.pending.glob(".task-*.lock")
        return tuple(c.claim for path in locks if isinstance(c := read_record(LockFile, path), LockFile))


BOUNDS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestMemoryMachine = EngineMachine.TestCase
TestMemoryMachine.settings = BOUNDS
TestFolderMachine = FolderMachine.TestCase
TestFolderMachine.settings = settings(BOUNDS, max_examples=12, stateful_step_count=25)
