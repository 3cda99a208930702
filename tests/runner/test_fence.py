"""A runner whose host may not go on begins nothing: it may have been frozen since its claim."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.peers import LEASE_S
from task_queue.platform import identity
from task_queue.platform.leases import LeaseFile
from task_queue.ports.executor import Order, Stop, Transcript
from task_queue.runner import process
from task_queue.runner.fence import LeaseFence
from tests.agents.test_executors import order_for
from tests.store.contract import NOW
from tests.store.memory import MemoryEngine


class RecordingExecutor:
    def __init__(self) -> None:
        self.executed = 0

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:  # noqa: ARG002
        self.executed += 1
        return Outcome(OutcomeKind.SUCCEEDED, "done"), Work()

    def stop(self, how: Stop) -> None: ...


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingExecutor]:
    """In the process of the test, which keeps its children and its signals."""
    executor = RecordingExecutor()
    monkeypatch.setattr(process, "executor_of", lambda order, log: executor)  # noqa: ARG005
    monkeypatch.setattr(identity, "become_subreaper", lambda: None)
    monkeypatch.setattr(identity, "end_tree", lambda *_, **__: 0)
    monkeypatch.setattr(LeaseFence, "_watch", lambda self: self._over.wait(30))  # it may come too late
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield executor
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("age_s", "executed", "kind"),
    [(0.0, 1, OutcomeKind.SUCCEEDED), (LEASE_S / 2 + 1, 0, OutcomeKind.INTERRUPTED)],
    ids=["in time", "too late"],
)
def test_an_agent_begins_within_its_lease_only(
    executor: RecordingExecutor, tmp_path: Path, age_s: float, executed: int, kind: OutcomeKind
) -> None:
    lease = LeaseFile(tmp_path / "lease")
    lease.renew(lease.now() - age_s)
    engine = MemoryEngine()
    task_id = engine.add("task-a", "# Do it")
    claim = engine.queue.claim(task_id, worker="w", now=NOW)
    (tmp_path / "tmp").mkdir()
    order = replace(order_for(tmp_path, "exit"), claim=claim, lease=lease.path)
    process.carry_out(order, engine.writer(claim))
    ending = engine.attempts.ending_of(claim)

    assert ending is not None
    assert (executor.executed, ending.outcome.kind) == (executed, kind)
