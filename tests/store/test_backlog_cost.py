"""What waits costs nothing per task: the same number of operations with 10, 1,000 and 10,000 waiting."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.daemon.cycles import SharedCycles
from task_queue.daemon.worker import Worker
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.engine import FolderEngine
from tests.counting import counting
from tests.fakes import SUCCESS, FakeClock, FakeRunners, OpenAdmission, source_context
from tests.waiting import eventually

_SLACK = 0.02
"""Share by which counts may differ: a set or a heap of another size is walked in another order."""


class Source:
    def __init__(self, root: Path, *, settle_s: float = 0.0) -> None:
        self.clock = FakeClock()
        cycles = SharedCycles(lambda _: ("a", TaskState.PENDING), wake=lambda _: None)
        pending = root / "queue" / "pending"
        self.engine = FolderEngine(pending, settle_s=lambda: settle_s, cycles=cycles.of("a"))
        self.runners = FakeRunners(self.engine, [], self.clock)
        self.admission = OpenAdmission()
        self.worker = Worker(
            source_context(self.engine, self.runners, self.admission, self.clock, source="a")
        )
        self.engine.open()

    def drop(self, name: str, text: str = "# Do it\n") -> None:
        (self.engine.layout.pending / f"{name}.md").write_text(text)
        self.engine.touch(f"{name}.md")

    def run_one(self) -> TaskId:
        self.runners.outcomes = [SUCCESS]
        self.worker.turn()
        return self.runners.orders[-1].claim.task_id


def plain(source: Source, number: int) -> None:
    source.drop(f"task-{number:06}")


def delayed(source: Source, number: int) -> None:
    source.drop(f"task-{number:06}", "---\nnot_before: 2099-01-01\npriority: 9\n---\n# Later\n")


def depending(source: Source, number: int) -> None:
    source.drop(f"task-{number:06}", f"---\ndepends_on: task-x{number % 97}\npriority: 9\n---\n# After\n")


def chained(source: Source, number: int) -> None:
    before = f"depends_on: task-{number - 1:06}\n" if number else "not_before: 2099-01-01\n"
    source.drop(f"task-{number:06}", f"---\n{before}---\n# After the one before\n")


def of_every_kind(source: Source, number: int) -> None:
    (plain, delayed, depending)[number % 3](source, number)


@pytest.mark.parametrize("kind", [plain, of_every_kind, chained])
def test_a_task_costs_the_same_however_many_wait(tmp_path: Path, kind: Callable[[Source, int], None]) -> None:
    """A survey, a claim and a settle; after the first look, which sees everything."""
    counts: dict[int, tuple[int, int]] = {}
    for waiting in (10, 1_000, 10_000):
        source = Source(tmp_path / str(waiting))
        for number in range(waiting):
            kind(source, number)
        for number in range(3):
            source.drop(f"task-20200101-00000{number}-first", "---\npriority: 9\n---\n# First\n")
        source.run_one()  # looks at everything, and makes the folders
        source.run_one()

        with counting() as (calls, files):
            ran = source.run_one()

        assert ran == "task-20200101-000002-first"
        counts[waiting] = calls.total(), files.total()
    least, most = min(counts.values()), max(counts.values())
    assert least[1] > 10, "files are counted"
    assert most[0] - least[0] <= _SLACK * least[0], counts
    assert most[1] == least[1], counts


def test_a_hold_is_asked_about_a_few_tasks_only(tmp_path: Path) -> None:
    """Of 3,000 that are held back, one of each priority."""
    source = Source(tmp_path)
    asked: list[TaskId] = []

    def held(task: Waiting) -> str:
        asked.append(task.id)
        return "the account is paused"

    source.admission.held = held
    source.admission.refusal = "the account is paused"
    for number in range(3_000):
        source.drop(f"task-{number:06}", f"---\npriority: {1 + number % 10}\n---\n# Do it\n")

    source.worker.turn()

    assert source.worker.hold_reason == "the account is paused"
    assert len(asked) <= 10


def test_front_matter_is_read_once(tmp_path: Path) -> None:
    """Three sweeps over 100 documents open each once; after a change that one again."""
    source = Source(tmp_path)
    for number in range(100):
        source.drop(f"task-{number:06}", "---\nnot_before: 2099-01-01\n---\n# Later\n")
    source.engine.survey()
    with counting() as (_, files):
        for _ in range(3):
            source.engine.touch()
            source.engine.survey()
    sweeps = files["open"]
    source.drop("task-000007", "---\nnot_before: 2098-01-01\n---\n# Sooner\n")
    with counting() as (_, files):
        source.engine.survey()

    assert sweeps == 0
    assert files["open"] == 2  # is it written; what does it say
    assert source.engine.survey().waiting.get(TaskId("task-000007")) is not None


def test_a_waiting_task_takes_little_memory(tmp_path: Path) -> None:
    """At most 1 KB, with a title and without front matter."""
    source = Source(tmp_path)
    waiting = 3_000
    for number in range(waiting):
        (source.engine.layout.pending / f"task-20260207-{number:06}-do-something.md").write_text(
            f"# Do something about the thing that is number {number}\n\nPlease.\n"
        )
    source.engine.survey()  # imports what it needs
    source.engine.touch()
    fresh = FolderEngine(source.engine.layout.pending, settle_s=lambda: 0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    survey = fresh._pending.survey()
    survey.waiting.next(now=source.clock.now(), state_of=lambda _: TaskState.COMPLETED)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(survey.waiting) == waiting
    assert used / waiting <= 1024


@pytest.mark.timeout(120)
def test_the_first_task_after_a_start_is_the_right_one(tmp_path: Path) -> None:
    """Of 10,000 that were there before, the one with priority 9, whose name is the last.

    All are older than the settle time, so none is looked at twice.
    """
    settle_s = 0.5
    earlier = Source(tmp_path).engine
    earlier.close()
    pending = earlier.layout.pending
    for number in range(10_000):
        (pending / f"task-20260207-{number:06}.md").write_text("# Do it\n")
    urgent = pending / "task-20991231-235959-urgent.md"
    urgent.write_text("---\npriority: 9\n---\n# Now\n")
    eventually(lambda: time.time() > urgent.stat().st_ctime + settle_s, what="the last one has settled")

    started = Source(tmp_path, settle_s=settle_s)

    assert started.run_one() == "task-20991231-235959-urgent"
    assert started.engine.survey().look_again_after is None
