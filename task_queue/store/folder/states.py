"""Where a task is, by the place of its document; in one source and over all.

Apart from the archive, because reading commands need no more: the records' classes cost them 7 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from task_queue.domain.document import naming
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import past_end


def state_in(layouts: Iterable[Layout], task_id: TaskId) -> TaskState | None:
    """The state of *task_id* in the first source that knows it, None if none does."""
    for layout in layouts:
        state = state_of(layout, task_id)
        if state is not None:
            return state
    return None


def place_in(layouts: Mapping[str, Layout], task_id: TaskId) -> tuple[str, TaskState] | None:
    """The same with the id of that source; *layouts* are by source."""
    for source, layout in layouts.items():
        state = state_of(layout, task_id)
        if state is not None:
            return source, state
    return None


def state_of(layout: Layout, task_id: TaskId) -> TaskState | None:
    """Where the task that was dropped as *task_id* is now, None if this source does not know it.

    Where it was dropped more than once, the last of its numbered records counts.
    """
    document = naming.document_of(task_id)
    if os.path.lexists(layout.pending / document):
        locked = os.path.lexists(layout.lock(document))
        return TaskState.RUNNING if locked else TaskState.PENDING
    record = last_record(layout, task_id)
    return None if record is None else known_end(layout, record)


def last_record(layout: Layout, task_id: TaskId) -> TaskId | None:
    """The id under which the task that was dropped as *task_id* ended last: numbered from the second time on."""
    latest = task_id if known_end(layout, task_id) else None
    number = 2
    while known_end(layout, naming.numbered(task_id, number)):
        latest = naming.numbered(task_id, number)
        number += 1
    return latest


def known_end(layout: Layout, record: TaskId) -> TaskState | None:
    """How *record* ended, also where its files are gone by ``retention``; None if that is not known."""
    state = ended_state(layout, record)
    if state is not None:
        return state
    past = past_end(layout, record)
    return None if past is None else past.state


def ended_state(layout: Layout, record: TaskId) -> TaskState | None:
    """COMPLETED or FAILED by where the document of *record* is, None if in neither folder."""
    document = naming.document_of(record)
    for state in ENDED:
        if os.path.lexists(layout.ended(state) / document):
            return state
    return None
