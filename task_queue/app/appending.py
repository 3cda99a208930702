"""Events that others append to a task: progress, lines of a log, notes. Nothing is ever decided by them."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.app.claim_names import ClaimName
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import record_of
from task_queue.domain.events import TaskLog, TaskNote, TaskProgress
from task_queue.domain.policy import AccessRole, Caller
from task_queue.domain.throttle import EventTokens
from task_queue.store.event_log import EventLog
from task_queue.store.folder.progress import note_progress


class TooManyEventsError(TaskQueueError):
    """More events were appended to a task than may be; ``wait_s`` says for how long."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("more events were appended to the task than may be in this time")
        self.wait_s = wait_s


class EventNotKeptError(TaskQueueError):
    """The event log cannot be written now."""


@dataclass(frozen=True, slots=True)
class AppendedProgress:
    percent: float | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class AppendedLine:
    message: str
    level: str | None = None
    """None: it is a note."""


class Appending:
    """Who appends, and by which right: as who works on the task, with *claim*, or as who operates the queue."""

    def __init__(
        self,
        installation: Installation,
        desk: WorkerDesk,
        tokens: EventTokens,
        caller: Caller,
        kept: KeptDocuments,
    ) -> None:
        self._installation = installation
        self._desk = desk
        self._tokens = tokens
        self._caller = caller
        self._kept = kept

    def append(
        self, task_id: str, content: AppendedProgress | AppendedLine, *, claim: str | None
    ) -> float | None:
        """How far the task is now, in percent, as far as was said.

        Raises UnknownTaskError, NotAllowedError, ClaimRefusedError, TooManyEventsError, EventNotKeptError, OSError.
        """
        task = tracked(self._installation, task_id, self._caller, self._kept)
        attempt: int | None = None
        if claim is None:
            self._caller.demand(AccessRole.OPERATE)
        else:
            name = ClaimName.parsed(claim)
            self._desk.demand_held(name, task.id, self._caller)
            attempt = name.epoch
        wait_s = self._tokens.wait_for(task.id, self._installation.clock.monotonic())
        if wait_s > 0:
            raise TooManyEventsError(wait_s)
        about, by = (task.source, task.id, attempt), self._caller.name
        now: float | None = None
        match content:
            case AppendedProgress(percent=percent, step=step):
                folders = self._installation.sources(task.source)[0].folders
                said = note_progress(folders, task.id, percent, step)
                now = said.percent
                self._emit(TaskProgress(*about, now, said.step, by))
            case AppendedLine(message=message, level=None):
                self._emit(TaskNote(*about, message, by))
            case AppendedLine(message=message, level=level):
                self._emit(TaskLog(*about, str(level), message, by))
        return now

    def _emit(self, event: TaskProgress | TaskLog | TaskNote) -> None:
        log = EventLog(self._installation.locations.events, warn=lambda _: None)
        try:
            if log.append(record_of(event)) is None:
                raise EventNotKeptError("the event log cannot be written now")
        finally:
            log.close()
