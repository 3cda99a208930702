"""Which waiting tasks of a source are duplicates of others, over all sources and hosts of a fleet.

Each host writes down the keys that it finds in the documents it reads, and judges by those that are there. Two hosts
that find the same key at once both take theirs for the first; then the index ``task_key`` lets one of them run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from task_queue.domain.document import naming
from task_queue.domain.document.duplicates import Duplicates, Keyed, why_duplicate
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor


def duplicates_among(cursor: Cursor, source: str, waiting: Iterable[Waiting]) -> Mapping[TaskId, str]:
    """Why each of the *waiting* tasks of *source*, all with a key, that is a duplicate is one.

    From now on they do not keep others.
    """
    own = {task.id: task for task in waiting}
    known = Duplicates()
    cursor.execute(
        "SELECT source, name, dedupe, dropped_at, state = 'running', journal IS NOT NULL FROM task "
        "WHERE dedupe IS NOT NULL AND state IN ('pending', 'running') AND (source = %s OR dedupe = ANY(%s))",
        [source, list({task.key for task in own.values()})],
    )
    noted: dict[TaskId, str] = {}
    for of, name, key, dropped_at, runs, begun in cursor.fetchall():
        if of == source and not runs:
            noted[name] = key
        else:
            at = naming.time_in(naming.document_of(name)) or dropped_at
            known.put(Keyed(of, name, key, at, runs=runs, begun=begun))
    for task in own.values():
        known.put(Keyed(source, task.id, task.key or "", task.dropped_at, begun=task.tries > 0))
    firsts = {name: first for name in own if (first := known.first_before((source, name))) is not None}
    keys = {name: None if name in firsts or name not in own else own[name].key for name in own.keys() | noted}
    _note(cursor, source, {name: key for name, key in keys.items() if key != noted.get(name)})
    return {name: why_duplicate(first, source=source) for name, first in firsts.items()}


def _note(cursor: Cursor, source: str, keys: Mapping[TaskId, str | None]) -> None:
    if not keys:
        return
    cursor.executemany(
        "UPDATE task SET dedupe = %s WHERE source = %s AND name = %s AND state = 'pending'",
        [(key, source, name) for name, key in sorted(keys.items())],
    )
