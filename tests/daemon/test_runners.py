"""Runners keep their contract: real processes from a real template, and the fake that other tests use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from task_queue.daemon.runners import ProcessRunners
from task_queue.domain.model import OutcomeKind
from task_queue.platform.identity import bearers
from task_queue.platform.owners import process_of
from task_queue.ports.executor import ExecutorKind, Order
from task_queue.ports.store import Engine
from task_queue.store.folder.engine import FolderEngine
from tests.acceptance.rig import ROOT
from tests.daemon.runners_contract import RunnersBench, RunnersContract
from tests.fakes import SUCCESS, FakeClock, FakeOrders
from tests.running import LiveRunners
from tests.store.memory import MemoryEngine
from tests.waiting import eventually

TEXT = "---\nexecutor: sh\n---\n"
SCRIPT = "echo $$ > acts; until test -e finish; do sleep 0.02; done"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def order_of(engine: Engine, task_id: str) -> Order:
    """Of the waiting task, claimed."""
    queue = engine.queue
    (task,) = (waiting for waiting in engine.survey().waiting if waiting.id == task_id)
    claim = queue.claim(task.id, worker="test", now=datetime.now(UTC))
    place = engine.attempts.place_of(claim)
    order = FakeOrders().order_for(claim, queue.task(claim), queue.journal(claim), place)
    return replace(order, token=queue.token_of(claim))


class ProcessBench(RunnersBench):
    def acts(self) -> bool:
        return (self.order.workspace / "acts").exists() and (self.order.workspace / "acts").read_text() != ""

    def finish(self) -> None:
        (self.order.workspace / "finish").touch()

    def crash(self) -> None:
        named = process_of(self.run().runner)
        assert named is not None
        os.kill(named[0].pid, signal.SIGKILL)

    def left(self) -> int:
        return len(bearers(self.order.marker))


@pytest.fixture(scope="module")
def runners() -> Iterator[ProcessRunners]:
    """One template for all tests: it takes a second to start."""
    runners = ProcessRunners(ENVIRONMENT)
    yield runners
    runners.close()


@contextmanager
def process_bench(runners: ProcessRunners, home: Path) -> Iterator[ProcessBench]:
    engine = FolderEngine(home / "queue" / "pending", settle_s=lambda: 0)
    engine.open()
    workspace = home / "workspace"
    workspace.mkdir()
    (engine.layout.pending / "task-a.md").write_text(f"{TEXT}{SCRIPT}\n")
    order = replace(
        order_of(engine, "task-a"),
        source=home.name,  # markers of two tests must differ
        workspace=workspace,
        executor=ExecutorKind.COMMAND,
        argv=("sh", "-s"),
        env={"PATH": os.environ["PATH"]},
    )
    yield ProcessBench(runners, engine, order)
    runners.sweep(order.marker)
    engine.close()


class TestProcessRunners(RunnersContract):
    @pytest.fixture
    def bench(self, runners: ProcessRunners, tmp_path: Path) -> Iterator[ProcessBench]:
        with process_bench(runners, tmp_path) as bench:
            yield bench

    def test_what_outlives_its_runner_is_counted(self, bench: ProcessBench) -> None:
        """The command, in a session of its own, goes on after its runner was killed; the sweep ends it."""
        attempt = bench.start()
        bench.crash()
        eventually(attempt.ended)

        assert bench.left() >= 1
        assert bench.runners.sweep(bench.order.marker) >= 1
        assert bench.left() == 0
        attempt.close()


def test_a_template_of_commands_does_not_import_the_sdk(tmp_path: Path) -> None:
    """A runner has what its template had when it was forked; that of the second command comes after the first."""
    runners = ProcessRunners(ENVIRONMENT)
    mapped = []
    try:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            with process_bench(runners, tmp_path / name) as bench:
                attempt = bench.start()
                named = process_of(bench.run().runner)
                assert named is not None
                mapped.append(Path(f"/proc/{named[0].pid}/maps").read_text())
                bench.finish()
                eventually(attempt.ended)
                attempt.close()
    finally:
        runners.close()

    assert ["_asyncio" in maps for maps in mapped] == [False, False]


@dataclass
class FakeBench(RunnersBench):
    live: LiveRunners

    def acts(self) -> bool:
        return self.live.last.runs

    def finish(self) -> None:
        self.live.last.end(SUCCESS)

    def crash(self) -> None:
        self.live.last.end()

    def left(self) -> int:
        return sum(process.runs + process.left for process in self.live.processes)


class TestFakeRunners(RunnersContract):
    @pytest.fixture
    def bench(self) -> FakeBench:
        engine = MemoryEngine()
        engine.add("task-a", f"{TEXT}{SCRIPT}\n")
        live = LiveRunners(engine.writer, FakeClock())
        return FakeBench(live, engine, order_of(engine, "task-a"), live)


def test_a_success_of_the_fake_is_genuine() -> None:
    """Else every test that uses it would see crashes."""
    engine = MemoryEngine()
    engine.add("task-a", f"{TEXT}true\n")
    live = LiveRunners(engine.writer, FakeClock())
    order = order_of(engine, "task-a")
    live.start(order).close()
    live.last.end(SUCCESS)

    ending = engine.attempts.ending_of(order.claim)
    assert ending is not None
    assert (ending.outcome.kind, engine.attempts.is_genuine(order.claim, ending)) == (
        OutcomeKind.SUCCEEDED,
        True,
    )
