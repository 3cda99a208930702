"""What a person asks for: a file beside the document for a cancel, the way back from ``failed/`` for a retry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.document import naming
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.model import Claim
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.files import remove_file
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.requeue import Requeue


class FolderRequests:
    """Implements ports.requests.Requests."""

    def __init__(
        self,
        layout: Layout,
        *,
        archive: Archive,
        requeue: Requeue,
        claims: Callable[[], tuple[Claim, ...]],
        touch: Callable[[str], None],
        available: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._layout = layout
        self._archive = archive
        self._requeue = requeue
        self._claims = claims
        self._touch = touch
        self._available = available

    def requeue(self, task_id: TaskId, wish: RetryWish = NO_WISH) -> None:
        _demand_id(task_id)
        with self._available():
            self._requeue.start(task_id, wish)

    def request_cancel(self, task_id: TaskId) -> None:
        document = self._document_waiting_or_running(task_id)
        with self._available(), contextlib.suppress(FileExistsError):
            durable.publish(self._layout.cancel(document), b"{}\n")
        if self._ended_meanwhile(document):
            with self._available():  # or it would hit the next task of that name
                remove_file(self._layout, self._layout.cancel(document))
            raise UnknownTaskError(f"task {task_id} has ended already")
        self._touch(naming.cancel_of(document))

    def cancel_requested(self, claim: Claim) -> bool:
        return os.path.lexists(self._layout.cancel(claim.document))

    def document_is_gone(self, claim: Claim) -> bool:
        return not os.path.lexists(self._layout.document(claim))

    def _ended_meanwhile(self, document: str) -> bool:
        there = (self._layout.pending / document, self._layout.lock(document))
        return not any(os.path.lexists(path) for path in there)

    def _document_waiting_or_running(self, task_id: TaskId) -> str:
        _demand_id(task_id)
        document = task_id + ".md"
        if os.path.lexists(self._layout.pending / document):
            return document
        for claim in self._claims():
            if claim.task_id == task_id:
                return claim.document
        if self._archive.ended_state(task_id) is not None:
            raise UnknownTaskError(f"task {task_id} has ended already")
        raise UnknownTaskError(
            f"task {task_id} is neither waiting nor running in {self._layout.pending}",
            hint="see what is there with: task-queue tasks list",
        )


def _demand_id(task_id: TaskId) -> None:
    if not naming.is_task_id(task_id):
        raise UnknownTaskError(f"{task_id!r} is not a task id")
