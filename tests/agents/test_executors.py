"""What every Executor promises, run by each: commands, commands with checks, and the agent behind a scripted model."""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.agents.command import CommandExecutor
from task_queue.demo.scripted_model import Say, ScriptedModel, UseTool, in_turn
from task_queue.domain.document.naming import copy_of
from task_queue.domain.document.settings import Settings
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.task import TaskId
from task_queue.domain.work.worktrees import Keep
from task_queue.platform.identity import bearers
from task_queue.ports.attempt_log import LogAddress
from task_queue.ports.executor import Executor, ExecutorKind, GitSetup, Order, Stop
from task_queue.runner.command import CheckedCommand
from tests.agents.bench import Bench, ListTranscript
from tests.claims import a_claim
from tests.store.memory import MemoryEngine
from tests.waiting import eventually

LONG = "echo $$ > acts; sleep 600 & sleep 600; echo late > late"
STOPPED = [(Stop.SUSPEND, OutcomeKind.INTERRUPTED), (Stop.CANCEL, OutcomeKind.CANCELLED)]


@dataclass
class Case:
    """An executor with its order; ``acts`` appears in the workspace once a long piece of work is going on."""

    executor: Executor
    order: Order
    transcript: ListTranscript

    def run(self) -> tuple[Outcome, Work]:
        return self.executor.execute(self.order, self.transcript)

    def run_and(self, act: Callable[[], object]) -> tuple[Outcome, Work]:
        """Run, and do *act* from another thread once the work is going on."""
        acts = self.order.workspace / "acts"
        actor = threading.Thread(target=lambda: (eventually(acts.exists), act()), daemon=True)
        actor.start()
        ended = self.run()
        actor.join()
        return ended


class ExecutorContract(ABC):
    @pytest.fixture
    @abstractmethod
    def quick(self) -> Case | Iterator[Case]:
        """Work that writes ``done`` into the workspace and is over."""

    @pytest.fixture
    @abstractmethod
    def long(self) -> Case | Iterator[Case]:
        """Work that goes on, with processes, until it is stopped; then nothing writes ``late``."""

    def test_work_that_is_done_succeeds(self, quick: Case) -> None:
        """In the order's workspace, and something of it is in the transcript."""
        outcome, _ = quick.run()

        assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
        assert (quick.order.workspace / "done").exists()
        assert {"in", "out"} <= {direction for direction, _ in quick.transcript.lines}

    @pytest.mark.parametrize(("how", "kind"), STOPPED)
    def test_it_can_be_stopped(self, long: Case, how: Stop, kind: OutcomeKind) -> None:
        """It returns soon, says which it was, and its work does not go on."""
        outcome, _ = long.run_and(lambda: long.executor.stop(how))

        assert outcome.kind is kind, outcome
        assert not (long.order.workspace / "late").exists()

    def test_a_stop_may_come_from_a_signal_handler(self, long: Case) -> None:
        """Of the same thread, in the middle of whatever it does."""
        before = signal.signal(signal.SIGUSR1, lambda *_: long.executor.stop(Stop.SUSPEND))
        try:
            outcome, _ = long.run_and(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert outcome.kind is OutcomeKind.INTERRUPTED, outcome

    @pytest.mark.parametrize(("how", "kind"), STOPPED)
    def test_a_stop_before_its_start_is_heeded(self, long: Case, how: Stop, kind: OutcomeKind) -> None:
        """The signal may come while the runner makes ready."""
        long.executor.stop(how)
        outcome, _ = long.run()

        assert outcome.kind is kind, outcome
        assert not (long.order.workspace / "late").exists()


def order_for(root: Path, script: str, *, verify: tuple[str, ...] = ()) -> Order:
    """A command line for a shell, in a workspace of its own."""
    workspace = root / "workspace"
    workspace.mkdir()
    document = root / "task.md"
    document.write_text(script)
    return Order(
        claim=a_claim(),
        source=root.name,
        title="A task",
        body=script,
        document=document,
        agent_copy=root / "documents" / "test" / copy_of(TaskId("task-a"), source="test"),
        scratch=root,
        temporary=root / "tmp",
        log=LogAddress("none", ""),
        queue_dirs=(),
        workspace=workspace,
        git=GitSetup(worktrees=root / "worktrees", keep=Keep(5)),
        settings=replace(Settings(), verify=verify),
        executor=ExecutorKind.COMMAND,
        argv=("sh", "-s"),
        env={"PATH": os.environ["PATH"]},
    )


def swept(case: Case) -> Iterator[Case]:
    """As a runner does: what the work left in motion is ended."""
    yield case
    for process in bearers(case.order.marker):
        os.kill(process.pid, signal.SIGKILL)


class TestCommand(ExecutorContract):
    @pytest.fixture
    def quick(self, tmp_path: Path) -> Iterator[Case]:
        yield from swept(Case(CommandExecutor(), order_for(tmp_path, "touch done"), ListTranscript()))

    @pytest.fixture
    def long(self, tmp_path: Path) -> Iterator[Case]:
        yield from swept(Case(CommandExecutor(), order_for(tmp_path, LONG), ListTranscript()))


class TestCheckedCommand(ExecutorContract):
    @pytest.fixture
    def quick(self, tmp_path: Path) -> Iterator[Case]:
        order = order_for(tmp_path, "touch done", verify=("test -e done",))
        yield from swept(Case(CheckedCommand(MemoryEngine().writer(order.claim)), order, ListTranscript()))

    @pytest.fixture
    def long(self, tmp_path: Path) -> Iterator[Case]:
        order = order_for(tmp_path, LONG, verify=("true",))
        yield from swept(Case(CheckedCommand(MemoryEngine().writer(order.claim)), order, ListTranscript()))

    def test_without_git_it_says_which_files_changed(self, quick: Case) -> None:
        """Also where nothing verifies them."""
        quick.order = replace(quick.order, settings=replace(quick.order.settings, verify=()))

        _, work = quick.run()

        assert work.product is not None
        assert work.product.files == ({"path": "done", "change": "new"},)


class TestClaude(ExecutorContract):
    @pytest.fixture
    def quick(self, tmp_path: Path) -> Iterator[Case]:
        use = UseTool("Write", {"file_path": "done", "content": "x"})
        with ScriptedModel(in_turn(use, Say("done"))) as model:
            run = Bench(tmp_path, model)
            yield from swept(Case(ClaudeExecutor(), run.order, run.transcript))

    @pytest.fixture
    def long(self, tmp_path: Path) -> Iterator[Case]:
        use = UseTool("Bash", {"command": LONG, "timeout": 600000})
        with ScriptedModel(in_turn(use, Say("done"))) as model:
            run = Bench(tmp_path, model)
            order = replace(run.order, claim=replace(run.order.claim, task_id=TaskId("task-long")))
            yield from swept(Case(ClaudeExecutor(), order, run.transcript))
