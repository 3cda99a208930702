"""What a source knows of its tasks beyond those that wait: where each ended, and which names are taken.

A task that was dropped under a name that is taken already gets a number, so that no earlier result is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from task_queue.domain.document import naming
from task_queue.domain.model import Journal, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder import states
from task_queue.store.folder.files import read_record
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import past_end


class Archive:
    """Of one source. Only reads; raises OSError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def state_of(self, task_id: TaskId) -> TaskState | None:
        return states.state_of(self._layout, task_id)

    def ended_state(self, record: TaskId) -> TaskState | None:
        return states.ended_state(self._layout, record)

    def free_record(self, task_id: TaskId) -> TaskId:
        """*task_id*, or with a number where that name belongs to an earlier task."""
        number, candidate = 1, task_id
        while self._is_taken(candidate) or self._is_used_by_another(candidate, task_id):
            number += 1
            candidate = naming.numbered(task_id, number)
        return candidate

    def attempts_used(self, task_id: TaskId) -> Iterator[int]:
        folder = self._layout.log(task_id)
        for entry in folder.iterdir() if folder.is_dir() else ():
            prefix, _, number = entry.name.partition("-")
            if prefix == "attempt" and number.isdigit():
                yield int(number)
        past = past_end(self._layout, task_id)
        if past is not None:
            yield past.attempts

    def journal_beside(self, document: str) -> Journal | str | None:
        """The history of *document*; where there is one that cannot be read, why."""
        journal = read_record(Journal, self._layout.journal(document))
        if isinstance(journal, Journal) and not naming.is_task_id(journal.task_id):
            return f"unreadable: {journal.task_id!r} is not a task id"
        return journal

    def result_of(self, task_id: TaskId) -> Result | None:
        result = read_record(Result, self._layout.result(task_id))
        return None if isinstance(result, str) else result

    def _is_taken(self, task_id: TaskId) -> bool:
        return states.known_end(self._layout, task_id) is not None or os.path.lexists(
            self._layout.result(task_id)
        )

    def _is_used_by_another(self, record: TaskId, dropped_as: TaskId) -> bool:
        """A numbered record that a person retries is in pending/ under its own name; one that waits for
        its next attempt is named in the history beside its document."""
        own, first = naming.document_of(record), naming.document_of(naming.unnumbered(record))
        waits = any(os.path.lexists(path) for path in (self._layout.pending / own, self._layout.lock(own)))
        if waits and record != dropped_as:
            return True
        journal = self.journal_beside(first) if first not in {own, naming.document_of(dropped_as)} else None
        return isinstance(journal, Journal) and journal.task_id == record
