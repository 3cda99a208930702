"""``tasks ack``: a person has seen what results say, and needs nothing more of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from task_queue.app.answers import ListedSource
from task_queue.app.attention import of_results
from task_queue.app.files import record, records_in, text_in
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.actions import Action, ActionUnavailableError
from task_queue.domain.attention import Acknowledgement
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.store.folder.acknowledgements import acknowledge as keep

_ALL = 10**9
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The tasks whose results are seen; those that had been seen before, too, where they were named."""

    task_ids: tuple[TaskId, ...]
    schema_version: int = SCHEMA_VERSION


def acknowledge(installation: Installation, task_ids: Iterable[TaskId]) -> Acknowledged:
    """Nothing is kept unless all of *task_ids* have ended with a result that can be read.

    Raises UnknownTaskError, TaskQueueError, ConfigError, OSError.
    """
    installation.demand_trust()
    sources = installation.sources()
    seen = [
        (listed, task_id, _seen_of(listed, task_id))
        for task_id in task_ids
        for listed in [_ended(sources, task_id)]
    ]
    for listed, task_id, what in seen:
        keep(listed.folders, task_id, what, at=installation.now().isoformat())
        record_action(installation, "tasks ack", source=listed.id, task_id=task_id)
    return Acknowledged(tuple(task_id for _, task_id, _ in seen))


def acknowledge_all(installation: Installation, source_id: str | None = None) -> Acknowledged:
    """Every result that needs attention now, of all sources or of *source_id*. Raises as ``acknowledge``."""
    needing = (each.task_id for each in of_results(installation.sources(source_id), named=_ALL))
    return acknowledge(installation, dict.fromkeys(task_id for task_id in needing if task_id is not None))


def _ended(sources: tuple[ListedSource, ...], task_id: TaskId) -> ListedSource:
    listed, state = found(sources, task_id)
    if not state.ended:
        raise ActionUnavailableError(
            f"task {task_id} is {state}: only what ended can be acknowledged",
            action=Action.ACKNOWLEDGE,
            state=state,
            hint=f"see what it waits for with: task-queue tasks show {task_id}",
        )
    return listed


def _seen_of(listed: ListedSource, task_id: TaskId) -> Acknowledgement:
    content = record(listed.folders.result(task_id))
    if content is None or isinstance(content, str):
        raise TaskQueueError(
            f"task {task_id} has no result that can be read, so there is nothing to acknowledge"
        )
    sentences = frozenset(text_in(need, "sentence") or "" for need in records_in(content, "attention"))
    return Acknowledgement(text_in(content, "completed_at") or "", sentences)
