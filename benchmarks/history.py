"""``stats`` and ``plan`` with many past and many waiting tasks, as ratios to ``--help``.

The past is an event log of four events a task over three years, written as the queue writes it. The first ``stats``
sums its segments up; the daemon does so, too, a few an hour.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import scratch
from benchmarks.parts import run_alone
from task_queue.config.locations import locate
from task_queue.domain.attempt.figures import TaskFigures
from task_queue.domain.event_record import record_of
from task_queue.domain.events import AttemptStarted, Event, TaskClaimed, TaskDropped, TaskSettled
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.store import event_files as files
from tests.acceptance.rig import Rig

_PAST = {Size.SHORT: 100_000, Size.FULL: 1_000_000}
_WAITING = {Size.SHORT: 1_000, Size.FULL: 10_000}
_RUNS = 5
_DIFFERENT = 5000
_PLACE = b"@@@"
_YEARS = timedelta(days=3 * 365)
_SOURCES = ("a", "b", "c", "d")
_TYPES = ("coding", "review", "research", "documentation", "general")
_OUTCOMES = (
    *[OutcomeKind.SUCCEEDED] * 7,
    OutcomeKind.FAILED,
    OutcomeKind.VERIFY_FAILED,
    OutcomeKind.TIMED_OUT,
)


def measure(size: Size) -> Findings:
    found = Findings("history", size)
    past, waiting = _PAST[size], _WAITING[size]
    with scratch(sources=_SOURCES) as rig:
        state = locate(rig.config, environ=rig.environment).state_dir
        events = state / "events"
        progress(f"writing {past:,} past tasks")
        write_past(events, past)
        subject = f"{past:,} past tasks"
        found.add("events, MB", subject, _size(events) / 2**20)
        _take(found, rig, subject, {"stats, the first time": ["stats"]}, runs=1)
        found.add("summaries, MB", subject, _size(state / "summaries") / 2**20)
        _take(
            found,
            rig,
            subject,
            {
                "stats": ["stats"],
                "stats --by day": ["stats", "--by", "day"],
                "stats --by type --json": ["stats", "--by", "type", "--json"],
                "stats --since 365d": ["stats", "--since", "365d"],
                "stats --since 7d": ["stats", "--since", "7d"],
            },
        )
        _write_waiting(rig, waiting)
        _take(
            found,
            rig,
            f"{past:,} past and {waiting:,} waiting tasks",
            {"plan": ["plan"], "plan --json": ["plan", "--json"], "status": ["status"]},
            runs=3,
        )
    return found


def _write_waiting(rig: Rig, number: int) -> None:
    """One in ten depends on the one before it in another source."""
    for place in range(number):
        source = _SOURCES[place % len(_SOURCES)]
        front = f"executor: sh\ntype: {_TYPES[place % len(_TYPES)]}\npriority: {1 + place % 9}\n"
        if place % 10 == 9:
            front += f"depends_on: [task-{place - 1:06}]\n"
        (rig.pending(source) / f"task-{place:06}.md").write_text(f"---\n{front}---\n# Task {place}\n\ntrue\n")


def _take(
    found: Findings, rig: Rig, subject: str, commands: Mapping[str, list[str]], *, runs: int = _RUNS
) -> None:
    progress(subject)
    for _ in range(runs):
        base = _ms(rig, ["--help"])
        for name, command in commands.items():
            taken = _ms(rig, command)
            found.add(f"{name}, ms", subject, taken)
            found.add(f"{name}, to --help", subject, taken / base, "x")


def _ms(rig: Rig, command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "task_queue.cli", "--config", str(rig.config), *command],
        env=rig.environment,
        cwd=rig.home,
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr.decode()
    return 1000 * (time.perf_counter() - began)


def write_past(events: Path, number: int) -> None:
    """Segments as the queue's own writer leaves them: sealed, but for the last."""
    epoch = "0123abcd"
    folder = events / epoch
    durable.make_directory(folder)
    (events / "epoch").write_text(f"{epoch}\n")
    chance = random.Random(7)
    bodies = [_one_life(chance) for _ in range(_DIFFERENT)]
    now, step = datetime.now(UTC), _YEARS / number
    chunk: list[bytes] = []
    size, first, seq = 0, 1, 0
    for place in range(number):
        at, name = now - _YEARS + step * place, b"%d" % place
        for body in chance.choice(bodies):
            seq += 1
            line = files.line_of(seq, at, body.replace(_PLACE, name))
            chunk.append(line)
            size += len(line)
        if size >= files.SEGMENT_BYTES:
            _write_segment(folder, first, chunk, sealed=True)
            chunk, size, first = [], 0, seq + 1
    _write_segment(folder, first, chunk, sealed=False)


def _write_segment(folder: Path, first: int, lines: list[bytes], *, sealed: bool) -> None:
    path = folder / files.segment_name(first)
    path.write_bytes(b"".join(lines))
    path.chmod(0o400 if sealed else 0o600)


def _one_life(chance: random.Random) -> list[bytes]:
    """The events of one task, without number and time; ``_PLACE`` stands for what makes its id its own."""
    source, kind = chance.choice(_SOURCES), chance.choice(_TYPES)
    task_id = TaskId(f"task-20260207-120000-mend-{_PLACE.decode()}")
    ran = timedelta(seconds=round(chance.lognormvariate(5.5, 0.8), 3))
    outcome = chance.choice(_OUTCOMES)
    good = outcome is OutcomeKind.SUCCEEDED
    figures = TaskFigures(
        kind,
        "claude",
        chance.choice(("opus", "sonnet")),
        timedelta(seconds=round(chance.lognormvariate(6, 1.5), 3)),
        ran,
        1,
        0,
        chance.randrange(10**5, 10**6),
        chance.randrange(10**3, 10**5),
        {"implement": ran.total_seconds() * 0.7, "verify": 9.0, "audit": 20.0},
    )
    settled = TaskSettled(
        source,
        task_id,
        1,
        TaskState.COMPLETED if good else TaskState.FAILED,
        outcome,
        "" if good else "pytest -q failed",
        took=ran,
        turns=chance.randrange(5, 60),
        cost_usd=round(chance.lognormvariate(-1, 0.7), 6),
        dead_letter=not good,
        figures=figures,
    )
    life: list[Event] = [
        TaskDropped(source, task_id),
        TaskClaimed(source, task_id, 1, resumes=False),
        AttemptStarted(source, task_id, 1, "claude", resumes=False),
        settled,
    ]
    return [files.encoded(record_of(event)) for event in life]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_alone("history")
