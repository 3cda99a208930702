"""Each source has one worker: what it does, from the answer of ``status``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from task_queue.app.answers import DaemonView, RunningView, SourceView, StatusView, WaitingView


@dataclass(eq=False, repr=False, slots=True)
class WorkerLine:
    source: str
    state: str
    """As in SourceView."""
    why: str | None
    thread_id: int | None
    task_id: str | None


@dataclass(eq=False, repr=False, slots=True)
class WorkerView(WorkerLine):
    since: datetime | None
    """None while no daemon runs."""
    folder: Path
    watch: str | None
    watch_why: str | None
    running: tuple[RunningView, ...]
    pending: int
    next: WaitingView | None


@dataclass(eq=False, repr=False, slots=True)
class WorkersView:
    daemon: bool
    """Whether it runs: without it there are no workers."""
    workers: tuple[WorkerLine, ...]
    schema_version: int = 1


def lines_of(view: StatusView) -> WorkersView:
    """The least of each worker."""
    return WorkersView(view.daemon.running, tuple(WorkerLine(*_line(source)) for source in view.sources))


def workers_of(view: StatusView) -> WorkersView:
    """Everything about each worker; *view* has at least one waiting task of each source, if there is one."""
    return WorkersView(view.daemon.running, tuple(_worker(source, view.daemon) for source in view.sources))


def all_serve(view: StatusView) -> bool:
    """The daemon runs, and each worker serves its source or is paused."""
    return view.daemon.running and all(
        source.state == "serving" or source.paused_by for source in view.sources
    )


def _line(source: SourceView) -> tuple[str, str, str | None, int | None, str | None]:
    task_id = source.task_id or next((task.task_id for task in source.running), None)
    return source.id, source.state, source.why, source.thread_id, task_id


def _worker(source: SourceView, daemon: DaemonView) -> WorkerView:
    return WorkerView(
        *_line(source),
        since=daemon.started_at if daemon.running else None,
        folder=source.path,
        watch=source.watch,
        watch_why=source.watch_why,
        running=source.running,
        pending=source.pending.number,
        next=next(iter(source.waiting), None),
    )
