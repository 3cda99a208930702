"""Random lives of a queue with the real daemon and real runners, against a small model (``lives.py``).

A few lives here; ``make proof-stateful`` runs more of them (TASK_QUEUE_LIVES). The number of a life gives its
steps, but each meets the daemon wherever it is at that moment: the steps are told with what is wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from task_queue.domain.errors import EngineUnavailable, UnknownTaskError
from task_queue.domain.task import TaskId
from task_queue.store.folder.engine import FolderEngine
from tests.acceptance.rig import Rig
from tests.processes import children_of, kill, look
from tests.proof import checker
from tests.proof.bench import without_sdk
from tests.stateful.lives import KINDS, PLACES, WAITS, Handed, dropped, problems_of
from tests.waiting import eventually, within
from tests.warm import Process

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
LIVES = int(os.environ.get("TASK_QUEUE_LIVES", "6"))


class DaemonMachine(RuleBasedStateMachine):
    """Steps on a queue, and what must hold after each and at the end."""

    found: ClassVar[list[str]] = []
    """What was wrong so far. Hypothesis lives such a life again, and forgets why if all goes well then."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="task-queue-life-"))
        self.rig = Rig(
            self.home / "home", settle_seconds=0.02, sweep_seconds=0.2, stop_grace_seconds=5,
            limits={"min_free_mb": 0, "starts_per_10min": 1000},
        )  # fmt: skip
        without_sdk(self.rig, self.home / "light")
        self.engine = FolderEngine(self.rig.pending())
        self.tasks: dict[str, Handed] = {}
        self.steps: list[str] = []
        self.daemon: Process | None = None
        self.paused = self.is_over = False
        self.held: set[str] = set()
        """Handed in while the source was paused."""
        self.faulty: Path | None = None
        """The folder in whose place something else lies."""

    @initialize(chance=st.integers(0, 2**16), kinds=st.permutations(range(len(KINDS))))
    def begin(self, chance: int, kinds: list[int]) -> None:
        """One that runs until it is told to end, and one of each kind behind it."""
        assume(chance)  # or the first life would be the simplest, in which nothing happens
        self.daemon = self.rig.start()
        eventually((self.rig.queue() / "logs").exists, what="the source is made ready")
        for kind in (WAITS, *kinds):
            self.drop(kind)
        eventually(self.runners, what="the first one runs")

    @rule(step=st.integers(0, 10**6), which=st.integers(0, 50))
    def something_happens(self, step: int, which: int) -> None:
        """One rule for all: Hypothesis leaves out half of many in each life, and most steps need one another."""
        possible = [act for act, may in STEPS if may(self)]
        possible[step % len(possible)](self, which)

    # What people do

    def drop(self, which: int) -> None:
        kind = which % len(KINDS)
        name = f"task-{len(self.tasks)}"
        self.note(f"drop {name} of kind {kind}")
        self.tasks[name] = Handed(KINDS[kind])
        self.tasks[name].put(KINDS[kind].text)
        if self.paused:
            self.held.add(name)
        self.rig.drop(name, KINDS[kind].text)

    def edit(self, which: int) -> None:
        """As an editor saves, but only where there is still something to replace."""
        name, task = one_of(self.unended(), which)
        draft, document = self.home / "draft", self.rig.pending() / f"{name}.md"
        with contextlib.suppress(FileNotFoundError):
            text = f"{document.read_text()}# edited {len(task.texts)}\n"
            draft.write_text(text)
            exchange(draft, document)
            self.note(f"edit {name}")
            task.put(text)
            task.taken(draft.read_text())

    def delete(self, which: int) -> None:
        name, task = one_of(self.unended(), which)
        away = self.home / "away"
        with contextlib.suppress(FileNotFoundError):
            (self.rig.pending() / f"{name}.md").rename(away)
            self.note(f"delete {name}")
            task.deleted = True
            task.may_end.add("cancelled")
            task.taken(away.read_text())

    def cancel(self, which: int) -> None:
        name, task = one_of(self.unended(), which)
        with contextlib.suppress(UnknownTaskError, EngineUnavailable):
            task.may_end.add("cancelled")
            self.engine.requests.request_cancel(TaskId(name))
            self.note(f"cancel {name}")
            task.must_not_succeed = task.kind.waits and not task.told

    def retry(self, which: int) -> None:
        name, task = one_of(self.ended("failed"), which)
        with contextlib.suppress(UnknownTaskError):
            with contextlib.suppress(EngineUnavailable):
                self.engine.requests.requeue(TaskId(name))
            self.note(f"retry {name}")
            task.retries += 1
            task.must_not_succeed = False

    def let_one_go_on(self, _: int = 0) -> None:
        waits = [name for name, task in self.tasks.items() if task.kind.waits and not task.told]
        for name in waits[:1]:
            self.note(f"let {name} go on")
            self.tell(name)

    def time_passes(self, _: int = 0) -> None:
        """Until a task has ended, if one does soon."""
        ended = len(self.ended("completed", "failed"))
        within(1.0, lambda: len(self.ended("completed", "failed")) > ended)

    def pause_or_resume(self, _: int = 0) -> None:
        self.paused = not self.paused
        self.note("pause" if self.paused else "resume")
        self.held.clear()
        document = json.loads(self.rig.config.read_text())
        document["task_source_directories"][0]["paused"] = self.paused
        draft = self.home / "config"
        draft.write_text(json.dumps(document))
        draft.chmod(0o600)
        draft.rename(self.rig.config)
        if self.daemon is not None:
            eventually(lambda: (self.state() == "paused") is self.paused, what="the daemon has heard of it")

    # What goes wrong

    def kill_daemon(self, _: int = 0) -> None:
        """Disturbs no task: its runner goes on, or it had not begun. What follows meets a queue without a daemon."""
        assert self.daemon is not None
        within(0.5, self.runners)
        self.note(f"kill the daemon while {self.runners()} runs")
        self.rig.stop(self.daemon, signal.SIGKILL)
        self.daemon = None

    def start_daemon(self, _: int = 0) -> None:
        self.note("start the daemon")
        self.daemon = self.rig.start()

    def restart(self, _: int = 0) -> None:
        """Ends a running command, which a person then has to look at; nothing runs in between."""
        self.note("restart")
        assert self.daemon is not None
        has_ended = dict(self.ended("completed", "failed"))
        for name in self.tasks.keys() - has_ended.keys():
            self.tasks[name].may_end.update(
                {"interrupted"} if self.faulty is None else {"interrupted", "crashed"}
            )
        stopped, self.daemon = self.daemon, None
        self.rig.stop(stopped)
        running = self.rig.marked()
        self.demand(not running, f"{running} run after a stop")
        self.daemon = self.rig.start()

    def kill_runner(self, _: int = 0) -> None:
        """One that runs now, or soon."""
        within(0.5, self.runners)
        for name, pid in self.runners():
            self.note(f"kill the runner of {name}")
            self.tasks[name].may_end.add("crashed")
            kill(pid)

    def kill_template(self, _: int = 0) -> None:
        """What runners are forked from. Disturbs no task, either."""
        assert self.daemon is not None
        for pid in children_of(self.daemon.pid):
            if b"task_queue.runner.template" in look(pid, "cmdline"):
                self.note("kill the template")
                kill(pid)

    def fault_on(self, which: int) -> None:
        """Something else in the place of a folder: the source is unavailable, says so, and waits. Disturbs no task."""
        folder = ("results", "completed", "failed", "logs")[which % 4]
        self.note(f"fault on: {folder}/")
        place, instead = self.rig.queue() / folder, self.rig.queue() / f"{folder}.kept"
        instead.touch()
        exchange(instead, place)
        self.faulty = place

    def fault_off(self, _: int = 0) -> None:
        self.note("fault off")
        assert self.faulty is not None
        kept = self.faulty.with_name(f"{self.faulty.name}.kept")
        exchange(kept, self.faulty)
        kept.unlink()
        self.faulty = None

    # What must hold

    @invariant()
    def every_task_is_in_exactly_one_place(self) -> None:
        for name, task in self.tasks.items():
            if not task.deleted:
                whole = within(30, partial(self.is_in_one_place, name))
                self.demand(whole, f"{name} lies in {self.places(name)}")

    @invariant()
    def nothing_starts_while_it_is_paused(self) -> None:
        started = [line for line in self.rig.side_effects("effects") if line.split(":")[-3] in self.held]
        self.demand(not started, f"{started} although it was paused before")

    def teardown(self) -> None:
        try:
            if self.tasks and not self.is_over:
                self.end()
        finally:
            self.rig.close()
            shutil.rmtree(self.home)

    def end(self) -> None:
        """Nothing is in the way any more: everything ends, and the checker looks."""
        if self.faulty:
            self.fault_off()
        if self.daemon is None:
            self.start_daemon()
        if self.paused:
            self.pause_or_resume()
        for name in self.tasks:
            self.tell(name)
        self.demand(
            within(120, lambda: self.left() == []), f"{self.left()} have not ended {self.rig.errors()}"
        )
        assert self.daemon is not None
        self.rig.stop(self.daemon)
        if any(
            self.rig.queue().rglob(".tq-*")
        ):  # could not be unlinked during a fault: the next daemon sweeps
            self.daemon = self.rig.start()
            within(30, lambda: not any(self.rig.queue().rglob(".tq-*")))
            self.rig.stop(self.daemon)
        effects, queue = self.rig.workspace / "effects", self.rig.queue()
        recorded = {
            name: dropped(task) for name, task in self.tasks.items() if not task.deleted or self.places(name)
        }
        problems = checker.problems_of(self.rig.home, queue, effects, recorded)
        for name, task in self.tasks.items():
            problems += problems_of(name, task, queue, self.rig.side_effects("effects"))
        self.demand(not problems, "; ".join(problems))

    # Looking

    def tell(self, name: str) -> None:
        """Let a waiting task end, unless it was cancelled: that has to be enough."""
        if not self.tasks[name].must_not_succeed:
            self.tasks[name].told = True
            (self.rig.workspace / f"go-{name}").touch()

    def state(self) -> str:
        return str(self.rig.state()["sources"]["a"]["state"])

    def places(self, name: str) -> list[str]:
        queue = self.rig.queue()
        return [
            place
            for place in PLACES
            if any((queue / folder / f"{name}.md").exists() for folder in (place, f"{place}.kept"))
        ]

    def is_in_one_place(self, name: str) -> bool:
        return len(self.places(name)) == 1

    def ended(self, *places: str) -> list[tuple[str, Handed]]:
        return [(name, task) for name, task in self.tasks.items() if set(self.places(name)) & {*places}]

    def unended(self) -> list[tuple[str, Handed]]:
        return self.ended("pending")

    def runners(self) -> list[tuple[str, int]]:
        """Task and pid of each that runs."""
        found: list[tuple[str, int]] = []
        for lock in self.rig.locks():
            with contextlib.suppress(OSError, ValueError):
                claim = json.loads(lock.read_text())
                folder = self.rig.queue() / "logs" / claim["task_id"] / f"attempt-{claim['attempt']}"
                run = json.loads((folder / "run.json").read_text())
                if not run["abandoned"] and run["pid"] in self.rig.marked():
                    found.append((claim["task_id"], run["pid"]))
        return found

    def left(self) -> list[str]:
        """What lies in pending, but for newer texts that are kept for their author."""
        return [path.name for path in self.rig.pending().iterdir() if not path.name.startswith("edited-")]

    def note(self, step: str) -> None:
        self.steps.append(step)

    def demand(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.is_over = True
            self.found.append(f"{otherwise} after {self.steps}")
            raise AssertionError(self.found[-1])


def always(_: DaemonMachine) -> bool:
    return True


def has_daemon(machine: DaemonMachine) -> bool:
    return machine.daemon is not None


def has_unended(machine: DaemonMachine) -> bool:
    return bool(machine.unended())


STEPS: tuple[tuple[Callable[[DaemonMachine, int], None], Callable[[DaemonMachine], object]], ...] = (
    (DaemonMachine.drop, always),
    (DaemonMachine.edit, has_unended),
    (DaemonMachine.delete, has_unended),
    (DaemonMachine.cancel, has_unended),
    (DaemonMachine.retry, lambda machine: machine.ended("failed")),
    (DaemonMachine.let_one_go_on, always),
    (DaemonMachine.time_passes, has_daemon),
    (DaemonMachine.time_passes, has_daemon),
    (DaemonMachine.pause_or_resume, always),
    (DaemonMachine.kill_daemon, has_daemon),
    (DaemonMachine.kill_daemon, has_daemon),
    (DaemonMachine.start_daemon, lambda machine: machine.daemon is None),
    (DaemonMachine.start_daemon, lambda machine: machine.daemon is None),
    (DaemonMachine.restart, has_daemon),
    (DaemonMachine.kill_runner, has_daemon),
    (DaemonMachine.kill_runner, has_daemon),
    (DaemonMachine.kill_template, has_daemon),
    (DaemonMachine.fault_on, lambda machine: machine.faulty is None),
    (DaemonMachine.fault_off, lambda machine: machine.faulty is not None),
    (DaemonMachine.fault_off, lambda machine: machine.faulty is not None),
)
"""What may happen, and when; twice: twice as likely."""


def one_of(tasks: list[tuple[str, Handed]], which: int) -> tuple[str, Handed]:
    return tasks[which % len(tasks)]


def exchange(one: Path, other: Path) -> None:
    """Each in the other's place, at once; FileNotFoundError if one is not there."""
    paths = os.fsencode(one), os.fsencode(other)
    if _libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        raise FileNotFoundError(ctypes.get_errno(), str(other))


@pytest.mark.parametrize("number", range(LIVES))
def test_a_life(number: int) -> None:
    """Whatever happens in it, and whenever: nothing lost, nothing done twice, nothing done that is not."""
    try:
        run_state_machine_as_test(
            seed(number)(DaemonMachine),
            settings=settings(
                max_examples=1,  # many in one would be variations of one another
                stateful_step_count=25,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    except Flaky as error:
        raise AssertionError(DaemonMachine.found) from error
