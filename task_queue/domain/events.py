"""What happened, in the past tense. Daemon, runner and commands emit these; see ``event_record`` for their names.

They become lines of the daemon's log and of the event log. Neither may hold a document's text, an agent's words
or a secret; only what others append to the event log (``TaskProgress``, ``TaskLog``, ``TaskNote``) is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from task_queue.domain.attempt.figures import TaskFigures
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
class SourcePaused:
    """A person paused it: what runs goes on, nothing more is claimed."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceDrained:
    """A person drained it, and nothing of it runs any more."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceResumed:
    source: str


@dataclass(frozen=True, slots=True)
class TaskDropped:
    """The worker saw a complete document for the first time."""

    source: str
    task_id: TaskId


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
class AttemptStarted:
    """By its runner, once it has shown itself; ``executor`` is ``claude`` or the name of a configured command."""

    source: str
    task_id: TaskId
    attempt: int
    executor: str
    resumes: bool


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """One session of an agent, or one run of the checks; ``phase`` is as in the result's ``cost_by_phase``."""

    source: str
    task_id: TaskId
    attempt: int
    phase: str


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    source: str
    task_id: TaskId
    attempt: int
    phase: str
    took: timedelta


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The agent has answered; at most one a second. ``turn`` counts those of the attempt, ``tool`` is its next call."""

    source: str
    task_id: TaskId
    attempt: int
    phase: str | None
    turn: int
    tool: str | None


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Who works on it elsewhere says how far it is; ``percent`` never falls. Nothing is decided by it."""

    source: str
    task_id: TaskId
    attempt: int | None
    percent: float | None
    step: str | None
    by: str


@dataclass(frozen=True, slots=True)
class TaskLog:
    """A line that who works on it elsewhere has written."""

    source: str
    task_id: TaskId
    attempt: int | None
    level: str
    message: str
    by: str


@dataclass(frozen=True, slots=True)
class TaskNote:
    """A remark of a person or a program."""

    source: str
    task_id: TaskId
    attempt: int | None
    message: str
    by: str


@dataclass(frozen=True, slots=True)
class TaskSettled:
    """It ended for good; the figures are those of its result, over all attempts."""

    source: str
    task_id: TaskId
    attempt: int
    state: TaskState
    outcome: OutcomeKind
    reason: str
    took: timedelta
    turns: int
    cost_usd: float | None
    dead_letter: bool
    attention: tuple[str, ...] = ()
    """Of which kinds it needs a person: ``domain.attention``, or what a later release knows."""
    figures: TaskFigures | None = None
    """For statistics; events of earlier releases have none."""


@dataclass(frozen=True, slots=True)
class TaskReleased:
    """Back to pending; ``counted`` says whether the attempt counts, ``delay`` how long until the next."""

    source: str
    task_id: TaskId
    attempt: int
    outcome: OutcomeKind
    reason: str
    counted: bool
    delay: timedelta


@dataclass(frozen=True, slots=True)
class TaskRetried:
    """A person gave a failed task another try."""

    source: str
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class TaskLanded:
    """The branch of a task that had ended was merged later."""

    source: str
    task_id: TaskId
    said: str


@dataclass(frozen=True, slots=True)
class TaskUndone:
    """What the task had landed was taken back."""

    source: str
    task_id: TaskId
    said: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A person gave the task up; ``TaskSettled`` follows once it has ended."""

    source: str
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class TaskEdited:
    """Its document was changed or replaced while it ran; what ran is archived, the newer text is kept."""

    source: str
    task_id: TaskId
    attempt: int
    kept_as: str


@dataclass(frozen=True, slots=True)
class TaskRejected:
    source: str
    task_id: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class ScheduleFired:
    """A schedule put a task into the queue; ``why`` is why it is late, empty if it is on time."""

    source: str
    task_id: TaskId
    schedule: str
    due: datetime
    why: str


@dataclass(frozen=True, slots=True)
class ScheduleSkipped:
    """A due time leads to no task, because of earlier tasks of the schedule."""

    source: str
    schedule: str
    due: datetime
    why: str


@dataclass(frozen=True, slots=True)
class ScheduleMissed:
    """Due times passed unnoticed, and there will be no task for them; ``count`` is None where they are too many."""

    source: str
    schedule: str
    first: datetime
    last: datetime
    count: int | None
    why: str


@dataclass(frozen=True, slots=True)
class ScheduleBroken:
    """A schedule cannot be used as it is, or where ``schedule`` is empty none of the source."""

    source: str
    schedule: str
    why: str


@dataclass(frozen=True, slots=True)
class FileIgnored:
    source: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskStuck:
    """A waiting task cannot run before a person acts; again when the daemon starts. ``kind`` is one of attention."""

    source: str
    task_id: TaskId
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class BaseBroken:
    """A check that passed on an earlier commit of the target fails on the present one: the source is held."""

    source: str
    task_id: TaskId
    why: str


@dataclass(frozen=True, slots=True)
class TaskLimited:
    """An attempt met the account's usage limit; ``resets_at`` is None where none was announced."""

    source: str
    task_id: TaskId
    attempt: int
    reason: str
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountPaused:
    """Nothing is started on the account; ``source`` is the one whose attempt led to it."""

    source: str
    why: str
    until: datetime | None
    model: str | None = None
    """Only tasks of this model, or class of models, are held."""


@dataclass(frozen=True, slots=True)
class AccountResumed:
    """By the time, by an attempt that went well, or by a person."""

    why: str


@dataclass(frozen=True, slots=True)
class QueueStopped:
    """A person stopped everything; ``now`` ends what runs instead of suspending it."""

    now: bool


@dataclass(frozen=True, slots=True)
class QueueResumed:
    """A person let it go on after ``QueueStopped``."""


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """The daemon has taken over the file as it is now."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    pid: int
    version: str


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """In good order: after a kill it is missing."""

    pid: int


@dataclass(frozen=True, slots=True)
class PersonActed:
    """A command that changes something was given; ``options`` holds ids, flags and names, and no text of a task."""

    command: str
    source: str | None = None
    task_id: TaskId | None = None
    options: Mapping[str, str | int | bool] = field(default_factory=dict[str, "str | int | bool"])


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
    """A defect in the queue: this source stops until the daemon restarts, the others go on."""

    source: str
    traceback: str


Event = (
    SourceOpened
    | TaskStuck
    | BaseBroken
    | SourceClosed
    | SourceUnavailable
    | SourceRecovered
    | SourcePaused
    | SourceDrained
    | SourceResumed
    | TaskDropped
    | TaskClaimed
    | TaskAdopted
    | TaskRecovered
    | AttemptStarted
    | PhaseStarted
    | PhaseEnded
    | TurnTaken
    | TaskProgress
    | TaskLog
    | TaskNote
    | TaskSettled
    | TaskReleased
    | TaskRetried
    | TaskLanded
    | TaskUndone
    | CancelAsked
    | TaskEdited
    | TaskRejected
    | ScheduleFired
    | ScheduleSkipped
    | ScheduleMissed
    | ScheduleBroken
    | FileIgnored
    | TaskLimited
    | AccountPaused
    | AccountResumed
    | QueueStopped
    | QueueResumed
    | ConfigurationChanged
    | DaemonStarted
    | DaemonStopped
    | PersonActed
    | WatchDegraded
    | WatchRestored
    | WorkerCrashed
)
