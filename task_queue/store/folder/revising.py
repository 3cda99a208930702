"""What a person changes of a task: the text of a waiting one, its source, and that it is there at all.

Each step is one rename. A kill leaves the task where it was or where it was to go, and the same call goes on.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import TaskMovedOn, TaskQueueError
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable
from task_queue.platform.lockfile import locked_itself
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.files import make_folder, remove_file
from task_queue.store.folder.holding import held
from task_queue.store.folder.intake import demand_room
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.needing import forget_need
from task_queue.store.folder.requeue import set_result_aside
from task_queue.store.folder.tied import why_tied


class Revising:
    """Of one source. Every method may raise EngineUnavailable, and TaskMovedOn: then nothing was changed."""

    def __init__(
        self, layout: Layout, archive: Archive, available: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._layout = layout
        self._archive = archive
        self._available = available

    def text(self, task_id: TaskId) -> bytes:
        """What its waiting document says now."""
        path = self._layout.pending / naming.document_of(task_id)
        with self._available():
            try:
                return durable.read_regular(path, limit=MAX_BYTES)[0]
            except FileNotFoundError as error:
                raise TaskMovedOn(f"task {task_id} does not wait any more") from error

    def rewrite(self, task_id: TaskId, change: Callable[[bytes], bytes]) -> None:
        """Put what *change* makes of its waiting document in the document's place; what *change* raises is raised."""
        with self._available(), held(self._layout, task_id) as data:
            durable.replace(self._layout.pending / naming.document_of(task_id), change(data))

    def move(
        self, task_id: TaskId, other: Layout, *, max_pending: int, change: Callable[[bytes], bytes]
    ) -> None:
        """Let it wait in the source of *other*, with what *change* makes of its text; what *change* raises is raised.

        Raises QueueFull, and TaskQueueError with the reason where it cannot go.
        """
        document = naming.document_of(task_id)
        with self._available(), held(self._layout, task_id) as data:
            changed = change(data)
            why = self._why_it_stays(task_id, other)
            if why is not None:
                raise TaskQueueError(f"task {task_id} cannot be moved: {why}")
            demand_room(other, max_pending)
            if changed != data:
                durable.replace(self._layout.pending / document, changed)
            try:
                durable.move(self._layout.pending / document, other.pending / document)
            except FileExistsError as error:
                raise TaskQueueError(
                    f"task {task_id} cannot be moved: {other.pending} has that name"
                ) from error

    def remove(self, task_id: TaskId, state: TaskState) -> Path:
        """Take a waiting or ended task, its result and its report out of the queue; where its document is kept."""
        document = naming.document_of(task_id)
        kept = self._layout.log(task_id) / f"removed-{uuid.uuid4().hex[:8]}.md"
        with self._available():
            make_folder(self._layout, kept.parent)
            if state is TaskState.PENDING:
                with held(self._layout, task_id):
                    durable.move(self._layout.pending / document, kept)
                    self._remove_companions(document, kept)
            else:
                self._remove_ended(task_id, self._layout.ended(state) / document, kept)
            artifacts = self._layout.artifacts(task_id)
            if os.path.lexists(artifacts):  # a later task of that name must not take them for its own
                durable.move(artifacts, kept.with_suffix(".artifacts"))
        return kept

    def _remove_ended(self, task_id: TaskId, ended: Path, kept: Path) -> None:
        try:
            with locked_itself(ended) as is_there:
                if not is_there or os.path.lexists(self._layout.lock(ended.name)):
                    raise TaskMovedOn(f"task {task_id} is in use just now", hint="try again in a moment")
                # The document last: until it is away, the same command can be given again.
                set_result_aside(self._layout, self._archive, task_id)
                forget_need(self._layout, task_id)
                remove_file(self._layout, self._layout.acknowledgement(task_id))
                durable.move(ended, kept)
        except FileNotFoundError as error:
            if error.filename != str(ended):
                raise
            raise TaskMovedOn(f"task {task_id} is not in {ended.parent} any more") from error

    def _remove_companions(self, document: str, kept: Path) -> None:
        journal = self._layout.journal(document)
        if os.path.lexists(journal):
            durable.move(journal, kept.with_suffix(".attempts.json"))
        if os.path.lexists(self._layout.cancel(document)):
            remove_file(self._layout, self._layout.cancel(document))

    def _why_it_stays(self, task_id: TaskId, other: Layout) -> str | None:
        why = why_tied(self._layout, self._archive, task_id)
        if why is not None:
            return why
        if not other.pending.is_dir():
            return f"there is no folder {other.pending}"
        if other.pending.stat().st_dev != self._layout.pending.stat().st_dev:
            return f"{other.pending} is on another file system; remove it here, and add what is kept there"
        if Archive(other).state_of(task_id) is not None or os.path.lexists(other.log(task_id)):
            return f"{other.root} has or had a task of that name"
        return None
