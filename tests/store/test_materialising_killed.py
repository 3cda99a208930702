"""What materialises schedules is killed at each of its calls to the system, with kill -9 and real files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.task import TaskState
from task_queue.platform import durable
from task_queue.store.folder.schedule_files import LEDGER
from tests.domain.test_local_time import local_zone
from tests.store.schedules import ScheduleBench

TASK = "task-20260207-130000-hourly"
_CALLS = (
    (os, "fsync"),
    (os, "write"),
    (os, "open"),
    (Path, "rename"),
    (Path, "unlink"),
    (durable, "_rename_no_replace"),
)


@pytest.fixture(autouse=True)
def _in_utc() -> Generator[None]:
    with local_zone("UTC"):
        yield


def killed_at(
    point: int, work: Callable[[], object], *, calls: Sequence[tuple[object, str]] = _CALLS
) -> bool:
    """Do *work* in a process that is killed before its call number *point* of *calls*; False if it makes fewer."""
    child = os.fork()
    if child == 0:
        left = point

        def killing(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return call(*args, **kwargs)

            return counted

        for owner, name in calls:
            setattr(owner, name, killing(getattr(owner, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(
    "meanwhile", ["nothing", "it ended", "its schedule was removed", "another took the name"]
)
def test_a_kill_at_any_call_leads_to_one_task(meanwhile: str, tmp_path: Path) -> None:
    """The next look finishes it: never none, never two, whatever happened in between."""
    points = 0
    while True:
        bench = ScheduleBench(tmp_path / str(points))
        bench.write("hourly", "0 * * * *")
        bench.look()
        if not killed_at(points, partial(bench.look, hours=1)):
            break
        bench.restart()
        was_decided = "decides" in {line["what"] for line in bench.ledger()}
        there = [TASK] if bench.pending else []
        if meanwhile == "it ended" and bench.pending:
            bench.end(bench.pending[0])
        if meanwhile == "its schedule was removed":
            (bench.layout.schedules / "hourly.md").unlink()
        if meanwhile == "another took the name" and not bench.pending:
            (bench.layout.pending / f"{TASK}.md").write_text("a person's")
        bench.look(hours=1)
        bench.look()

        wanted = meanwhile != "its schedule was removed" or was_decided
        assert _ours(bench) == ([_task(meanwhile, there)] if wanted else []), points
        assert list(bench.layout.staging.glob(".schedule-*")) == []
        assert list(bench.layout.schedules.glob(".tq-*")) == []
        fires = [line["task"] for line in bench.ledger() if line["what"] == "fires"]
        assert fires == _ours(bench)
        points += 1
    assert points > 15


def _task(meanwhile: str, there: list[str]) -> str:
    return f"{TASK}-2" if meanwhile == "another took the name" and not there else TASK


def _ours(bench: ScheduleBench) -> list[str]:
    folders = (
        bench.layout.pending,
        bench.layout.ended(TaskState.COMPLETED),
        bench.layout.ended(TaskState.FAILED),
    )
    paths = (path for folder in folders for path in folder.glob("*.md"))
    return sorted(path.stem for path in paths if "Do it" in path.read_text() and "20260207-13" in path.name)


def test_a_replaced_task_is_cancelled_though_the_first_try_was_killed(tmp_path: Path) -> None:
    points = 0
    while True:
        bench = ScheduleBench(tmp_path / str(points))
        bench.write("hourly", "0 * * * *", "overlap: replace")
        bench.look()
        bench.look(hours=1)
        if not killed_at(points, partial(bench.look, hours=1)):
            break
        bench.restart()
        bench.look(hours=1)

        assert [path.name for path in bench.layout.pending.glob(".*.cancel")] == [f".{TASK}.cancel"], points
        assert bench.pending == [f"{TASK}.md", "task-20260207-140000-hourly.md"]
        assert (bench.layout.schedules / LEDGER).read_bytes().endswith(b"\n")
        points += 1
    assert points > 15
