"""Tasks in the words of a job queue: one, or a list of all that match, with counts."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, cast

from task_queue.app.answers import AttentionView, ListedSource, RunningView, SourceView, WaitingView
from task_queue.app.attention import of_ended, of_results, of_task
from task_queue.app.ended import ending_in, landing_actions
from task_queue.app.estimating import AttemptKey, add_outlook, add_progress
from task_queue.app.files import number_in, record, records_in, text_in, time_in, whole_in
from task_queue.app.finding import document_of, found, unknown_task
from task_queue.app.installation import Installation
from task_queue.app.overview import source_view
from task_queue.app.running import running_in
from task_queue.app.task_elsewhere import demand_not_elsewhere
from task_queue.app.tracked_task import NeedView, TaskFilter, TaskPage, TaskStatus, TrackedTask
from task_queue.domain.actions import available_actions
from task_queue.domain.document import naming
from task_queue.domain.document.layers import Layers
from task_queue.domain.document.settings import Settings, resolve
from task_queue.domain.document.taskfile import MAX_BYTES, read_task
from task_queue.domain.errors import TaskFileError, TaskQueueError, UnknownTaskError
from task_queue.domain.estimates import Estimate
from task_queue.domain.policy import Caller, TaskTraits, repository_name
from task_queue.domain.task import ENDED, Task, TaskId, TaskState
from task_queue.platform.durable import read_regular
from task_queue.store.folder.progress import said_progress
from task_queue.store.folder.states import ended_state

_ALL = 10**9
_LOOKS = 2
"""A task that moves just now may be missed once."""


class BadCursorError(TaskQueueError):
    """It is not a cursor, or one of a list that is sorted in another way."""


SORTS: Mapping[str, Callable[[TrackedTask], str | float]] = {
    "created_at": lambda task: task.created_at.timestamp(),
    "updated_at": lambda task: task.updated_at.timestamp(),
    "priority": lambda task: task.priority,
    "id": lambda task: task.id,
}


class KeptDocuments:
    """Documents and results that were read for an earlier answer, for as long as they stay as they were."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._kept: dict[Path, tuple[tuple[int, int, int], Any]] = {}
        self.estimates: dict[AttemptKey, Estimate] = {}
        """Of attempts that ran then."""

    def read(self, path: Path, reader: Callable[[Path], Any]) -> Any:
        """What *reader* makes of the file at *path*. Raises OSError if there is none."""
        about = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - as often as there are tasks
        stamp = (about.st_ino, about.st_mtime_ns, about.st_ctime_ns)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
            self.estimates.clear()
        value = reader(path)
        self._kept[path] = (stamp, value)
        return value


def tracked(installation: Installation, task_id: str, caller: Caller, kept: KeptDocuments) -> TrackedTask:
    """All that is known of one task. Raises UnknownTaskError, also where *caller* does not see it.

    TaskElsewhereError, which is one, where it came in at another host and *caller* sees every task.
    """
    known = TaskId(task_id)
    if not naming.is_task_id(task_id):
        raise unknown_task(known)
    for _ in range(_LOOKS):
        with suppress(UnknownTaskError):
            return _looked_up(installation, known, caller, kept)
    if caller.policy.is_unlimited:
        demand_not_elsewhere(installation, known)
    return _looked_up(installation, known, caller, kept)


def _looked_up(installation: Installation, known: TaskId, caller: Caller, kept: KeptDocuments) -> TrackedTask:
    sources = installation.sources()
    listed, state = found(sources, known)
    circumstances = installation.circumstances()
    rows = _Rows(installation, circumstances.now, kept)
    needs = tuple(map(_need, of_task(circumstances, listed, known)))
    if state.ended:
        task: TrackedTask | None = rows.ended(listed, state, known, needs)
    else:
        view = source_view(circumstances, listed, waiting_shown=_ALL)
        events = installation.locations.events
        add_progress(circumstances, events, [view], known=kept.estimates)
        add_outlook(circumstances, events, [view])
        task = next(rows.current(listed, view, only=known), None)
    if task is None or not caller.sees(rows.traits_of(task)):
        raise unknown_task(known)
    task.attention = needs
    if state.ended:
        result = record(listed.folders.result(known))
        task.result = dict(result) if isinstance(result, dict) else None
    return task


def tracked_in(
    installation: Installation, source_id: str, task_id: TaskId, caller: Caller, kept: KeptDocuments
) -> TrackedTask:
    """As ``tracked``, of a task that was claimed in *source_id*: quickly, however many wait there."""
    listed = installation.sources(source_id)[0]
    rows, folders = _Rows(installation, installation.now(), kept), listed.folders
    task: TrackedTask | None = None
    if (state := ended_state(folders, task_id)) is not None:
        task = rows.ended(listed, state, task_id, tuple(map(_need, of_ended(listed, task_id))))
    elif os.path.lexists(folders.lock(naming.document_of(task_id))):
        locks = [naming.lock_of(naming.document_of(task_id))]
        running, _ = running_in(source_id, folders, locks, installation.now())
        task = next((rows.running(listed, each) for each in running), None)
    if task is None:  # it waits again, or ended just now
        return tracked(installation, task_id, caller, kept)
    if not caller.sees(rows.traits_of(task)):
        raise unknown_task(task_id)
    return task


def demand_change(
    installation: Installation, task_id: str, caller: Caller, kept: KeptDocuments
) -> TrackedTask:
    """The same, for who wants to change it. Raises NotAllowedError, too."""
    task = tracked(installation, task_id, caller, kept)
    caller.demand_change(traits_of(installation, task))
    return task


def tasks_page(
    installation: Installation,
    wanted: TaskFilter,
    caller: Caller,
    kept: KeptDocuments,
    *,
    sort: str = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> TaskPage:
    """*sort* is a key of ``SORTS``, with ``-`` before it the greatest first. Raises BadCursorError."""
    tasks = tracked_tasks(installation, wanted, caller, kept)
    counts = {status.value: 0 for status in TaskStatus} | {"dead_letter": 0}
    for task in tasks:
        counts[task.status] += 1
        counts["dead_letter"] += task.dead_letter
    key = SORTS[sort.removeprefix("-")]
    descending = sort.startswith("-")
    tasks.sort(key=lambda task: (key(task), task.id), reverse=descending)
    if cursor is not None:
        after = _place_in(cursor, sort)
        tasks = [
            task
            for task in tasks
            if ((key(task), task.id) < after if descending else (key(task), task.id) > after)
        ]
    page = tasks[:limit]
    following = _cursor(sort, key(page[-1]), page[-1].id) if len(tasks) > limit else None
    return TaskPage(tuple(page), following, counts)


def tracked_tasks(
    installation: Installation, wanted: TaskFilter, caller: Caller, kept: KeptDocuments
) -> list[TrackedTask]:
    """All that match and that *caller* sees, of every source."""
    circumstances = installation.circumstances()
    rows = _Rows(installation, circumstances.now, kept)
    needs: dict[TaskId | None, list[NeedView]] = {}
    for each in of_results(circumstances.sources, named=_ALL):
        needs.setdefault(each.task_id, []).append(_need(each))
    tasks: list[TrackedTask] = []
    for listed in circumstances.sources:
        if wanted.sources and listed.id not in wanted.sources:
            continue
        if not caller.policy.allows_source(listed.id):
            continue
        view = source_view(circumstances, listed, waiting_shown=_ALL)
        add_progress(circumstances, installation.locations.events, [view], known=kept.estimates)
        tasks_of = [rows.current(listed, view)]
        if not wanted.statuses or set(wanted.statuses) - {TaskStatus.QUEUED, TaskStatus.RUNNING}:
            tasks_of.append(rows.all_ended(listed, needs))
        for task in chain.from_iterable(tasks_of):
            if wanted.matches(task) and caller.sees(rows.traits_of(task)):
                tasks.append(task)
    return tasks


def traits_of(installation: Installation, task: TrackedTask) -> TaskTraits:
    entry = installation.entry(task.source)
    repository = None if entry.repository is None else repository_name(entry.repository)
    return TaskTraits(
        task.source, task.type, task.executor, task.capabilities, repository, task.submitted_by, task.id
    )


class _Rows:
    """The tasks of one answer, at *now*."""

    def __init__(self, installation: Installation, now: datetime, kept: KeptDocuments) -> None:
        self._installation = installation
        self._now = now
        self._kept = kept
        self._layers: dict[str, Layers] = {}

    def traits_of(self, task: TrackedTask) -> TaskTraits:
        return traits_of(self._installation, task)

    def current(
        self, listed: ListedSource, view: SourceView, *, only: TaskId | None = None
    ) -> Iterator[TrackedTask]:
        """What runs and waits in the source; *view* has all that waits."""
        for running in view.running:
            if only in {None, running.task_id}:
                yield self.running(listed, running)
        for place, waiting in enumerate(view.waiting, start=1):
            if only in {None, waiting.task_id}:
                yield self._waiting(listed, waiting, place if view.order_known else None, len(view.running))

    def all_ended(
        self, listed: ListedSource, needs: Mapping[TaskId | None, Sequence[NeedView]]
    ) -> Iterator[TrackedTask]:
        for state in ENDED:
            for document in _documents_in(listed.folders.ended(state)):
                task_id = naming.task_id_of(document)
                yield self.ended(listed, state, task_id, needs.get(task_id, ()))

    def _waiting(
        self, listed: ListedSource, waiting: WaitingView, place: int | None, running: int
    ) -> TrackedTask:
        path = document_of(listed, waiting.task_id, TaskState.PENDING)
        task = self._base(listed, waiting.task_id, path, TaskStatus.QUEUED)
        task.title = waiting.title or task.title
        task.queue_position = place
        task.ahead = None if place is None else running + place - 1
        task.why = waiting.why
        task.attempt = waiting.attempts
        task.next_attempt_at = waiting.not_before
        task.estimate = waiting.estimate
        if waiting.estimate is not None:
            task.estimated_start_at = waiting.estimate.starts_at
            task.estimated_completion_at = waiting.estimate.ends_at
        task.cancel_requested = os.path.lexists(listed.folders.cancel(path.name))
        task.available_actions = available_actions(TaskState.PENDING, needs_person=waiting.needs_person)
        return task

    def running(self, listed: ListedSource, running: RunningView) -> TrackedTask:
        snapshot = listed.folders.attempt(running.task_id, running.attempt) / "task.md"
        task = self._base(listed, running.task_id, snapshot, TaskStatus.RUNNING)
        task.title = running.title or task.title
        task.started_at = running.since
        task.updated_at = running.since or task.updated_at
        task.attempt = running.attempt
        said = said_progress(listed.folders, running.task_id)
        task.current_step = running.step or said.step
        task.progress_percent = max(
            (each for each in (running.percent, said.percent) if each is not None), default=None
        )
        task.estimated_completion_at = running.ends_at
        task.cost_usd = running.cost_usd
        task.cancel_requested = running.cancelling
        task.available_actions = available_actions(TaskState.RUNNING)
        return task

    def ended(
        self, listed: ListedSource, state: TaskState, task_id: TaskId, needs: Sequence[NeedView]
    ) -> TrackedTask:
        """*needs*: what of its result needs a person."""
        path = listed.folders.ended(state) / naming.document_of(task_id)
        task = self._base(listed, task_id, path, TaskStatus(state.value))
        try:
            result: Mapping[str, Any] = self._kept.read(listed.folders.result(task_id), _result_in)
        except OSError:
            result = {}
        ending = ending_in(result) if result else None
        task.outcome = ending.outcome if ending else None
        if task.outcome == "cancelled":
            task.status = TaskStatus.CANCELLED
        task.dead_letter = result.get("dead_letter") is True
        task.error = (ending.cause or None) if ending else None
        task.completed_at = time_in(result, "completed_at")
        task.started_at = time_in(result, "started_at")
        task.updated_at = task.completed_at or task.updated_at
        task.cost_usd = number_in(result, "total_cost_usd")
        task.type = text_in(result, "task_type") or task.type
        task.executor = text_in(result, "executor") or task.executor
        task.attempt = max(
            (whole_in(each, "number") or 0 for each in records_in(result, "attempts")), default=0
        )
        task.progress_percent = 100.0 if state is TaskState.COMPLETED else None
        task.attention = tuple(needs)
        task.available_actions = available_actions(state, needs_look=bool(needs), **landing_actions(result))
        return task

    def _base(self, listed: ListedSource, task_id: TaskId, path: Path, status: TaskStatus) -> TrackedTask:
        try:
            document, changed_at = self._kept.read(path, _document_in)
        except OSError:
            document, changed_at = None, self._now
        settings = self._settings(listed, document)
        labels: Any = json.loads(settings.labels) if settings.labels else {}
        created = naming.time_in(naming.document_of(task_id)) or changed_at
        return TrackedTask(
            id=task_id,
            source=listed.id,
            status=status,
            title=document.title if document else "",
            priority=settings.priority,
            type=settings.type,
            executor=settings.executor,
            capabilities=settings.capabilities,
            created_at=created.astimezone(),
            updated_at=changed_at.astimezone(),
            submitted_by=settings.submitted_by,
            labels=cast("dict[str, Any]", labels),
            max_attempts=settings.max_attempts,
        )

    def _settings(self, listed: ListedSource, document: Task | None) -> Settings:
        if document is None:
            return Settings()
        if listed.id not in self._layers:
            self._layers[listed.id] = listed.layers()
        try:
            return self._layers[listed.id].known_settings_of(document.given)
        except TaskFileError:
            pass
        try:
            return resolve({key: document.given[key] for key in _OF_A_ROW if key in document.given})
        except TaskFileError:
            return Settings()


_OF_A_ROW = ("priority", "type", "executor", "capabilities", "labels", "submitted_by")
"""What is known of a document although it cannot run."""


def _need(view: AttentionView) -> NeedView:
    return NeedView(view.kind, view.sentence, view.command)


def _documents_in(folder: Path) -> Iterable[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if naming.why_not_a_task(entry.name) is None]
    except OSError:
        return ()


def _document_in(path: Path) -> tuple[Task | None, datetime]:
    data, about = read_regular(path, limit=MAX_BYTES)
    changed_at = datetime.fromtimestamp(about.st_mtime, UTC)
    try:
        return read_task(data, TaskId("task-read"))[0], changed_at
    except TaskFileError:
        return None, changed_at


def _result_in(path: Path) -> Mapping[str, Any]:
    result = record(path)
    if not isinstance(result, dict):
        return {}
    kept = (
        "success",
        "outcome",
        "error",
        "dead_letter",
        "completed_at",
        "started_at",
        "total_cost_usd",
        "landing",
        "commits",
    )
    return {
        **{key: result[key] for key in (*kept, "task_type", "executor") if key in result},
        "attempts": [{"number": whole_in(each, "number")} for each in records_in(result, "attempts")],
    }


def _cursor(sort: str, value: str | float, task_id: TaskId) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, value, task_id]).encode()).decode().rstrip("=")


def _place_in(cursor: str, sort: str) -> tuple[Any, str]:
    try:
        content: object = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        content = None
    parts = cast("list[object]", content) if isinstance(content, list) else []
    kind = str if sort.removeprefix("-") == "id" else int | float
    if len(parts) != 3 or parts[0] != sort or not isinstance(parts[1], kind) or not isinstance(parts[2], str):
        raise BadCursorError("the cursor is not one of this list")
    return parts[1], parts[2]
