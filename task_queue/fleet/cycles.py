"""Which waiting tasks of a source closed a cycle of dependencies, over all sources and hosts of a fleet.

Each host writes down what the documents that it reads depend on, and judges by what is there: of a cycle it is the task
that was changed last, so all hosts find the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from task_queue.domain.document.cycles import Cycles
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Cursor


def note_dependencies(cursor: Cursor, source: str, waiting: Mapping[TaskId, tuple[TaskId, ...]]) -> None:
    """What tasks of *source* that wait depend on, where their rows say something else."""
    cursor.executemany(
        "UPDATE task SET depends_on = %(found)s WHERE source = %(source)s AND name = %(name)s "
        "AND state = 'pending' AND depends_on IS DISTINCT FROM %(found)s",
        [
            {"source": source, "name": name, "found": list(depends_on) or None}
            for name, depends_on in sorted(waiting.items())
        ],
    )


def closing_among(cursor: Cursor, source: str, dependent: Collection[TaskId]) -> Mapping[TaskId, str]:
    """Why each of the *dependent* tasks of *source* that closed a cycle did so."""
    cursor.execute(
        "WITH RECURSIVE reached AS (SELECT source, name, depends_on, changed_at FROM task "
        "WHERE source = %s AND name = ANY(%s) AND state = 'pending' AND depends_on IS NOT NULL "
        "UNION SELECT task.source, task.name, task.depends_on, task.changed_at FROM reached "
        "JOIN task ON task.name = ANY(reached.depends_on) "
        "WHERE task.state = 'pending' AND task.depends_on IS NOT NULL) SELECT * FROM reached",
        [source, list(dependent)],
    )
    reached = cursor.fetchall()
    cursor.execute(
        "SELECT DISTINCT ON (name) name, source, state FROM task WHERE name = ANY(%s) ORDER BY name, id DESC",
        [list({name for _, name, _, _ in reached})],
    )
    places = {TaskId(name): (str(of), TaskState(state)) for name, of, state in cursor.fetchall()}
    cycles = Cycles(places.get)
    for of, name, depends_on, changed_at in reached:
        cycles.put(of, TaskId(name), tuple(map(TaskId, depends_on)), int(changed_at.timestamp() * 1e9))
    return cycles.closing().get(source, {})
