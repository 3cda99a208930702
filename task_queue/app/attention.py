"""Everything that needs a person: of the queue itself, of what waits, and of what ended. One place for every front end.

What is found does not depend on what a command shows besides: only how many of a kind are named may differ, and
the others are counted in one line.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from task_queue.app.answers import AccountView, AttentionView, DaemonView, ListedSource, SourceView
from task_queue.app.files import Record, names_in, text_in
from task_queue.domain.attention import AttentionKind, kind_of_wait
from task_queue.domain.document import naming
from task_queue.domain.source_pause import PAUSED_BY_CONFIGURATION, go_on_command
from task_queue.domain.task import TaskId, TaskState
from task_queue.git.merged_branches import MergedBranches
from task_queue.store.folder.states import ended_state
from task_queue.store.folder.unreviewed import open_needs

if TYPE_CHECKING:
    from task_queue.app.circumstances import Circumstances

NAMED = 20
"""Of each source, so many tasks that wait, and so many results; the others are counted."""
_LOOK_AT = 1000
"""Of more names it is not asked whether the result is still there."""


def attention_of(
    circumstances: Circumstances,
    views: Mapping[str, SourceView],
    *,
    problems: Iterable[str] = (),
    named: int = NAMED,
) -> tuple[AttentionView, ...]:
    """Of the queue, and of the sources whose *views* are given by their ids.

    *problems* are those of the configuration; of each source at most *named* tasks that wait are named, and
    *named* results.
    """
    said = {name: words for name, words in circumstances.said.items() if name in views}
    sources = [listed for listed in circumstances.sources if listed.id in views]
    return (
        *_of_configuration(problems),
        *_of_queue(circumstances.daemon, circumstances.account, views.values(), said),
        *_of_broken_bases({name: why for name, why in circumstances.broken_bases.items() if name in views}),
        *(each for listed in sources for each in _of_schedules(listed, circumstances.now)),
        *(each for listed in sources for each in _of_waiting(circumstances, listed, named)),
        *of_results(sources, named=named),
    )


def of_task(circumstances: Circumstances, listed: ListedSource, task_id: TaskId) -> Iterator[AttentionView]:
    """Of the task *task_id* of the source, whether it waits or has ended."""
    yield from (each for each in _stuck(circumstances, listed) if each.task_id == task_id)
    yield from of_ended(listed, task_id)


def of_ended(listed: ListedSource, task_id: TaskId) -> Iterator[AttentionView]:
    """Of the result of the task *task_id* of the source; nothing before it has ended."""
    yield from _of_result(listed, listed.folders.result(task_id), MergedBranches())


def _of_queue(
    daemon: DaemonView, account: AccountView, sources: Collection[SourceView], said: Mapping[str, Record]
) -> Iterator[AttentionView]:
    """Of the daemon, the account and each source."""
    if not daemon.running:
        yield AttentionView(AttentionKind.DAEMON, "the daemon does not run", "task-queue daemon")
    if daemon.config_error:
        sentence = f"the changed configuration is not in force: {daemon.config_error}"
        yield AttentionView(AttentionKind.CONFIGURATION, sentence, "task-queue doctor")
    if account.paused_until is not None:
        sentence = f"the account is paused: {account.why}"
        yield AttentionView(AttentionKind.ACCOUNT, sentence, "task-queue tasks resume-account")
    for model, pause in account.paused_models.items():
        sentence = f"the account is paused for {model}: {pause.why}"
        yield AttentionView(AttentionKind.ACCOUNT, sentence, "task-queue tasks resume-account")
    for source_id, words in said.items():
        if words.get("needs_person") is True:
            sentence = f"source '{source_id}': {text_in(words, 'why')}"
            yield AttentionView(AttentionKind.SOURCE, sentence, "task-queue doctor", source=source_id)
    if account.stopped and any(source.pending.number for source in sources):
        sentence = "everything is stopped, and tasks wait"
        yield AttentionView(AttentionKind.STOPPED, sentence, "task-queue resume")
    for source in sources:
        yield from _of_source(source)


def _of_broken_bases(why_by_source: Mapping[str, str]) -> Iterator[AttentionView]:
    for source_id, why in why_by_source.items():
        command = f"task-queue sources resume {source_id}"
        sentence = f"source '{source_id}' is held: {why}"
        yield AttentionView(AttentionKind.BROKEN_BASE, sentence, command, source=source_id)


def _of_schedules(listed: ListedSource, now: datetime) -> Iterator[AttentionView]:
    if not listed.has_schedules:
        return
    from task_queue.app.schedules import schedules_in  # few sources have any

    for view in schedules_in(listed, now):
        if view.trouble is not None:
            what = f"schedule '{view.name}'" if view.name else "schedules"
            command = f"task-queue schedules list --source {shlex.quote(listed.id)}"
            sentence = f"{what} of source '{listed.id}' cannot be used: {view.trouble}"
            yield AttentionView(AttentionKind.SCHEDULE, sentence, command, source=listed.id)


def _of_configuration(problems: Iterable[str]) -> Iterator[AttentionView]:
    for problem in problems:
        yield AttentionView(AttentionKind.CONFIGURATION, problem, "task-queue doctor")


def _of_waiting(circumstances: Circumstances, listed: ListedSource, named: int) -> Iterator[AttentionView]:
    stuck = list(_stuck(circumstances, listed))
    yield from stuck[:named]
    more = len(stuck) - named
    if more > 0:
        sentence = f"{_numbered(more, 'more task')} of source '{listed.id}' cannot run before a person acts"
        command = f"{_list(listed, len(stuck))} --state {TaskState.PENDING}"
        yield AttentionView(AttentionKind.MORE, sentence, command, source=listed.id)


def _stuck(circumstances: Circumstances, listed: ListedSource) -> Iterator[AttentionView]:
    try:
        stuck = circumstances.snapshots.stuck(listed.id)
    except OSError:
        return  # the source is unavailable, which is said elsewhere
    for task, why in stuck:
        kind = kind_of_wait(lacks=task.lacks, needs_person=task.needs_person)
        verb = "retry" if kind is AttentionKind.RETURNED else "show"
        command = f"task-queue tasks {verb} {shlex.quote(task.id)}"
        yield AttentionView(kind, f"task {task.id} {why}", command, task_id=task.id, source=listed.id)


def of_results(sources: Iterable[ListedSource], *, named: int = NAMED) -> Iterator[AttentionView]:
    """Of the tasks that ended, the newest of each source first.

    Costs as much as there are results that need a person, however many tasks have ended.
    """
    landings = MergedBranches()
    for listed in sources:
        names = names_in(listed.folders.needing)
        if isinstance(names, str):
            continue  # there is none yet, or the source is unavailable, which is said elsewhere
        tasks = (name for name in sorted(filter(_is_result, names), reverse=True))
        found = 0
        for name in tasks:
            if found == named:
                yield from _more_results(listed, [name, *tasks], named)
                break
            needs = tuple(_of_result(listed, listed.folders.results / name, landings))
            yield from needs
            found += bool(needs)


def _more_results(listed: ListedSource, names: list[str], named: int) -> Iterator[AttentionView]:
    """*names* are those in the index that nothing was said of yet."""
    looked_at = names[:_LOOK_AT]
    there = sum(_is_there(listed, name) for name in looked_at)
    if there:
        atleast = "at least " if len(names) > len(looked_at) else ""
        verb = "needs" if there == 1 else "need"
        sentence = f"{atleast}{_numbered(there, 'more result')} of source '{listed.id}' {verb} attention"
        command = _list(listed, named + there)
        yield AttentionView(AttentionKind.MORE, sentence, command, source=listed.id)


def _is_there(listed: ListedSource, name: str) -> bool:
    """Whether the result called *name* may need a person; it is only read where its name does not say its task."""
    task_id = TaskId(name.removesuffix(".json"))
    seen = os.path.lexists(listed.folders.acknowledgement(task_id))
    if not seen and ended_state(listed.folders, task_id) is not None:
        return os.path.lexists(listed.folders.results / name)
    return any(_of_result(listed, listed.folders.results / name, MergedBranches()))


def _list(listed: ListedSource, limit: int) -> str:
    """The command that names so many of each kind."""
    return f"task-queue tasks list --source {shlex.quote(listed.id)} --limit {limit}"


def _numbered(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _of_result(listed: ListedSource, path: Path, landings: MergedBranches) -> Iterator[AttentionView]:
    for task_id, kind, sentence, command in open_needs(listed.folders, path, landings.has_settled):
        yield AttentionView(kind, f"task {task_id}: {sentence}", command, task_id=task_id, source=listed.id)


def _of_source(source: SourceView) -> Iterator[AttentionView]:
    if source.state in {"unavailable", "stopped"}:
        sentence = f"source '{source.id}' is {source.state}" + (f": {source.why}" if source.why else "")
        yield AttentionView(AttentionKind.SOURCE, sentence, "task-queue doctor", source=source.id)
    if source.paused_by is not None and source.pending.number:
        sentence = f"source '{source.id}' is {source.state}, and {_numbered(source.pending.number, 'task')} wait in it"
        command = go_on_command(source.id, by_configuration=source.paused_by == PAUSED_BY_CONFIGURATION)
        yield AttentionView(AttentionKind.SOURCE, sentence, command, source=source.id)
    for lock in filter(lambda lock: lock.needs_person, source.locks):
        sentence = f"source '{source.id}': {lock.name}: {lock.why}"
        yield AttentionView(AttentionKind.LOCK, sentence, "task-queue status --detailed", source=source.id)


def _is_result(name: str) -> bool:
    return name.endswith(".json") and naming.is_task_id(name.removesuffix(".json"))
