"""Programs hand in tasks: from fields or a document, once for each idempotency key."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from task_queue.app import adding
from task_queue.app.adding import Draft
from task_queue.app.duplicates import demand_first
from task_queue.app.finding import state_of
from task_queue.app.installation import Installation
from task_queue.app.room import room_in
from task_queue.app.tracked_task import TrackedTask
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.app.user_actions import record_action
from task_queue.config.document import SourceEntry, layers_of, workspace_of
from task_queue.config.roots import demand_allowed, directory_named
from task_queue.domain.document import naming
from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.layers import naming_the_line, task_under
from task_queue.domain.document.settings import Settings, as_given
from task_queue.domain.document.writing import with_keys, without_keys
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.policy import Caller, TaskTraits, repository_name
from task_queue.domain.task import Task, TaskId
from task_queue.store.folder.intake import demand_room, drop_as, stem_of
from task_queue.store.folder.layout import Layout
from task_queue.store.submissions import KeptSubmission, Submissions, digest_of


class KeyReusedError(TaskQueueError):
    """The idempotency key was given before with something else."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Either ``document``, or ``title`` with a description or instructions; ``keys`` are those of the front matter."""

    source: str | None = None
    document: str | None = None
    title: str | None = None
    description: str | None = None
    instructions: str | None = None
    labels: Mapping[str, Any] | None = None
    keys: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Submitted:
    """``is_new``: False where the idempotency key led to a task that was accepted before."""

    task: TrackedTask
    is_new: bool


def submit(
    installation: Installation,
    submission: Submission,
    caller: Caller,
    kept: KeptDocuments,
    *,
    key: str | None = None,
) -> Submitted:
    """Hand in a task, or find the one that *key* led to before; once it is returned, it would survive a power cut.

    Raises TaskFileError if it could not run, NotAllowedError, KeyReusedError, DuplicateTask, QueueFull,
    EngineUnavailable, ConfigError, OSError.
    """
    installation.demand_trust()
    if key is None:
        source, text, task, _ = _checked(installation, submission, caller)
        # Two sources may have tasks of one name, and a program asks by the id alone.
        name = naming.document_of(_unique(task, installation, secrets.token_hex(4)))
        draft = Draft(text, name)
        task_id = adding.add(installation, draft, source=source).task_id
        return Submitted(tracked(installation, task_id, caller, kept), is_new=True)
    return _submit_once(installation, submission, caller, kept, key=f"{caller.name}\n{key}")


def _submit_once(
    installation: Installation, submission: Submission, caller: Caller, kept: KeptDocuments, *, key: str
) -> Submitted:
    submissions = Submissions(installation.locations.submissions)
    fingerprint = digest_of(repr(_content_of(submission)))
    with submissions.held():
        before = submissions.under(key)
        if before is not None and before.fingerprint != fingerprint:
            raise KeyReusedError(
                f"the idempotency key was given before, with another task: {before.task_id}",
                hint="use a new key for each task",
            )
        if before is None or not before.accepted:
            source, text, task, settings = _checked(installation, submission, caller)
            if before is None:
                demand_first(installation, task, settings, source=source.id)
                with room_in(installation, source) as max_pending:
                    demand_room(Layout(source.path), max_pending)
                task_id = _unique(task, installation, digest_of(key)[:8])
                before = KeptSubmission(task_id, source.id, fingerprint, installation.now())
                submissions.keep(key, before)
                is_new = True
            else:
                is_new = False
            entry = installation.entry(before.source)
            if state_of(installation.sources(), before.task_id) is None:
                is_new = drop_as(entry.path, text, before.task_id)
                record_action(installation, "tasks add", source=entry.id, task_id=before.task_id)
            submissions.keep(key, replace(before, accepted=True))
        else:
            is_new = False
    return Submitted(tracked(installation, before.task_id, caller, kept), is_new)


def _unique(task: Task, installation: Installation, suffix: str) -> TaskId:
    return TaskId(f"{stem_of(task.title, installation.now())}-{suffix}")


def forget_old_submissions(installation: Installation) -> None:
    """Idempotency keys that are older than a client may rely on. Raises OSError."""
    Submissions(installation.locations.submissions).forget_old(installation.now())


def checked_document(
    installation: Installation, text: str, *, source_id: str, caller: Caller, submitted_by: str | None
) -> str:
    """*text* as the new document of a waiting task, with its submitter as before. Raises as ``submit``."""
    if submitted_by is None:
        document = without_keys(text, ("submitted_by",))
    else:
        document = with_keys(text, {"submitted_by": submitted_by})
    source = installation.entry(source_id)
    task, settings = task_under(
        layers_of(installation.content, source), document.encode(), TaskId("task-new")
    )
    caller.demand_submission(_traits(source, settings))
    _demand_workspace(installation, source, task, settings)
    return document


def _checked(
    installation: Installation, submission: Submission, caller: Caller
) -> tuple[SourceEntry, str, Task, Settings]:
    source = _source_for(installation, submission.source, caller)
    text = _document_of(submission, caller)
    task, settings = task_under(layers_of(installation.content, source), text.encode(), TaskId("task-new"))
    caller.demand_submission(_traits(source, settings))
    _demand_workspace(installation, source, task, settings)
    return source, text, task, settings


def _traits(source: SourceEntry, settings: Settings) -> TaskTraits:
    repository = None if source.repository is None else repository_name(source.repository)
    return TaskTraits(source.id, settings.type, settings.executor, settings.capabilities, repository)


def _source_for(installation: Installation, named: str | None, caller: Caller) -> SourceEntry:
    """One that *caller* may not know is answered like one that is not there."""
    entries = [each for each in installation.entries() if caller.policy.allows_source(each.id)]
    known = ", ".join(each.id for each in entries) or "none"
    if named is None and len(entries) == 1:
        return entries[0]
    found = next((each for each in entries if each.id == named), None)
    if found is None:
        what = "is needed" if named is None else f"is not known: '{named}'"
        raise TaskFileError(f"source {what}", hint=f"sources: {known}", keys=("source",))
    return found


def _document_of(submission: Submission, caller: Caller) -> str:
    values = dict(submission.keys)
    if submission.labels is not None:
        values["labels"] = json.dumps(submission.labels)
    values["submitted_by"] = caller.name
    text = submission.document
    if text is None:
        if not submission.title or "\n" in submission.title.strip():
            raise TaskFileError("title must be one line, where there is no document", keys=("title",))
        parts = (f"# {submission.title.strip()}", submission.description, submission.instructions)
        if not any(part and part.strip() for part in parts[1:]):
            raise TaskFileError(
                "description or instructions are needed, where there is no document", keys=("description",)
            )
        text = "\n\n".join(part.strip() for part in parts if part and part.strip()) + "\n"
    elif submission.title is not None:
        values["title"] = submission.title
    return with_keys(text, {name: _given(name, value) for name, value in values.items()})


def _given(name: str, value: object) -> Given:
    try:
        return as_given(value)
    except ValueError as error:
        raise TaskFileError(f"{name}: {error}", keys=(name,)) from None


def _content_of(submission: Submission) -> tuple[object, ...]:
    keys = json.dumps(dict(submission.keys), sort_keys=True)
    labels = json.dumps(submission.labels, sort_keys=True)
    words = (submission.title, submission.description, submission.instructions)
    return (submission.source, submission.document, *words, labels, keys)


def _demand_workspace(
    installation: Installation, source: SourceEntry, task: Task, settings: Settings
) -> None:
    """Raises TaskFileError if it is missing, or not under the owner's ``roots``."""
    base = source.project_workspace or installation.config.project_workspace
    with naming_the_line(task):
        if settings.workspace is None:
            directory = workspace_of(installation.content, source)
        else:
            directory = directory_named(settings.workspace, base=base)
            demand_allowed(directory, installation.config.workspace_roots())
        if directory is None or not os.path.isdir(directory):  # noqa: PTH112 - also where its name is too long
            where = (
                "there is no workspace" if directory is None else f"workspace {directory} is not a directory"
            )
            raise TaskFileError(where, keys=("workspace",))
