"""What can be asked and done about tasks. Each function sends nothing: the clients carry out what it returns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from task_queue.app.tracked_task import TaskPage, TrackedTask
from task_queue.client.answers import (
    Accepted,
    AppendedAnswer,
    ArtifactsAnswer,
    BulkAnswers,
    EventPage,
    TaskText,
    TranscriptLines,
)
from task_queue.client.operation import HttpAnswer, Operation, asking, part, reading, telling, text_in

_LANDING_TAKES_S = 3600.0
_FILES_TAKE_S = 600.0
_TASK = reading(TrackedTask)


def submit(
    *,
    source: str | None = None,
    document: str | None = None,
    title: str | None = None,
    description: str | None = None,
    instructions: str | None = None,
    labels: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    **keys: object,
) -> Operation[Accepted]:
    """Hand in a document, or a title with a description or instructions; *keys* are any of the front matter.

    Without *idempotency_key* a new one is used: an answer that gets lost makes no second task. Give one that is kept
    where the program itself may be started again.
    """
    content = {
        "source": source,
        "document": document,
        "title": title,
        "description": description,
        "instructions": instructions,
        "labels": labels,
        **keys,
    }
    key = {"idempotency-key": idempotency_key or uuid4().hex}
    return telling("POST", "/v1/tasks", _accepted, content, headers=key, repeatable=True)


def task(task_id: str) -> Operation[TrackedTask]:
    """All that is known of a task."""
    return asking(_at(task_id), _TASK)


def tasks(
    *,
    status: Sequence[str] = (),
    source: Sequence[str] = (),
    type: Sequence[str] = (),  # noqa: A002 - the name in the URL
    outcome: Sequence[str] = (),
    executor: Sequence[str] = (),
    capability: str | None = None,
    submitted_by: str | None = None,
    label: Sequence[str] = (),
    attention: bool | None = None,
    text: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    sort: str = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Operation[TaskPage]:
    """Tasks that match, some at a time: ``cursor`` of the answer leads to what follows."""
    return asking("/v1/tasks", reading(TaskPage), **locals())


def withdraw(task_id: str) -> Operation[TrackedTask]:
    """Cancel a task that waits."""
    return telling("DELETE", _at(task_id), _TASK)


def cancel(task_id: str) -> Operation[TrackedTask]:
    """Stop a task that waits or runs; its status is ``cancelled`` once no process of it is left."""
    return telling("POST", _at(task_id, "cancel"), _TASK)


def change(
    task_id: str,
    *,
    priority: int | None = None,
    not_before: datetime | None = None,
    source: str | None = None,
    document: str | None = None,
    etag: str | None = None,
) -> Operation[TrackedTask]:
    """Change a task while it waits. A new document needs the *etag* of the one that it replaces."""
    content = {"priority": priority, "not_before": not_before, "source": source, "document": document}
    headers = None if etag is None else {"if-match": etag}
    return telling("PATCH", _at(task_id), _TASK, content, headers=headers)


def retry(
    task_id: str,
    *,
    fresh: bool = False,
    begin_at: str | None = None,
    note: str = "",
    model: str | None = None,
) -> Operation[TrackedTask]:
    """Try a failed task again; *fresh*: in a new session and a new checkout.

    *begin_at* is the first phase that is done again (``verify``, ``audit``, ``land``), *note* is for the agent.
    """
    content = {"fresh": fresh, "begin_at": begin_at, "note": note, "model": model}
    return telling("POST", _at(task_id, "retry"), _TASK, content)


def acknowledge(task_id: str) -> Operation[TrackedTask]:
    """Say that what needs attention was seen."""
    return telling("POST", _at(task_id, "acknowledge"), _TASK, repeatable=True)


def land(task_id: str) -> Operation[TrackedTask]:
    """Merge the branch of a completed task; takes as long as its checks."""
    return telling("POST", _at(task_id, "land"), _TASK, takes_s=_LANDING_TAKES_S)


def undo(task_id: str) -> Operation[TrackedTask]:
    """Take back what a completed task has landed; takes as long as its checks."""
    return telling("POST", _at(task_id, "undo"), _TASK, repeatable=True, takes_s=_LANDING_TAKES_S)


def bulk(
    action: str, *, priority: int | None = None, dry_run: bool = False, **chosen: object
) -> Operation[BulkAnswers]:
    """``cancel``, ``retry``, ``acknowledge`` or ``priority`` for each task that matches *chosen*."""
    content = {"filter": chosen, "action": action, "priority": priority, "dry_run": dry_run}
    return telling("POST", "/v1/tasks/bulk", reading(BulkAnswers), content, repeatable=dry_run)


def document(task_id: str) -> Operation[TaskText]:
    """The Markdown document."""
    return asking(_at(task_id, "document"), lambda reply: TaskText(text_in(reply), reply.headers["etag"]))


def result(task_id: str) -> Operation[dict[str, Any]]:
    """The result of a task that has ended, as its file has it."""
    return asking(_at(task_id, "result"), _object)


def report(task_id: str) -> Operation[str]:
    """The report of a task that has ended, in Markdown."""
    return asking(_at(task_id, "report"), text_in)


def diff(task_id: str) -> Operation[bytes]:
    """What the commits of a task change, as a patch."""
    return asking(_at(task_id, "diff"), _bytes)


def artifacts(task_id: str) -> Operation[ArtifactsAnswer]:
    """Files that were handed in with a task."""
    return asking(_at(task_id, "artifacts"), reading(ArtifactsAnswer))


def artifact(task_id: str, name: str, *, offset: int = 0, length: int | None = None) -> Operation[bytes]:
    """*length* bytes of a file from *offset* on, or fewer where it ends before; None: all of them."""
    path = _at(task_id, "artifacts", part(name))
    is_part = offset > 0 or length is not None
    last = "" if length is None else offset + length - 1
    headers = {"range": f"bytes={offset}-{last}"} if is_part else {}
    good = (206,) if is_part else (200,)
    return Operation("GET", path, _bytes, headers=headers, repeatable=True, takes_s=_FILES_TAKE_S, good=good)


def transcript(
    task_id: str, *, attempt: int | None = None, offset: int = 0, limit: int = 2**18
) -> Operation[TranscriptLines]:
    """Whole lines of an attempt's transcript, from *offset* on; at most *limit* bytes."""
    return asking(_at(task_id, "transcript"), _transcript_lines, attempt=attempt, offset=offset, limit=limit)


def events_page(
    *, task: str | None = None, after: str | None = None, types: Sequence[str] = (), limit: int = 100
) -> Operation[EventPage]:
    """Events that are there, of all tasks or of one."""
    if task is not None:
        return asking(_at(task, "events"), reading(EventPage), after=after, limit=limit)
    return asking("/v1/events", reading(EventPage), after=after, limit=limit, type=types)


def append_event(
    task_id: str,
    type: str,  # noqa: A002 - the name in the body
    *,
    message: str | None = None,
    level: str | None = None,
    percent: float | None = None,
    step: str | None = None,
    claim: str | None = None,
) -> Operation[AppendedAnswer]:
    """Append a ``note`` or a ``log`` with a *message*, or ``progress``. *claim*: ``ID;epoch=N`` of a worker."""
    content = {"type": type, "message": message, "level": level, "percent": percent, "step": step}
    headers = None if claim is None else {"task-queue-claim": claim}
    return telling("POST", _at(task_id, "events"), reading(AppendedAnswer), content, headers=headers)


def _at(task_id: str, *parts: str) -> str:
    return "/".join(("/v1/tasks", part(task_id), *parts))


def _accepted(reply: HttpAnswer) -> Accepted:
    return Accepted(_TASK(reply), reply.headers.get("idempotency-replayed") == "true")


def _bytes(reply: HttpAnswer) -> bytes:
    return reply.data


def _object(reply: HttpAnswer) -> dict[str, Any]:
    return dict(json.loads(reply.data))


def _transcript_lines(reply: HttpAnswer) -> TranscriptLines:
    return TranscriptLines(reply.data, int(reply.headers["next-offset"]), int(reply.headers["attempt"]))
