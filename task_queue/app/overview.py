"""Everything at a glance: the daemon, each source, what runs, what waits and why, what needs a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from task_queue.app.answers import (
    Count,
    FileView,
    ListedSource,
    RunningView,
    SourceView,
    StatusView,
)
from task_queue.app.attention import attention_of
from task_queue.app.circumstances import Circumstances
from task_queue.app.files import Record, count_tasks, text_in, whole_in
from task_queue.app.waiting import count_of, waiting_in
from task_queue.domain.source_pause import SourcePause, SourcePauseState, go_on_command, paused_by
from task_queue.domain.task import TaskState
from task_queue.platform import trust
from task_queue.ports.snapshot import Survey

_FILES_SHOWN = 50
_NOT_FOR_WORKERS = "workers claim its tasks through the API, which does not run: task-queue api"


def status_of(
    circumstances: Circumstances,
    *,
    config: Path,
    problems: Iterable[str] = (),
    waiting_shown: int = 10,
    ended_shown: int = 0,
) -> StatusView:
    """The state of all sources; *problems* of the configuration are what its reader had to leave out."""
    daemon, account = circumstances.daemon, circumstances.account
    views = tuple(
        source_view(circumstances, listed, waiting_shown=waiting_shown) for listed in circumstances.sources
    )
    if ended_shown:
        from task_queue.app.ended import last_ended  # it reads documents, and what that takes costs 15 ms

        for listed, view in zip(circumstances.sources, views, strict=True):
            view.ended = tuple(last_ended(listed, ended_shown)[0])
    return StatusView(
        daemon=daemon,
        account=account,
        config=config,
        sources=views,
        attention=attention_of(circumstances, {view.id: view for view in views}, problems=problems),
    )


def source_view(circumstances: Circumstances, listed: ListedSource, *, waiting_shown: int) -> SourceView:
    folders, said = listed.folders, circumstances.said.get(listed.id)
    pause = circumstances.pauses.get(listed.id)
    state, why = _state(listed, said, pause)
    stands = paused_by(pause, by_configuration=listed.paused)
    if listed.trouble is not None and stands is None:
        state, why = "unavailable", listed.trouble
    distrust = trust.grave_problem(*folders.folders(), judged=circumstances.judged)
    if distrust is not None:
        state, why = "unavailable", f"not trusted: {distrust.what}; fix it with: {distrust.fix}"
    try:
        survey = circumstances.snapshots.survey(listed.id)
        running, locks = _running_in(listed, survey, circumstances.now)
        waiting = waiting_in(
            circumstances, listed, running=[task.task_id for task in running], shown=waiting_shown
        )
    except OSError as error:
        empty = Count(0)
        return SourceView(
            id=listed.id,
            path=folders.pending,
            description=listed.description,
            state="unavailable",
            why=why or f"{error.strerror}: {error.filename or folders.pending}",
            watch=None,
            pending=empty,
            completed=empty,
            failed=empty,
            paused_by=stands,
        )
    next_due, next_schedule = _next_due(listed, circumstances.now)
    return SourceView(
        id=listed.id,
        path=folders.pending,
        description=listed.description,
        state=state,
        why=why,
        next_due=next_due,
        next_schedule=next_schedule,
        watch=text_in(said, "watch") if said else None,
        pending=Count(count_of(survey)),
        completed=count_tasks(folders.ended(TaskState.COMPLETED)),
        failed=count_tasks(folders.ended(TaskState.FAILED)),
        running=tuple(running),
        waiting=tuple(waiting),
        order_known=not survey.unread,
        ignored=tuple(FileView(name, why) for name, why in survey.ignored[:_FILES_SHOWN]),
        locks=tuple(locks),
        thread_id=whole_in(said, "thread_id") if said else None,
        task_id=text_in(said, "task_id") if said else None,
        watch_why=text_in(said, "watch_why") if said else None,
        paused_by=stands,
        max_pending=listed.max_pending,
    )


def _next_due(listed: ListedSource, now: datetime) -> tuple[datetime | None, str | None]:
    if not listed.has_schedules:
        return None, None
    from task_queue.app.schedules import schedules_in  # few sources have any

    times = ((view.next_due, view.name) for view in schedules_in(listed, now) if view.next_due is not None)
    return min(times, default=(None, None))


def _state(listed: ListedSource, said: Record | None, pause: SourcePause | None) -> tuple[str, str | None]:
    if pause is not None:
        return pause.state, f"go on with: {go_on_command(listed.id, by_configuration=False)}"
    if listed.paused:
        command = go_on_command(listed.id, by_configuration=True)
        return SourcePauseState.PAUSED, f"by the configuration; go on with: {command}"
    if said is None:
        return "unserved", _NOT_FOR_WORKERS if listed.is_remote else None
    return text_in(said, "state") or "unserved", text_in(said, "why")


def _running_in(
    listed: ListedSource, survey: Survey, now: datetime
) -> tuple[list[RunningView], list[FileView]]:
    if not survey.locks:
        return [], []
    from task_queue.app.running import running_in  # what attempts need costs 20 ms

    return running_in(listed.id, listed.folders, survey.locks, now)
