"""From a claimed task to what its worker gets: the document with the settings in force, and where the work begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.naming import branch_of
from task_queue.domain.document.readers import spelled
from task_queue.domain.document.settings import KEYS, Settings
from task_queue.domain.document.writing import with_keys
from task_queue.domain.errors import GitError
from task_queue.domain.model import Claim
from task_queue.domain.task import Task, TaskId
from task_queue.git.base_bundles import keep_base
from task_queue.git.guarding import guarded
from task_queue.git.program import Git
from task_queue.git.repository import branch_at, head_of, root_of
from task_queue.git.starting_point import starting_point
from task_queue.ports.claims import WorkOrder
from task_queue.ports.executor import Dependency

_OF_THE_DOCUMENT = frozenset({"title", "labels", "submitted_by", "workspace"})
"""They stand in it or nowhere; and where the server's checkout is, no worker needs to know."""


def work_order(
    claim: Claim,
    task: Task,
    settings: Settings,
    document: str,
    *,
    allowance_usd: float | None,
    repository: str | None,
    checkout: Git | None,
    trusted: Path,
    dependencies: Sequence[Dependency],
) -> WorkOrder:
    """*settings* are those of this attempt: bounds of the task less what earlier attempts used.

    *checkout*: git in the server's own; None where it has none. Raises GitError, TaskFileError.
    """
    base, target = (
        (None, None) if checkout is None else _beginning(claim.task_id, checkout, trusted, dependencies)
    )
    return WorkOrder(
        task_id=claim.task_id,
        attempt=claim.attempt,
        session_id=claim.session_id,
        document=with_settings(document, task, settings),
        repository=repository,
        base_commit=base,
        branch=branch_of(claim.task_id),
        target=target,
        allowance_usd=allowance_usd,
    )


def with_settings(document: str, task: Task, settings: Settings) -> str:
    """*document* with every setting in force that is not what the program takes by itself. Raises TaskFileError."""
    return with_keys(document, dict(_in_force(task, settings)))


def _in_force(task: Task, settings: Settings) -> Iterator[tuple[str, Given]]:
    usual = Settings()
    for key in KEYS:
        if key.name in _OF_THE_DOCUMENT:
            continue
        value: object = getattr(settings, key.name)
        is_usual = value == getattr(usual, key.name) and not (
            key.name == "workflow" and settings.executor != CLAUDE
        )
        if is_usual and key.name not in task.given:
            continue
        if key.name in task.given and task.given[key.name] == value:
            continue
        yield key.name, _given(value)


def _given(value: object) -> Given:
    match value:
        case tuple():
            return tuple(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] # texts
        case timedelta():
            return spelled(value)
        case datetime():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case None:
            return "none"
        case float():
            return f"{value:f}".rstrip("0").rstrip(".")
        case _:
            return str(value)


def _beginning(
    task_id: TaskId, checkout: Git, trusted: Path, dependencies: Sequence[Dependency]
) -> tuple[str | None, str | None]:
    """The commit on which the work begins, and the branch into which it is merged. Raises GitError."""
    root = root_of(checkout)
    if root is None:
        return None, None
    git = guarded(checkout.at(root), trusted)
    head = head_of(git)
    if head is None:
        raise GitError(f"{root} has no commit yet", hint="make the first one; the task begins by itself then")
    base = starting_point(git, head, dependencies)
    keep_base(git, task_id, base)
    return base, branch_at(git)
