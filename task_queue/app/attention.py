"""Everything that needs a person: of the queue itself, and of what ended. One place for every front end."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Mapping

from task_queue.app.answers import AccountView, AttentionView, DaemonView, ListedSource, SourceView
from task_queue.app.files import Record, names_in, record, records_in, text_in
from task_queue.domain.attention import AttentionKind
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId

_RESULTS_READ = 20
"""Of each source, the newest by name; the others are counted."""
_LOOK_AT = 1000
"""Of more names it is not asked whether the result is still there."""


def of_queue(
    daemon: DaemonView, account: AccountView, sources: Iterable[SourceView], said: Mapping[str, Record]
) -> Iterator[AttentionView]:
    """Of the daemon, the account, each source and what waits in it."""
    if not daemon.running:
        yield AttentionView(AttentionKind.DAEMON, "the daemon does not run", "task-queue daemon")
    if daemon.config_error:
        sentence = f"the changed configuration is not in force: {daemon.config_error}"
        yield AttentionView(AttentionKind.CONFIGURATION, sentence, "task-queue doctor")
    if account.paused_until is not None:
        sentence = f"the account is paused: {account.why}"
        yield AttentionView(AttentionKind.ACCOUNT, sentence, "task-queue tasks resume-account")
    for source_id, words in said.items():
        if words.get("needs_person") is True:
            sentence = f"source '{source_id}': {text_in(words, 'why')}"
            yield AttentionView(AttentionKind.SOURCE, sentence, "task-queue doctor", source=source_id)
    for source in sources:
        yield from _of_source(source)


def of_broken_bases(why_by_source: Mapping[str, str]) -> Iterator[AttentionView]:
    for source_id, why in why_by_source.items():
        command = f"task-queue sources resume --source-id {source_id}"
        sentence = f"source '{source_id}' is held: {why}"
        yield AttentionView(AttentionKind.BROKEN_BASE, sentence, command, source=source_id)


def of_configuration(problems: Iterable[str]) -> Iterator[AttentionView]:
    for problem in problems:
        yield AttentionView(AttentionKind.CONFIGURATION, problem, "task-queue doctor")


def of_results(sources: Iterable[ListedSource]) -> Iterator[AttentionView]:
    """Of the tasks that ended, the newest of each source first.

    Costs as much as there are results that need a person, however many tasks have ended.
    """
    for listed in sources:
        names = names_in(listed.folders.needing)
        if isinstance(names, str):
            continue  # there is none yet, or the source is unavailable, which is said elsewhere
        newest = heapq.nlargest(_LOOK_AT, filter(_is_result, names))
        there = [name for name in newest if os.path.lexists(listed.folders.results / name)]
        for name in there[:_RESULTS_READ]:
            yield from of_result(listed, TaskId(name.removesuffix(".json")))
        more = len(there) - _RESULTS_READ
        if more > 0:
            atleast = "at least " if len(names) > len(newest) else ""
            sentence = f"{atleast}{more:,} more results of source '{listed.id}' need attention"
            command = f"ls -r {listed.folders.needing}"
            yield AttentionView(AttentionKind.FAILED, sentence, command, source=listed.id)


def of_result(listed: ListedSource, task_id: TaskId) -> Iterator[AttentionView]:
    """As its result has it, which was written when the task ended."""
    content = record(listed.folders.result(task_id))
    if content is None or isinstance(content, str):
        return
    for each in records_in(content, "attention"):
        kind, sentence, command = (text_in(each, key) or "" for key in ("kind", "sentence", "command"))
        yield AttentionView(kind, f"task {task_id}: {sentence}", command, task_id=task_id, source=listed.id)


def _of_source(source: SourceView) -> Iterator[AttentionView]:
    if source.state in {"unavailable", "stopped"}:
        sentence = f"source '{source.id}' is {source.state}" + (f": {source.why}" if source.why else "")
        yield AttentionView(AttentionKind.SOURCE, sentence, "task-queue doctor", source=source.id)
    for lock in filter(lambda lock: lock.needs_person, source.locks):
        sentence = f"source '{source.id}': {lock.name}: {lock.why}"
        yield AttentionView(AttentionKind.LOCK, sentence, "task-queue status --detailed", source=source.id)
    for task in source.waiting:
        if task.why.startswith("blocked"):
            sentence = f"task {task.task_id} is {task.why}"
        elif task.why.startswith("depends on itself"):
            sentence = f"task {task.task_id} {task.why}"
        else:
            continue
        command = f"task-queue tasks show {task.task_id}"
        yield AttentionView(AttentionKind.BLOCKED, sentence, command, task_id=task.task_id, source=source.id)


def _is_result(name: str) -> bool:
    return name.endswith(".json") and naming.is_task_id(name.removesuffix(".json"))
