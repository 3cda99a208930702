"""A worker in another home carries out tasks of a server: the real processes, with a shell as the agent."""

from __future__ import annotations

from collections.abc import Callable

from tests.worker.bench import WorkerBench

MakeBench = Callable[..., WorkerBench]


def test_commits_come_back_and_are_landed(make_bench: MakeBench) -> None:
    bench = make_bench()
    worker = bench.start_worker()
    task_id = bench.submit("echo done > note.txt; echo fixed it")
    task = bench.ended(task_id)

    assert task["status"] == "completed", (task, bench.said())
    assert bench.git("show", "main:note.txt") == "done"
    assert bench.stop_worker(worker) == 0
