"""Fake runners that are still running: the test decides when and how each ends. And a wait that takes no time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import Claim, Outcome, OutcomeKind, Owner, RunRecord
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order, Stop
from tests.fakes import FakeClock

_KIND = "fake"
_MOST_WAITS = 10_000
STOPPED = {
    Stop.CANCEL: Outcome(OutcomeKind.CANCELLED, "the runner was cancelled"),
    Stop.SUSPEND: Outcome(OutcomeKind.INTERRUPTED, "the runner was suspended"),
}


class FakeProcess:
    """One runner with its tree, in no process at all."""

    def __init__(self, order: Order, writer: AttemptWriter, clock: FakeClock) -> None:
        self.order = order
        self.writer = writer
        self.asked: list[Stop] = []
        self.was_killed = False
        self.runs = True
        self.left = 0
        """Processes of its tree that outlive it."""
        self._clock = clock
        self._ended = os.eventfd(0, os.EFD_CLOEXEC)

    def end(self, outcome: Outcome | None = None) -> None:
        """As a runner does: its ending first. Without *outcome* it dies without a word."""
        if outcome is not None:
            ending = bare_ending(self.order.claim, outcome, by="runner", now=self._clock.now())
            self.writer.commit(replace(ending, token=self.order.token))
        if self.runs:
            self.runs = False
            os.eventfd_write(self._ended, 1)

    def kill(self) -> None:
        self.was_killed = True
        self.left = 0
        self.end()

    def descriptor(self) -> int:
        """A new one, readable once the process has ended."""
        return os.dup(self._ended)


class FakeAttempt:
    """Implements ports.runner.RunningAttempt."""

    def __init__(self, process: FakeProcess, on_stop: Callable[[FakeProcess, Stop], None]) -> None:
        self._process = process
        self._on_stop = on_stop
        self._fd = process.descriptor()

    def fileno(self) -> int:
        return self._fd

    def ended(self) -> bool:
        return not self._process.runs

    def can_answer(self) -> bool:
        return True

    def stop(self, how: Stop) -> None:
        if self._process.runs:
            self._process.asked.append(how)
            self._on_stop(self._process, how)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        os.close(self._fd)


def obeys(process: FakeProcess, how: Stop) -> None:
    process.end(STOPPED[how])


def ignores(process: FakeProcess, how: Stop) -> None:
    """It goes on, whatever it is asked."""


@dataclass
class LiveRunners:
    """Implements ports.runner.Runners with processes that run until the test, or a kill, ends them."""

    writer_of: Callable[[Claim], AttemptWriter]
    clock: FakeClock
    on_stop: Callable[[FakeProcess, Stop], None] = obeys
    refusal: ExecutorError | None = None
    processes: list[FakeProcess] = field(default_factory=list[FakeProcess])

    @property
    def last(self) -> FakeProcess:
        return self.processes[-1]

    def start(self, order: Order) -> FakeAttempt:
        if self.refusal is not None:
            raise self.refusal
        claim, writer = order.claim, self.writer_of(order.claim)
        process = FakeProcess(order, writer, self.clock)
        self.processes.append(process)
        owner = Owner(_KIND, str(len(self.processes) - 1))
        run = RunRecord(claim.task_id, claim.attempt, order.marker, owner, self.clock.now(), claim=claim)
        if not (writer.show(run) and writer.claim_stands()):
            process.end()
        return FakeAttempt(process, self.on_stop)

    def adopt(self, run: RunRecord) -> FakeAttempt | None:
        if run.runner.kind != _KIND:
            return None
        return self._attempt(self.processes[int(run.runner.name)])

    def find(self, marker: str) -> FakeAttempt | None:
        return next((self._attempt(p) for p in self.processes if p.order.marker == marker and p.runs), None)

    def sweep(self, marker: str) -> int:
        mine = [process for process in self.processes if process.order.marker == marker]
        ended = sum(process.runs + process.left for process in mine)
        for process in mine:
            if process.runs or process.left:
                process.kill()
        return ended

    def _attempt(self, process: FakeProcess) -> FakeAttempt | None:
        return FakeAttempt(process, self.on_stop) if process.runs else None


@dataclass
class FakeWait:
    """Implements ports.clock.Waiter: time passes at once, and at each wait the next of ``script`` happens first.

    What happens wakes the waiter, so that no time passes then.
    """

    clock: FakeClock
    script: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    waits: list[float] = field(default_factory=list[float])

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        assert timeout_s is not None, "nothing would ever end this wait"
        assert timeout_s > 0, "this would turn without a pause"
        assert len(self.waits) < _MOST_WAITS, "this would wait for ever"
        for fd in others:
            os.fstat(fd)  # an open descriptor, or OSError
        self.waits.append(timeout_s)
        if self.script:
            self.script.pop(0)()
            return True
        self.clock.advance(timeout_s)
        return False
