"""What a document and the history beside it say, as far as the order of tasks depends on it.

The same for the worker and for every front end. No record's class is needed for it, so listings stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, cast

from task_queue.config.roots import demand_allowed, directory_named
from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document import naming
from task_queue.domain.document.layers import Layers, naming_the_line, task_under
from task_queue.domain.document.ordering import MOST_PAUSED, NEVER_TRIED, History, Waiting, waiting_for
from task_queue.domain.document.settings import Settings
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import NotConfiguredError, TaskFileError
from task_queue.domain.task import Task, TaskId
from task_queue.platform.durable import read_regular
from task_queue.platform.json_files import json_object, text_in, time_in, whole_in
from task_queue.store.folder.intake_check import FileStamp
from task_queue.store.folder.layout import RUN, Layout

_SENT_BACK = {"limited", "account", "unavailable"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One version of a document, read."""

    waiting: Waiting | None = None
    given: Mapping[str, Any] | None = None
    """The keys that it sets; None where it sets none."""
    rejected: str | None = None
    """Why it will be rejected; then there is nothing else."""


def read_document(path: Path, stamp: FileStamp, layers: Layers, history: History) -> Reading | None:
    """What the version *stamp* of the document at *path* says, None if it is another one now. Raises OSError.

    *history* is what ``read_history`` found beside it.
    """
    if stamp.size > MAX_BYTES:
        return Reading(rejected=f"{stamp.size:,} bytes are more than the limit of {MAX_BYTES:,}")
    data, about = read_regular(path, limit=MAX_BYTES)
    if FileStamp.of(about) != stamp:
        return None
    try:
        task, settings, lacks = _understood(data, naming.task_id_of(path.name), layers)
    except TaskFileError as error:
        return Reading(rejected=error.in_full)
    written_at = datetime.fromtimestamp(stamp.mtime_ns / 1e9, tz=UTC)
    dropped_at = naming.dropped_at(path.name, written_at=written_at)
    waiting = waiting_for(
        task, settings, dropped_at=dropped_at, history=history, lacks=lacks, ageing=layers.ageing
    )
    return Reading(waiting, task.given or None)


def settings_under(layers: Layers, given: Mapping[str, Any]) -> Settings:
    """What applies to a task whose document says *given*, by a configuration that lacks nothing for it.

    Raises as ``Layers.settings_of``.
    """
    settings = layers.settings_of(given)
    _demand_workspace(layers, given, settings)
    return settings


def _understood(data: bytes, task_id: TaskId, layers: Layers) -> tuple[Task, Settings, str]:
    """The task that *data* describes, what applies to it, and what the configuration lacks for it.

    Raises TaskFileError.
    """
    try:
        task, settings = task_under(layers, data, task_id)
        with naming_the_line(task):
            _demand_workspace(layers, task.given, settings)
    except NotConfiguredError as error:
        task = parse(data, task_id)
        return task, layers.known_settings_of(task.given), error.in_full
    return task, settings, ""


def _demand_workspace(layers: Layers, given: Mapping[str, Any], settings: Settings) -> None:
    if "workspace" in given and settings.workspace is not None:
        demand_allowed(directory_named(settings.workspace, base=layers.workspace), layers.roots)


def _trailing(attempts: list[dict[str, Any]]) -> int:
    """How many of the latest came back because of the account."""
    sent_back = takewhile(lambda attempt: attempt.get("outcome") in _SENT_BACK, reversed(attempts))
    return sum(1 for _ in islice(sent_back, MOST_PAUSED))


def read_history(path: Path) -> History:
    """What the journal at *path* says. One that cannot be read says nothing here, and the claim reports it."""
    content = json_object(path)
    if not isinstance(content, dict):
        return NEVER_TRIED
    listed: object = content.get("attempts")
    attempts = cast("list[object]", listed) if isinstance(listed, list) else []
    records = [cast("dict[str, Any]", each) for each in attempts if isinstance(each, dict)]
    last = records[-1] if records else {}
    since, until = time_in(last, "ended_at"), time_in(content, "not_before")
    return History(
        tries=len(attempts),
        counted=sum(record.get("counted") is not False for record in records),
        next_try=None if since is None or until is None else Delay(since, until),
        # One that is unavailable for a cause of its own has a time to wait for.
        paused=0 if until is not None else _trailing(records),
        needs_person=text_in(content, "needs_person") or "",
    )


def is_carried_out(layout: Layout, document: str) -> bool:
    """Whether a runner has begun with the claimed *document*: then there is a run record, and it was not abandoned."""
    lock = json_object(layout.lock(document))
    if not isinstance(lock, dict):
        return False
    task_id, attempt = text_in(lock, "task_id") or "", whole_in(lock, "attempt")
    if not naming.is_task_id(task_id) or attempt is None:
        return False
    run = json_object(layout.attempt(TaskId(task_id), attempt) / RUN)
    return isinstance(run, dict) and run.get("abandoned") is not True
