"""What a person or a program did through a command, for the event log.

Called once the act is done: what was refused did not happen. Nothing is said if the log cannot be written.
"""

from __future__ import annotations

from task_queue.app.installation import Installation
from task_queue.domain.events import Event, PersonActed
from task_queue.domain.task import TaskId


def record_action(
    installation: Installation,
    command: str,
    *more: Event,
    source: str | None = None,
    task_id: TaskId | None = None,
    **options: str | int | bool | None,
) -> None:
    """Write that *command* was given, and the events *more* that it made true.

    *options* are flags, ids and names, never a task's text or anything secret; None: not given.
    """
    from task_queue.store.event_log import EventLog  # commands that only read do without it

    given = {name: value for name, value in options.items() if value is not None}
    log = EventLog(installation.locations.events, warn=lambda _: None)
    for event in (PersonActed(command, source, task_id, given), *more):
        log.emit(event)
    log.close()
