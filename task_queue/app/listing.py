"""Lists of tasks, and all that is known of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
from task_queue.app.attention import NAMED, attention_of, of_task
from task_queue.app.circumstances import Circumstances
from task_queue.app.documents import title_of, type_of
from task_queue.app.ended import landing_actions, last_ended
from task_queue.app.files import (
    names_in,
    number_in,
    record,
    records_in,
    text_in,
    time_in,
    whole_in,
)
from task_queue.app.finding import document_of, possible_documents
from task_queue.app.overview import source_view
from task_queue.domain.actions import available_actions
from task_queue.domain.attention import AttentionKind
from task_queue.domain.document import naming
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.store.folder.layout import SNAPSHOT, Layout
from task_queue.store.folder.states import ended_state

_EVERY = 10**9


def list_of(
    circumstances: Circumstances,
    sources: Sequence[ListedSource],
    *,
    states: Iterable[TaskState],
    limit: int,
    problems: Iterable[str] = (),
    types: Collection[str] = (),
    dead: bool = False,
    fleet: FleetSight | None = None,
) -> ListView:
    """Tasks of *sources*: running and waiting ones in their order, then the newest that ended.

    At most *limit* of each kind and source. What needs a person is found whatever is listed, except that no daemon
    runs; *problems* are those of the configuration. *types*: only tasks of these; *dead*: only those that failed and
    whose attempts are used up. *fleet*: what its other hosts hold, as it is to be listed.
    """
    wanted = frozenset({TaskState.FAILED} & set(states) if dead else states)
    lines: list[TaskLine] = []
    more = False
    views: dict[str, SourceView] = {}
    for listed in sources:
        shown = _EVERY if types else limit
        view = views[listed.id] = source_view(circumstances, listed, waiting_shown=shown)
        if wanted & {TaskState.PENDING, TaskState.RUNNING}:
            current = list(_current(listed, view, wanted, types))
            waiting = [each for each in current if each.state is TaskState.PENDING]
            lines += [*(each for each in current if each.state is TaskState.RUNNING), *waiting[:limit]]
            more = more or len(waiting) > limit
            more = more or (TaskState.PENDING in wanted and not types and view.pending.number > limit)
        for state in ENDED:
            if state in wanted:
                chosen = _chosen(listed, types, dead=dead) if types or dead else None
                ended, cut = last_ended(listed, limit, (state,), wanted=chosen)
                lines += ended
                more = more or cut
    attention = attention_of(circumstances, views, problems=problems, named=max(limit, NAMED))
    # After run --drain, no daemon is to run: whether one does is for status and doctor to say.
    return ListView(
        tuple(lines), more, tuple(each for each in attention if each.kind != AttentionKind.DAEMON), fleet
    )


def show_of(circumstances: Circumstances, task_id: TaskId, *, events: Path | None = None) -> ShowView | None:
    """All that is known of *task_id*, None if no source has it; from the event log in *events*, what is expected."""
    for listed in circumstances.sources:
        folders = listed.folders
        ended = ended_state(folders, task_id)
        if ended is not None:
            shown = _show_ended(listed, task_id, ended)
            shown.attention = tuple(of_task(circumstances, listed, task_id))
            shown.available_actions = available_actions(
                ended, needs_look=bool(shown.attention), **landing_actions(shown.result or {})
            )
            return shown
        # A running task is shown by its lock, even where a person has deleted its document.
        possible = possible_documents(task_id)
        beside = (name for document in possible for name in (document, naming.lock_of(document)))
        if not any(os.path.lexists(folders.pending / name) for name in beside):
            continue
        view = source_view(circumstances, listed, waiting_shown=_EVERY)
        running = next((task for task in view.running if task.task_id == task_id), None)
        waiting = next((task for task in view.waiting if task.task_id == task_id), None)
        if running is not None or waiting is not None:
            if events is not None:
                from task_queue.app.estimating import add_outlook, add_progress  # lists do without

                add_progress(circumstances, events, [view])
                add_outlook(circumstances, events, [view])
            shown = _show_current(listed, task_id, running, waiting)
            shown.attention = tuple(of_task(circumstances, listed, task_id))
            return shown
        problems = tuple(file.why for file in (*view.locks, *view.ignored) if task_id in file.name)
        if problems:
            return _show_current(listed, task_id, None, None, problems)
    return None


def _chosen(listed: ListedSource, types: Collection[str], *, dead: bool) -> Callable[[TaskLine], bool]:
    def is_chosen(task: TaskLine) -> bool:
        if dead and not task.dead_letter:
            return False
        if types:
            task.type = type_of(document_of(listed, task.task_id, task.state), listed.layers())
        return not types or task.type in types

    return is_chosen


def _current(
    listed: ListedSource, view: SourceView, wanted: frozenset[TaskState], types: Collection[str]
) -> Iterator[TaskLine]:
    """Of *types* only, if there are any."""
    if TaskState.RUNNING in wanted:
        for task in view.running:
            kind = ""
            if types:
                kind = type_of(listed.folders.attempt(task.task_id, task.attempt) / SNAPSHOT, listed.layers())
            if types and kind not in types:
                continue
            note = f"attempt {task.attempt}"
            note += f", {task.phase}" if task.phase else ""
            note += _of_runner(task)
            yield TaskLine(
                task.task_id,
                listed.id,
                TaskState.RUNNING,
                task.title,
                note,
                task.since,
                task.cost_usd,
                type=kind,
            )
    if TaskState.PENDING in wanted:
        for waiting in view.waiting:
            if types and waiting.type not in types:
                continue
            yield TaskLine(
                waiting.task_id,
                listed.id,
                TaskState.PENDING,
                waiting.title,
                waiting.why,
                needs_person=waiting.needs_person,
                type=waiting.type,
                position=waiting.position,
                attempts_left=waiting.attempts_left,
                next_attempt_at=waiting.next_attempt_at,
            )


def _show_ended(listed: ListedSource, task_id: TaskId, state: TaskState) -> ShowView:
    folders = listed.folders
    document = document_of(listed, task_id, state)
    result = record(folders.result(task_id))
    problems = (f"the result {result}",) if isinstance(result, str) else ()
    return ShowView(
        task_id=task_id,
        source=listed.id,
        state=state,
        title=title_of(document),
        document=document,
        result_path=folders.result(task_id),
        report_path=folders.report(task_id),
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
    state = TaskState.RUNNING if running else TaskState.PENDING
    path = document_of(listed, task_id, state)
    title = running.title if running else waiting.title if waiting else title_of(path)
    return ShowView(
        task_id=task_id,
        source=listed.id,
        state=state,
        title=title,
        document=path,
        result_path=listed.folders.result(task_id),
        report_path=listed.folders.report(task_id),
        waiting=waiting,
        running=running,
        attempts=_attempts(listed.folders, task_id, listed.folders.journal(path.name)),
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


def _of_runner(task: RunningView) -> str:
    if task.runner == "alive":
        return ""
    return f", with worker {task.worker}" if task.runner == "remote" else f", runner {task.runner}"
