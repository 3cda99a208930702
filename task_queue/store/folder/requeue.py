"""A person tries a failed task again: its history first, then its earlier result out of the way, then its document."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from dataclasses import replace

from task_queue.domain.attempt.results import journal_of_retry
from task_queue.domain.attempt.retry_wish import RetryWish
from task_queue.domain.document import naming
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.model import Journal
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.lockfile import locked_itself
from task_queue.platform.records import encode
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.files import make_folder, read_record, replace_file
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.needing import forget_need


class Requeue:
    """Of one source. May be killed anywhere: ``finish`` goes on. Raises OSError."""

    def __init__(self, layout: Layout, archive: Archive, touch: Callable[[str], None]) -> None:
        self._layout = layout
        self._archive = archive
        self._touch = touch

    def start(self, task_id: TaskId, wish: RetryWish) -> None:
        """Raises UnknownTaskError if it did not fail, waits already, or another process was first."""
        document = naming.document_of(task_id)
        ended = self._layout.ended(TaskState.FAILED) / document
        if self._let_go_on(document, wish):
            return
        if not os.path.lexists(ended):
            raise UnknownTaskError(
                f"task {task_id} is not in {ended.parent}",
                hint="see what is there with: task-queue tasks list",
            )
        if os.path.lexists(self._layout.pending / document):
            raise UnknownTaskError(f"{document} is in pending/ already", hint="rename one of the two")
        with locked_itself(ended) as locked:
            if not locked:
                raise UnknownTaskError(f"task {task_id} was retried by another process just now")
            result = self._archive.result_of(task_id)
            attempts = result.attempts if result else ()
            self._write(document, journal_of_retry(task_id, attempts, wish))
            self._bring_back(task_id)

    def _let_go_on(self, document: str, wish: RetryWish) -> bool:
        """Whether the task waits for a person in pending/; then it is tried again."""
        waiting = self._layout.pending / document
        if not os.path.lexists(waiting):
            return False
        with locked_itself(waiting) as locked:
            journal = read_record(Journal, self._layout.journal(document))
            if not locked or not isinstance(journal, Journal) or not journal.needs_person:
                return False
            wish = replace(wish, fresh=wish.fresh or (journal.fresh and wish.begin_at is None))
            self._write(document, journal_of_retry(journal.task_id, journal.attempts, wish))
        self._touch(naming.journal_of(document))
        return True

    def _write(self, document: str, journal: Journal) -> None:
        replace_file(self._layout, self._layout.journal(document), encode(journal))

    def finish(self) -> None:
        """One that was killed on its way: its journal waits, its document is still where it ended."""
        for path in self._layout.pending.glob(".task-*.attempts.json"):
            journal = read_record(Journal, path)
            if not isinstance(journal, Journal) or not naming.is_task_id(journal.task_id):
                continue
            document = naming.document_of(journal.task_id)
            ended = self._layout.ended(TaskState.FAILED) / document
            theirs = (self._layout.pending / document, self._layout.lock(document))
            if path != self._layout.journal(document) or any(os.path.lexists(other) for other in theirs):
                continue
            with contextlib.suppress(FileNotFoundError), locked_itself(ended) as locked:
                if locked:
                    self._bring_back(journal.task_id)

    def _bring_back(self, task_id: TaskId) -> None:
        document = naming.document_of(task_id)
        set_result_aside(self._layout, self._archive, task_id)
        # Before the document is back: the next settle may come at once, and adds its own.
        forget_need(self._layout, task_id)
        durable.move(self._layout.ended(TaskState.FAILED) / document, self._layout.pending / document)
        self._touch(document)
        self._touch(naming.journal_of(document))


def set_result_aside(layout: Layout, archive: Archive, task_id: TaskId) -> None:
    """Keep the earlier result and report in the task's log folder, out of the place of others. Raises OSError."""
    last = max(archive.attempts_used(task_id), default=0)
    for path in (layout.result(task_id), layout.report(task_id)):
        if os.path.lexists(path):
            make_folder(layout, layout.log(task_id))
            kind = path.parent.name.removesuffix("s")
            aside = f"{kind}-{last}-{uuid.uuid4().hex[:8]}{path.suffix}"
            durable.move(path, layout.log(task_id) / aside)
