"""An installation in folders of its own, with a clock that moves when a verb waits, and a stand-in for its daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from task_queue.app.installation import Installation
from task_queue.app.sources import initialize
from task_queue.domain.task import TaskId
from task_queue.platform.identity import own_identity
from task_queue.store.folder.layout import Layout
from tests.fakes import FakeClock

A = TaskId("task-a")


class Bench:
    """``meanwhile`` is what other processes do while a verb waits, called before each of its looks but the first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.meanwhile: Callable[[], None] = lambda: None
        self.config = home / "config" / "task-queue" / "config.json"
        self.installation = self.anew()
        initialize(self.installation, home)

    def anew(self) -> Installation:
        """As another command sees it."""
        return Installation(str(self.config), clock=self.clock, sleep=self._sleep)

    def layout(self, source: str = "ad-hoc") -> Layout:
        return Layout(self.home / "tasks" / source / "pending")

    def place(
        self, folder: str, task_id: str = A, text: str = "# Do it\n", *, source: str = "ad-hoc"
    ) -> Path:
        path = self.home / "tasks" / source / folder / f"{task_id}.md"
        path.write_text(text)
        return path

    def move(self, task_id: str, to: str, *, source: str = "ad-hoc") -> None:
        """As its worker does when the task has ended."""
        pending = self.layout(source).pending
        (pending / f"{task_id}.md").rename(pending.with_name(to) / f"{task_id}.md")
        (pending / f".{task_id}.lock").unlink(missing_ok=True)

    def claim(self, task_id: str = A, *, source: str = "ad-hoc", session: str = "s") -> None:
        """The lock of a task whose runner is this very process."""
        me = own_identity()
        identity = {"pid": me.pid, "pid_start_ticks": me.pid_start_ticks, "boot_id": me.boot_id}
        record = {"task_id": task_id, "attempt": 1, "started_at": "2026-02-07T12:00:00+00:00", **identity}
        lock = {
            "worker": source,
            "thread_id": "7",
            "session_id": session,
            "document": f"{task_id}.md",
            **record,
        }
        self.write(self.layout(source).pending / f".{task_id}.lock", lock)
        self.write(self.attempt(task_id, source=source) / "run.json", record)

    def attempt(self, task_id: str = A, *, source: str = "ad-hoc") -> Path:
        return self.layout(source).root / "logs" / task_id / "attempt-1"

    def daemon_runs(self, *, stopped: bool = False, running: str | None = None, busy: bool = False) -> None:
        """The state file of a daemon that is this very process; *busy*: it begins a task, or has not looked yet."""
        me = own_identity()
        served = {"state": "serving", "watch": "events", "thread_id": 1, "task_id": running}
        served["busy"] = busy or running is not None
        state = {
            "pid": me.pid,
            "pid_start_ticks": me.pid_start_ticks,
            "boot_id": me.boot_id,
            "stopped": stopped,
            "sources": {"ad-hoc": served},
        }
        self.write(self.installation.locations.daemon_state, state)

    @staticmethod
    def write(path: Path, content: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.meanwhile()
