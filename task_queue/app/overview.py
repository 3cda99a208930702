"""Everything at a glance: the daemon, each source, what runs, what waits and why, what needs a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from task_queue.app.answers import (
    AccountView,
    Count,
    DaemonView,
    FileView,
    ListedSource,
    SourceView,
    StatusView,
)
from task_queue.app.daemon_state import daemon_from
from task_queue.app.ended import last_ended
from task_queue.app.files import Record, count_tasks, names_in, text_in, whole_in
from task_queue.app.running import running_in
from task_queue.app.waiting import READ_LIMIT, waiting_in
from task_queue.domain.document import naming
from task_queue.domain.task import TaskState
from task_queue.platform import trust

_FILES_SHOWN = 50


def status_of(
    sources: Sequence[ListedSource],
    *,
    config: Path,
    daemon_state: Path,
    account: AccountView | None = None,
    now: datetime,
    problems: Iterable[str] = (),
    waiting_shown: int = 10,
    ended_shown: int = 0,
) -> StatusView:
    """The state of *sources*; *problems* of the configuration are what its reader had to leave out."""
    daemon, said = daemon_from(daemon_state)
    account = account or AccountView()
    views = tuple(
        source_view(listed, said.get(listed.id), now=now, waiting_shown=waiting_shown) for listed in sources
    )
    for listed, view in zip(sources, views, strict=True):
        view.ended = last_ended(listed, ended_shown) if ended_shown else ()
    return StatusView(
        daemon=daemon,
        account=account,
        config=config,
        sources=views,
        attention=(*problems, *_attention(daemon, account, views, said)),
    )


def source_view(
    listed: ListedSource, said: Record | None, *, now: datetime, waiting_shown: int
) -> SourceView:
    folders = listed.folders
    state, why = _state(listed, said)
    if listed.trouble is not None and not listed.paused:
        state, why = "unavailable", listed.trouble
    distrust = trust.grave_problem(*folders.folders())
    if distrust is not None:
        state, why = "unavailable", f"not trusted: {distrust.what}; put it right with: {distrust.fix}"
    names = names_in(folders.pending)
    if isinstance(names, str):
        empty = Count(0)
        return SourceView(
            id=listed.id,
            path=folders.pending,
            description=listed.description,
            state="unavailable",
            why=why or names,
            watch=None,
            pending=empty,
            completed=empty,
            failed=empty,
        )
    running, locks = running_in(listed.id, folders, names, now)
    claimed = {naming.key_of(view.task_id) for view in running}
    locked = claimed | {lock.name.removeprefix(".").removesuffix(".lock") for lock in locks}
    documents, ignored = _sorted_out(listed, names)
    unclaimed = documents
    if locked:
        unclaimed = [name for name in documents if naming.key_of(naming.task_id_of(name)) not in locked]
    waiting, order_known = waiting_in(
        folders, unclaimed, now=now, running={view.task_id for view in running}, shown=waiting_shown
    )
    return SourceView(
        id=listed.id,
        path=folders.pending,
        description=listed.description,
        state=state,
        why=why,
        watch=text_in(said, "watch") if said else None,
        pending=Count(len(unclaimed)),
        completed=count_tasks(folders.ended(TaskState.COMPLETED)),
        failed=count_tasks(folders.ended(TaskState.FAILED)),
        running=tuple(running),
        waiting=tuple(waiting),
        order_known=order_known,
        ignored=tuple(ignored[:_FILES_SHOWN]),
        locks=tuple(locks),
        thread_id=whole_in(said, "thread_id") if said else None,
        task_id=text_in(said, "task_id") if said else None,
        watch_why=text_in(said, "watch_why") if said else None,
    )


def _state(listed: ListedSource, said: Record | None) -> tuple[str, str | None]:
    if listed.paused:
        return "paused", f"go on with: task-queue sources resume --source-id {listed.id}"
    if said is None:
        return "unserved", None
    return text_in(said, "state") or "unserved", text_in(said, "why")


def _sorted_out(listed: ListedSource, names: list[str]) -> tuple[list[str], list[FileView]]:
    """Documents, and files that are none; in a large folder only names are looked at, not each file."""
    look_at_files = len(names) <= READ_LIMIT
    documents: list[str] = []
    ignored: list[FileView] = []
    for name in names:
        if naming.is_private(name):
            continue
        why = naming.why_not_a_task(name)
        if why is None and look_at_files:
            with contextlib.suppress(OSError):
                why = listed.why_not_a_document((listed.folders.pending / name).lstat())
        if why is None:
            documents.append(name)
        else:
            ignored.append(FileView(name, why))
    return documents, sorted(ignored, key=lambda file: file.name)


def _attention(
    daemon: DaemonView, account: AccountView, sources: Iterable[SourceView], said: Mapping[str, Record]
) -> Iterator[str]:
    if not daemon.running:
        yield "the daemon does not run; start it with: task-queue daemon, or: task-queue service install"
    if daemon.config_error:
        yield f"the changed configuration is not in force: {daemon.config_error}"
    if account.paused_until is not None:
        yield f"the account is paused: {account.why}; try it now with: task-queue tasks resume-account"
    for source_id, words in said.items():
        if words.get("needs_person") is True:
            yield f"source '{source_id}': {text_in(words, 'why')}"
    for source in sources:
        if source.state in {"unavailable", "stopped"}:
            yield f"source '{source.id}' is {source.state}" + (f": {source.why}" if source.why else "")
        for lock in filter(lambda lock: lock.needs_person, source.locks):
            yield f"source '{source.id}': {lock.name}: {lock.why}"
        for task in source.waiting:
            if task.why.startswith("blocked"):
                yield f"task {task.task_id} is {task.why}"
            elif task.why.startswith("depends on itself"):
                yield f"task {task.task_id} {task.why}"
