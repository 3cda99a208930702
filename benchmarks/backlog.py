"""What grows with the tasks that wait: the start, the first claim, later claims, an urgent drop, ``status``, memory."""

from __future__ import annotations

import statistics
import time

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import memory_mb, scratch
from benchmarks.parts import run_alone
from tests.acceptance.rig import Rig
from tests.waiting import eventually
from tests.warm import PROGRAM

_WAITING = {Size.SHORT: (100, 10_000), Size.FULL: (100, 1_000, 10_000, 100_000)}
_ROUNDS = 3
_LATER = 50
_WITHIN_S = 240.0
_DOCUMENT = "---\nexecutor: noop\n---\nnothing\n"


def measure(size: Size) -> Findings:
    found = Findings("backlog", size)
    for turn in range(_ROUNDS):
        fewest: tuple[float, float] | None = None
        for number in _WAITING[size]:
            progress(f"{number:,} wait, round {turn + 1} of {_ROUNDS}")
            claim_s, rss_mb = _measured(found, number)
            subject = f"{number:,} wait"
            if fewest is None:
                fewest = claim_s, rss_mb
                continue
            found.add("later claims, to those with 100", subject, claim_s / fewest[0], "x")
            found.add("memory per waiting task, KB", subject, 1024 * (rss_mb - fewest[1]) / number)
    return found


def _measured(found: Findings, number: int) -> tuple[float, float]:
    """Seconds that a later task takes, memory of the daemon."""
    executors = {"noop": {"kind": "command", "argv": ["/bin/true"]}}
    subject = f"{number:,} wait"
    with scratch(executors=executors, sweep_seconds=30) as rig:
        for place in range(number):
            (rig.pending() / f"task-{place:06}.md").write_text(_DOCUMENT)
        began = time.perf_counter()
        pid = rig.start(program=PROGRAM).pid
        eventually(lambda: rig.locks() or _done(rig), timeout=_WITHIN_S, what="a first claim")
        found.add("start to first claim, s", subject, time.perf_counter() - began)
        eventually(lambda: _done(rig) > 0, timeout=_WITHIN_S, what="a first result")
        found.add("start to first result, s", subject, time.perf_counter() - began)
        first, done = time.perf_counter(), _done(rig)
        eventually(lambda: _done(rig) >= done + _LATER, timeout=_WITHIN_S, what=f"{_LATER} further results")
        claim_s = (time.perf_counter() - first) / _LATER
        found.add("a later task, ms", subject, 1000 * claim_s)
        found.add("urgent drop to its start, ms", subject, _urgent_ms(rig))
        found.add("status, ms", subject, _status_ms(rig))
        return claim_s, memory_mb(pid)["Rss"]


def _done(rig: Rig) -> int:
    folder = rig.queue() / "completed"
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _urgent_ms(rig: Rig) -> float:
    began = time.perf_counter()
    rig.drop("task-urgent", "---\nexecutor: noop\npriority: 9\n---\nnothing\n")
    log = rig.queue() / "logs" / "task-urgent"
    eventually(log.exists, timeout=_WITHIN_S, what="the urgent task is claimed")
    return 1000 * (time.perf_counter() - began)


def _status_ms(rig: Rig) -> float:
    taken: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        rig.cli("status", check=True)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


if __name__ == "__main__":
    run_alone("backlog")
