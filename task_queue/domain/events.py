"""What happened, in the past tense. The worker and the daemon emit these; subscribers turn them into log lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState


@dataclass(frozen=True, slots=True)
class SourceOpened:
    source: str
    path: str


@dataclass(frozen=True, slots=True)
class SourceClosed:
    source: str


@dataclass(frozen=True, slots=True)
class SourceUnavailable:
    """Nothing of the source is claimed until ``SourceRecovered``."""

    source: str
    why: str


@dataclass(frozen=True, slots=True)
class SourceRecovered:
    source: str


@dataclass(frozen=True, slots=True)
class TaskClaimed:
    source: str
    task_id: TaskId
    attempt: int
    resumes: bool


@dataclass(frozen=True, slots=True)
class TaskAdopted:
    """A live runner of an earlier daemon was found and is waited for."""

    source: str
    task_id: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskRecovered:
    """A claim without a live runner was brought to a state that the table of the crash protocol names."""

    source: str
    task_id: TaskId
    repair: str


@dataclass(frozen=True, slots=True)
class TaskSettled:
    source: str
    task_id: TaskId
    state: TaskState
    outcome: OutcomeKind
    reason: str


@dataclass(frozen=True, slots=True)
class TaskReleased:
    """Back to pending; ``counted`` says whether the attempt counts, ``delay`` how long until the next."""

    source: str
    task_id: TaskId
    outcome: OutcomeKind
    reason: str
    counted: bool
    delay: timedelta


@dataclass(frozen=True, slots=True)
class TaskRejected:
    source: str
    task_id: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class FileIgnored:
    source: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AccountPaused:
    source: str
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class WatchDegraded:
    """Events of this source cannot be had; the sweep finds its tasks instead."""

    source: str
    why: str


@dataclass(frozen=True, slots=True)
class WatchRestored:
    """Events of a source arrive again after ``WatchDegraded``."""

    source: str


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """A defect of ours: this source stops until the daemon restarts, the others go on."""

    source: str
    traceback: str


Event = (
    SourceOpened
    | SourceClosed
    | SourceUnavailable
    | SourceRecovered
    | TaskClaimed
    | TaskAdopted
    | TaskRecovered
    | TaskSettled
    | TaskReleased
    | TaskRejected
    | FileIgnored
    | AccountPaused
    | WatchDegraded
    | WatchRestored
    | WorkerCrashed
)
