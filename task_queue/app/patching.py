"""A program changes a task while it waits: all that it asks for, or nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from task_queue.app import revising
from task_queue.app.installation import Installation
from task_queue.app.submitting import checked_document
from task_queue.app.tracking import KeptDocuments, demand_change
from task_queue.domain.actions import Action, demand
from task_queue.domain.document.writing import with_keys, without_keys
from task_queue.domain.errors import TaskMovedOn, TaskQueueError
from task_queue.domain.policy import Caller, NotAllowedError


class DocumentChangedError(TaskMovedOn):
    """The document is not the one that its reader saw."""


class HashNeededError(TaskQueueError):
    """A new document needs the hash of the one that it replaces."""


@dataclass(frozen=True, slots=True)
class TaskPatch:
    """What is to be different; None: nothing of that."""

    priority: int | None = None
    not_before: datetime | None = None
    at_once: bool = False
    """Nothing is to delay it any more."""
    source: str | None = None
    document: str | None = None


def patch(
    installation: Installation,
    task_id: str,
    wanted: TaskPatch,
    caller: Caller,
    kept: KeptDocuments,
    *,
    sha256: str | None = None,
) -> None:
    """Change a waiting task, if its document has the hash *sha256* or none is given; else nothing is changed.

    Raises UnknownTaskError, NotAllowedError, ActionUnavailableError where it does not wait, DocumentChangedError,
    HashNeededError for a new document without it, and as ``revising.edit`` and ``submitting.submit`` do.
    """
    task = demand_change(installation, task_id, caller, kept)
    demand(Action.EDIT, task.id, task.state)
    if wanted.document is not None and sha256 is None:
        raise HashNeededError("a new document needs the hash of the one that it replaces")
    before = revising.opened(installation, task.id)
    if sha256 is not None and hashlib.sha256(before.data).hexdigest() != sha256:
        raise DocumentChangedError(f"the document of {task.id} is not the one that was read")
    goes_to = None if wanted.source in {None, task.source} else wanted.source
    if goes_to is not None and not caller.policy.allows_source(goes_to):
        raise NotAllowedError(f"the policy does not allow source {goes_to}", code="outside_policy")
    if wanted == TaskPatch(priority=wanted.priority) and wanted.priority is not None:
        revising.prioritize(installation, task.id, wanted.priority)
        return
    text = _patched(before.text if wanted.document is None else wanted.document, wanted)
    if text == before.text and goes_to is None:
        return
    text = checked_document(
        installation, text, source_id=goes_to or task.source, caller=caller, submitted_by=task.submitted_by
    )
    revising.edit(installation, before, text, source_id=goes_to)


def _patched(text: str, wanted: TaskPatch) -> str:
    given = {
        "priority": None if wanted.priority is None else str(wanted.priority),
        "not_before": None if wanted.not_before is None else wanted.not_before.isoformat(),
    }
    if wanted.at_once:
        text = without_keys(text, ("not_before",))
    return with_keys(text, {key: value for key, value in given.items() if value is not None})
