"""What is expected of tasks, in the answers on them: percent, the end of what runs, the start of what waits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from task_queue.app.answers import SourceView
from task_queue.app.status import status
from task_queue.domain.task import TaskId
from tests.app.bench import A, Bench
from tests.app.test_statistics import DONE, FIGURES, write

PHASES = {"implement 1": 60.0, "verify 1": 30.0, "commit": 10.0}
CODING = "---\ntype: coding\n---\n# Mend it\n"


def ended(bench: Bench, number: int, **figures: object) -> None:
    """So many tasks of the type, half a minute before now."""
    of = replace(FIGURES, ran=timedelta(seconds=100), seconds_by_phase=PHASES, **figures)  # type: ignore[arg-type]  # a test's own values
    events = [replace(DONE, task_id=TaskId(f"task-old-{each}"), figures=of) for each in range(number)]
    write(bench, events, every=timedelta(seconds=1))
    bench.clock.advance(30)


def running(bench: Bench, *, phase: str, since_s: float) -> None:
    """Task A, whose attempt began 20 seconds after the others had ended."""
    bench.place("pending", A, CODING)
    bench.claim()
    folder = bench.attempt()
    (folder / "task.md").write_text(CODING)
    at = bench.clock.now() - timedelta(seconds=since_s)
    note = {
        "t": at.isoformat(),
        "seq": 1,
        "dir": "note",
        "raw": {"type": "phase", "phase": phase, "rounds": 3},
    }
    (folder / "transcript.jsonl").write_text(json.dumps(note) + "\n")
    lock = bench.layout().pending / f".{A}.lock"
    content = json.loads(lock.read_text())
    bench.write(lock, {**content, "started_at": (bench.clock.now() - timedelta(seconds=10)).isoformat()})


def looked_at(bench: Bench, *, with_outlook: bool = True) -> SourceView:
    installation = bench.anew()
    view = status(installation, now=bench.clock.now(), waiting_shown=10, with_outlook=with_outlook)
    return next(source for source in view.sources if source.id == "ad-hoc")


def test_a_running_task_says_how_far_it_has_come_and_when_it_ends(bench: Bench) -> None:
    ended(bench, 5)
    running(bench, phase="verify 1", since_s=15)

    (task,) = looked_at(bench).running

    assert (task.percent, task.step) == (75, "verify")
    assert task.ends_at == bench.clock.now() + timedelta(seconds=90)
    assert looked_at(bench, with_outlook=False).running[0].percent == 75


def test_what_ended_after_it_began_does_not_change_its_percentage(bench: Bench) -> None:
    """Nor does it count for those of another type."""
    ended(bench, 5)
    running(bench, phase="verify 1", since_s=15)
    before = looked_at(bench).running[0].percent
    lock = bench.layout().pending / f".{A}.lock"
    content = json.loads(lock.read_text())
    early = bench.clock.now() - timedelta(hours=1)
    bench.write(lock, {**content, "started_at": early.isoformat()})

    assert before == 75
    assert looked_at(bench).running[0].percent is None


def test_four_tasks_are_too_few_for_a_percentage(bench: Bench) -> None:
    ended(bench, 4)
    running(bench, phase="verify 1", since_s=15)

    assert looked_at(bench).running[0].percent is None


def test_what_waits_starts_when_what_runs_has_ended(bench: Bench) -> None:
    ended(bench, 5)
    running(bench, phase="verify 1", since_s=15)
    bench.place("pending", "task-b", CODING)
    bench.place("pending", "task-c", "---\ntype: review\n---\n# Look at it\n")
    bench.place("pending", "task-d", "---\ndepends_on: [task-nowhere]\n---\n# Never\n")

    view = looked_at(bench)

    b, c, d = (task.estimate for task in sorted(view.waiting, key=lambda task: task.task_id))
    assert b is not None
    assert c is not None
    assert d is not None
    now = bench.clock.now()
    assert b.starts_at == now + timedelta(seconds=90)
    assert (b.median_s, b.median_usd, b.samples, b.is_guess) == (100, 0.25, 5, False)
    assert c.starts_at == b.ends_at == now + timedelta(seconds=190)
    assert (c.samples, c.is_guess) == (0, True)
    assert d.starts_at is None
    assert view.empty_at == c.ends_at


def test_a_paused_source_has_no_start(bench: Bench) -> None:
    bench.place("pending", "task-b", CODING)
    content = json.loads(bench.config.read_text())
    content["task_source_directories"][0]["paused"] = True
    bench.config.write_text(json.dumps(content))

    view = looked_at(bench)

    assert view.waiting[0].estimate is not None
    assert view.waiting[0].estimate.starts_at is None
    assert view.empty_at is None
