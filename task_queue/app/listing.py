"""Lists of tasks, and all that is known of one."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from task_queue.app.answers import (
    AttemptView,
    ListedSource,
    ListView,
    RunningView,
    ShowView,
    SourceView,
    TaskLine,
    WaitingView,
)
from task_queue.app.circumstances import Circumstances
from task_queue.app.documents import title_of
from task_queue.app.files import (
    names_in,
    number_in,
    record,
    records_in,
    text_in,
    time_in,
    whole_in,
)
from task_queue.app.overview import source_view
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.states import ended_state

_ENDED = (TaskState.COMPLETED, TaskState.FAILED)


def list_of(
    circumstances: Circumstances,
    sources: Sequence[ListedSource],
    *,
    states: Iterable[TaskState],
    limit: int,
) -> ListView:
    """Tasks of *sources*: running and waiting ones in their order, then the newest that ended.

    At most *limit* of each kind and source.
    """
    wanted = frozenset(states)
    lines: list[TaskLine] = []
    more = False
    for listed in sources:
        if wanted & {TaskState.PENDING, TaskState.RUNNING}:
            view = source_view(circumstances, listed, waiting_shown=limit)
            lines += _current(listed, view, wanted)
            more = more or (TaskState.PENDING in wanted and view.pending.number > limit)
        for state in _ENDED:
            if state in wanted:
                ended, cut = _newest(listed, state, limit)
                lines += ended
                more = more or cut
    return ListView(tuple(lines), more)


def show_of(circumstances: Circumstances, task_id: TaskId) -> ShowView | None:
    """All that is known of *task_id*, None if no source has it."""
    for listed in circumstances.sources:
        folders = listed.folders
        ended = ended_state(folders, task_id)
        if ended is not None:
            return _show_ended(listed, task_id, ended)
        if not os.path.lexists(folders.pending / naming.document_of(naming.unnumbered(task_id))) and not (
            os.path.lexists(folders.pending / naming.document_of(task_id))
        ):
            continue
        view = source_view(circumstances, listed, waiting_shown=10**9)
        running = next((task for task in view.running if task.task_id == task_id), None)
        waiting = next((task for task in view.waiting if task.task_id == task_id), None)
        if running is not None or waiting is not None:
            return _show_current(listed, task_id, running, waiting)
        problems = tuple(file.why for file in (*view.locks, *view.ignored) if task_id in file.name)
        if problems:
            return _show_current(listed, task_id, None, None, problems)
    return None


def state_of(sources: Sequence[ListedSource], task_id: TaskId) -> tuple[ListedSource, TaskState] | None:
    """Which source has *task_id*, and where it stands; cheap enough to ask again and again."""
    for listed in sources:
        folders = listed.folders
        ended = ended_state(folders, task_id)
        if ended is not None:
            return listed, ended
        for document in {naming.document_of(task_id), naming.document_of(naming.unnumbered(task_id))}:
            lock = record(folders.pending / naming.lock_of(document))
            if lock is not None and not isinstance(lock, str) and text_in(lock, "task_id") == task_id:
                return listed, TaskState.RUNNING
        if os.path.lexists(folders.pending / naming.document_of(task_id)):
            return listed, TaskState.PENDING
    return None


def ids_with(sources: Sequence[ListedSource], text: str) -> list[TaskId]:
    """Ids of tasks in which *text* occurs, in the order of their names."""
    found: set[TaskId] = set()
    for listed in sources:
        folders = listed.folders
        for folder in (folders.pending, folders.ended(TaskState.COMPLETED), folders.ended(TaskState.FAILED)):
            names = names_in(folder)
            found.update(
                naming.task_id_of(name)
                for name in (names if isinstance(names, list) else ())
                if text in name and naming.why_not_a_task(name) is None
            )
    return sorted(found)


def _current(listed: ListedSource, view: SourceView, wanted: frozenset[TaskState]) -> Iterator[TaskLine]:
    if TaskState.RUNNING in wanted:
        for task in view.running:
            note = f"attempt {task.attempt}" + (f", runner {task.runner}" if task.runner != "alive" else "")
            yield TaskLine(
                task.task_id, listed.id, TaskState.RUNNING, task.title, note, task.since, task.cost_usd
            )
    if TaskState.PENDING in wanted:
        for waiting in view.waiting:
            yield TaskLine(waiting.task_id, listed.id, TaskState.PENDING, waiting.title, waiting.why)


def _newest(listed: ListedSource, state: TaskState, limit: int) -> tuple[list[TaskLine], bool]:
    """By name, in which the time stands: reading each of a million results is out of the question."""
    names = names_in(listed.folders.ended(state))
    if isinstance(names, str):
        return [], False
    documents = [name for name in names if naming.why_not_a_task(name) is None]
    newest = heapq.nlargest(limit, documents)
    lines = [_ended_line(listed, state, naming.task_id_of(name)) for name in newest]
    return lines, len(documents) > limit


def _ended_line(listed: ListedSource, state: TaskState, task_id: TaskId) -> TaskLine:
    title = title_of(listed.folders.ended(state) / naming.document_of(task_id))
    result = record(listed.folders.result(task_id))
    if result is None or isinstance(result, str):
        note = "no result" if result is None else f"its result {result}"
        return TaskLine(task_id, listed.id, state, title, note)
    note = text_in(result, "outcome") or ("succeeded" if result.get("success") is True else "failed")
    return TaskLine(
        task_id,
        listed.id,
        state,
        title,
        note,
        time_in(result, "completed_at"),
        number_in(result, "total_cost_usd"),
    )


def _show_ended(listed: ListedSource, task_id: TaskId, state: TaskState) -> ShowView:
    folders = listed.folders
    document = folders.ended(state) / naming.document_of(task_id)
    result = record(folders.result(task_id))
    problems = (f"the result {result}",) if isinstance(result, str) else ()
    return ShowView(
        task_id=task_id,
        source=listed.id,
        state=state,
        title=title_of(document),
        document=document,
        result=None if result is None or isinstance(result, str) else dict(result),
        attempts=_attempts(folders, task_id, folders.result(task_id)),
        problems=problems if result is not None else ("there is no result",),
    )


def _show_current(
    listed: ListedSource,
    task_id: TaskId,
    running: RunningView | None,
    waiting: WaitingView | None,
    problems: tuple[str, ...] = (),
) -> ShowView:
    document = naming.document_of(task_id)
    path = listed.folders.pending / document
    title = running.title if running else waiting.title if waiting else title_of(path)
    return ShowView(
        task_id=task_id,
        source=listed.id,
        state=TaskState.RUNNING if running else TaskState.PENDING,
        title=title,
        document=path,
        waiting=waiting,
        running=running,
        attempts=_attempts(listed.folders, task_id, listed.folders.journal(document)),
        problems=problems,
    )


def _attempts(folders: Layout, task_id: TaskId, history: Path) -> tuple[AttemptView, ...]:
    """Every attempt that left a folder or a line in *history*, by number."""
    found: dict[int, AttemptView] = {}
    names = names_in(folders.log(task_id))
    for name in names if isinstance(names, list) else []:
        _, _, digits = name.rpartition("attempt-")
        if name == f"attempt-{digits}" and digits.isdecimal():
            found[int(digits)] = AttemptView(int(digits), folders.attempt(task_id, int(digits)))
    content = record(history)
    for line in records_in(content, "attempts") if content and not isinstance(content, str) else ():
        number = whole_in(line, "number")
        if number is not None:
            counted: object = line.get("counted")
            found[number] = AttemptView(
                number,
                folders.attempt(task_id, number),
                outcome=text_in(line, "outcome"),
                reason=text_in(line, "reason"),
                counted=counted if isinstance(counted, bool) else None,
                started_at=time_in(line, "started_at"),
                ended_at=time_in(line, "ended_at"),
                cost_usd=number_in(line, "total_cost_usd"),
                estimated_usd=number_in(line, "estimated_cost_usd") or 0.0,
            )
    return tuple(found[number] for number in sorted(found))
