"""Something else in the place of any file or folder of one task harms that task at most, never its neighbours."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.layout import Layout
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig

DEEP = b"[" * 200_000
PLACES: dict[str, Callable[[Layout, str], Path]] = {
    "log": lambda layout, name: layout.log(TaskId(name)),
    "attempt": lambda layout, name: layout.attempt(TaskId(name), 1),
    "snapshot": lambda layout, name: layout.attempt(TaskId(name), 1) / "task.md",
    "run": lambda layout, name: layout.attempt(TaskId(name), 1) / "run.json",
    "outcome": lambda layout, name: layout.attempt(TaskId(name), 1) / "outcome.json",
    "transcript": lambda layout, name: layout.attempt(TaskId(name), 1) / "transcript.jsonl",
    "steps": lambda layout, name: layout.attempt(TaskId(name), 1) / "steps.jsonl",
    "result": lambda layout, name: layout.result(TaskId(name)),
    "report": lambda layout, name: layout.report(TaskId(name)),
    "needs": lambda layout, name: layout.needs(TaskId(name)),
    "completed": lambda layout, name: layout.ended(TaskState.COMPLETED) / f"{name}.md",
    "failed": lambda layout, name: layout.ended(TaskState.FAILED) / f"{name}.md",
    "lock": lambda layout, name: layout.lock(f"{name}.md"),
    "journal": lambda layout, name: layout.journal(f"{name}.md"),
    "cancel": lambda layout, name: layout.cancel(f"{name}.md"),
}
HURDLES: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_bytes(b"rubbish"),
    "deep": lambda path: path.write_bytes(DEEP),
    "folder": lambda path: (path / "inner").mkdir(parents=True),
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("/nowhere"),
    "closed": lambda path: path.mkdir(mode=0),
}


MADE_BY_A_TASK = {
    "file": "printf rubbish > {0}",
    "deep": "head -c 200000 /dev/zero | tr '\\0' '[' > {0}",
    "folder": "mkdir -p {0}/inner",
    "fifo": "mkfifo {0}",
    "link": "ln -s /nowhere {0}",
    "closed": "mkdir -m 0 {0}",
}
hurdles = pytest.mark.parametrize(
    "hurdle",
    [
        "folder",
        pytest.param("file", marks=pytest.mark.long),
        *(
            pytest.param(one, marks=pytest.mark.long)
            for one in sorted(HURDLES)
            if one not in {"folder", "file"}
        ),
    ],
)


def served(make_rig: MakeRig) -> tuple[Rig, Layout]:
    rig = make_rig(settle_seconds=0.01)
    layout = Layout(rig.pending())
    layout.create()
    return rig, layout


@hurdles
def test_it_is_there_before_the_task_begins(make_rig: MakeRig, hurdle: str) -> None:
    """Its neighbours run; of the task itself it is said what is in the way, or it runs under a number."""
    rig, layout = served(make_rig)
    for place, path_of in PLACES.items():
        path = path_of(layout, f"task-{place}")
        path.parent.mkdir(parents=True, exist_ok=True)
        HURDLES[hurdle](path)
        rig.drop_command(f"task-{place}", "true", max_attempts=1)
    rig.drop_command("task-neighbour-last", "true", priority=1)
    rig.start()

    assert rig.result("task-neighbour-last", timeout=100)["success"]
    left = {path.stem for path in rig.pending().glob("task-*.md")}
    status = rig.cli("status")
    assert rig.state()["sources"]["a"]["state"] != "unavailable"
    assert left == {"task-lock"}  # an unreadable lock may be another program's: kept, and shown
    assert ".task-lock.lock" in status.stdout
    why = json.loads(layout.result(TaskId("task-journal")).read_bytes())["error"]
    assert "history of its attempts" in why
    assert str(layout.logs) in why


@hurdles
def test_it_appears_while_the_task_runs(make_rig: MakeRig, hurdle: str) -> None:
    """Made by the task itself; its neighbours run, and it ends."""
    rig, layout = served(make_rig)
    for place, path_of in PLACES.items():
        path = shlex.quote(str(path_of(layout, f"task-{place}")))
        script = f"mv {path} {path}-away; mkdir -p $(dirname {path}); {MADE_BY_A_TASK[hurdle].format(path)}"
        rig.drop_command(f"task-{place}", script, max_attempts=1)
    rig.drop_command("task-neighbour-last", "true", priority=1)
    rig.start()

    assert rig.result("task-neighbour-last", timeout=100)["success"]
    assert rig.state()["sources"]["a"]["state"] != "unavailable"
    assert list(rig.pending().glob("task-*.md")) == []
    assert list(rig.pending().glob(".task-*.lock")) == []
