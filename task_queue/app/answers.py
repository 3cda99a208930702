"""The answers of the reading commands. As JSON (``--json``) they have these keys, and ``schema_version``.

Built, shown and forgotten: never compared nor printed, so they go without the methods for it, whose
generation at import cost ``status`` 10 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from task_queue.domain.actions import Action, available_actions
from task_queue.domain.attempt.current_phase import CurrentPhase
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.task import TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.domain.document.layers import Layers
    from task_queue.domain.hours import Hours
    from task_queue.store.folder.layout import Layout

SCHEMA_VERSION = 1


@dataclass(eq=False, repr=False, slots=True)
class ListedSource:
    """A source as the configuration lists it."""

    id: str
    folders: Layout
    layers: Callable[[], Layers]
    """What the configuration says of each of its tasks."""
    description: str = ""
    paused: bool = False
    trouble: str | None = None
    """What of its configuration keeps its tasks from running until a person acts."""
    daily_budget_usd: float | None = None
    max_pending: int | None = None
    """With so many waiting it is full for commands."""
    hours: Hours | None = None
    """In which it starts tasks; None: at every hour."""
    is_remote: bool = False
    """Workers claim its tasks through the API."""
    slots: int = 1
    """How many of its tasks run at the same time."""

    @property
    def has_schedules(self) -> bool:
        """Whether something is where its recurring tasks are, be it usable or not."""
        try:
            return any(not name.startswith(".") for name in os.listdir(self.folders.schedules))  # noqa: PTH208 - names only
        except OSError:
            return os.path.lexists(self.folders.schedules)


@dataclass(eq=False, repr=False, slots=True)
class Count:
    """``more`` says that counting stopped at ``number``."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


@dataclass(eq=False, repr=False, slots=True)
class DaemonView:
    """The daemon, as far as its state file and its process show."""

    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    version: str | None = None
    why: str | None = None
    """Why it counts as down, None if it never ran or ended in order."""
    config_error: str | None = None
    """The configuration was changed and cannot be used; the daemon goes on with the older one."""
    warnings: tuple[str, ...] = ()
    """To know, but nothing that a person must do."""
    stopped: bool = False
    """It has noticed that a person stopped everything."""
    held_still: bool = False
    """A signal, a debugger or its cgroup keeps it from doing anything."""


@dataclass(eq=False, repr=False, slots=True)
class PausedModelView:
    """Of one model, or one class of models."""

    paused_until: datetime
    why: str


@dataclass(eq=False, repr=False, slots=True)
class AccountView:
    """Who pays, whether anything may start on the account, what was spent."""

    expected: str = "any"
    """Which kind of account the configuration expects."""
    paused_until: datetime | None = None
    why: str | None = None
    paused_models: Mapping[str, PausedModelView] = field(default_factory=dict[str, PausedModelView])
    """Models, or classes of models, whose tasks are held, although the account is open to others."""
    utilization: float | None = None
    """Share of the usage limit used up at the last report, 0 to 1."""
    spent_today_usd: float = 0.0
    estimated_today_usd: float = 0.0
    """How much of it is an estimate: agents that were ended before they could report."""
    daily_budget_usd: float | None = None
    stopped: bool = False
    """A person stopped everything."""


@dataclass(eq=False, repr=False, slots=True)
class MeasureView:
    """How much of a limit of a running task is used up, over all its attempts; the time is that of this one."""

    name: str
    """``time`` (seconds), ``turns`` or ``cost`` (USD, an estimate)."""
    used: float
    limit: float


@dataclass(eq=False, repr=False, slots=True)
class RunningView:
    """One claimed task, its runner, and where its agent stands."""

    task_id: TaskId
    title: str
    attempt: int
    worker: str
    since: datetime | None
    runner: str
    """``alive``, ``starting`` (no runner has reported yet), ``gone``, ``elsewhere`` (it lives in another PID namespace
    or on another machine), ``unknown`` (whether it lives there) or ``remote`` (``worker`` has claimed it)."""
    resumes: bool = False
    cancelling: bool = False
    turn: int | None = None
    turns_counted: bool = True
    """False where only the end of a long transcript was read: there were more turns."""
    tool: str | None = None
    """The last one, with the most useful part of its arguments."""
    retrying: str | None = None
    """The model could not be reached, and the agent tries again."""
    cost_usd: float | None = None
    """Of this attempt so far, an estimate; without those answers that were not read."""
    silent_s: float | None = None
    marker: str = ""
    phase: CurrentPhase | None = None
    """None where its transcript does not say it, or not yet."""
    step: str = ""
    """The phase in words; empty where it is not known."""
    percent: int | None = None
    """How far it has come; never falls within an attempt, and is never 100. None where others say too little."""
    ends_at: datetime | None = None
    """When it is expected to end; only where that was asked for."""
    measures: tuple[MeasureView, ...] = ()
    """One for each limit that is set and known to be used up to some part."""


@dataclass(eq=False, repr=False, slots=True)
class EstimateView:
    """How long a task is expected to take and what to cost; seconds and USD, null where not known."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    median_s: float
    """Half of such tasks took no longer."""
    p90_s: float
    """Nine of ten took no longer."""
    median_usd: float | None
    """Half of them cost no more."""
    p90_usd: float | None
    """Nine of ten cost no more."""
    samples: int
    """Tasks of the same type and source that it is made from; 0: a guess by type and length of the text."""
    is_guess: bool
    """Too few such tasks have ended."""
    starts_at: datetime | None = None
    """None where it cannot be foreseen: something must happen first that has no time."""
    ends_at: datetime | None = None
    """If it then takes as long as half of such tasks."""


@dataclass(eq=False, repr=False, slots=True)
class WaitingView:
    """One task in ``pending/``, and why it does not run yet."""

    task_id: TaskId
    title: str
    priority: int
    why: str
    attempts: int = 0
    not_before: datetime | None = None
    """Before then it does not start: by its own word, or because it was tried just now."""
    next_attempt_at: datetime | None = None
    """The same, only where it was tried."""
    attempts_left: int | None = None
    """Of its ``max_attempts``; None where its document is not read."""
    position: int | None = None
    """From 1, what runs in its source included; None where the order is not known, and for one that never starts."""
    ahead: tuple[TaskId, ...] = ()
    """Of what runs or waits before it, the first few in their order."""
    type: str = ""
    needs_person: bool = False
    """It came back too often, and is not tried again before a person asks for it."""
    estimate: EstimateView | None = None
    """Only where it was asked for."""


@dataclass(eq=False, repr=False, slots=True)
class FileView:
    """A file in ``pending/`` that is not a task, or that keeps one from being run."""

    name: str
    why: str
    needs_person: bool = False


@dataclass(eq=False, repr=False, slots=True)
class SourceView:
    """One source: how it is served, what it holds, what is odd in its folder."""

    id: str
    path: Path
    description: str
    state: str
    """``serving``, ``unavailable``, ``paused``, ``draining``, ``drained``, ``stopped``, or ``unserved`` while no
    daemon serves it."""
    why: str | None
    watch: str | None
    """``events``, or ``sweep`` where the folder cannot be watched."""
    pending: Count
    completed: Count
    failed: Count
    running: tuple[RunningView, ...] = ()
    waiting: tuple[WaitingView, ...] = ()
    """In the order in which they would run; at most as many as were asked for."""
    order_known: bool = True
    """False where too many wait to look into each: then the order is that of the names."""
    ignored: tuple[FileView, ...] = ()
    locks: tuple[FileView, ...] = ()
    """Locks that are not claims of the queue's runners, explained."""
    thread_id: int | None = None
    task_id: str | None = None
    watch_why: str | None = None
    """Why there are no events."""
    paused_by: str | None = None
    """``command`` or ``configuration`` where nothing new starts because a person wants that."""
    max_pending: int | None = None
    """With so many waiting, ``tasks add`` refuses more; a dropped file is always accepted."""
    ended: tuple[TaskLine, ...] = ()
    """Those that ended last, the newest first; as many as were asked for."""
    empty_at: datetime | None = None
    """When all of it that can be foreseen has ended; only where that was asked for."""
    next_due: datetime | None = None
    """When the next recurring task is due."""
    next_schedule: str | None = None
    """Which one that is."""


@dataclass(eq=False, repr=False, slots=True)
class AttentionView:
    """One thing that needs a person, and the command that settles it or shows what there is to decide."""

    kind: str
    """One of ``domain.attention.AttentionKind``, or what a later release has written."""
    sentence: str
    command: str
    task_id: TaskId | None = None
    source: str | None = None


def needs_attention(attention: tuple[AttentionView, ...]) -> bool:
    """What exit code 3 of ``status`` and ``tasks list`` means."""
    return bool(attention)


@dataclass(eq=False, repr=False, slots=True)
class ApiView:
    """The API as its process said last. ``listen``: where it can be reached, empty while it does not run."""

    running: bool
    listen: tuple[str, ...] = ()
    pid: int | None = None
    started_at: datetime | None = None


@dataclass(eq=False, repr=False, slots=True)
class StatusView:
    """The whole screen."""

    daemon: DaemonView
    account: AccountView
    config: Path
    sources: tuple[SourceView, ...]
    attention: tuple[AttentionView, ...]
    """What a person should look at; ``status`` exits with 3 when there is any."""
    api: ApiView | None = None
    """None where there is none, and none is configured."""
    fleet: FleetSight | None = None
    """What came in at other hosts; null where this machine has joined no fleet."""
    schema_version: int = SCHEMA_VERSION


@dataclass(eq=False, repr=False, slots=True)
class EndingView:
    """How a task ended, in the words of every list."""

    outcome: str
    cause: str = ""
    """Why it did not succeed, in one line."""
    landed: str = ""
    """Where its commits are; empty without any."""

    def __str__(self) -> str:
        told = ", ".join(part for part in (self.outcome, self.landed) if part)
        return f"{told}: {self.cause}" if self.cause else told


@dataclass(eq=False, repr=False, slots=True)
class TaskLine:
    """One task in a list."""

    task_id: TaskId
    source: str
    state: TaskState
    title: str
    note: str
    """Why it waits, what it does, or how it ended."""
    at: datetime | None = None
    cost_usd: float | None = None
    needs_person: bool = False
    """It waits, and is not tried again before a person asks for it."""
    type: str = ""
    """Of its work, as its document says; empty where that is not read."""
    position: int | None = None
    """As ``WaitingView`` has it, with the two that follow."""
    attempts_left: int | None = None
    next_attempt_at: datetime | None = None
    dead_letter: bool = False
    """It failed, and its attempts are used up."""
    ending: EndingView | None = None
    """None where it has not ended, or its result cannot be read."""
    available_actions: tuple[Action, ...] = ()
    """What may be done with it now."""

    def __post_init__(self) -> None:
        if not self.available_actions:  # an answer that was read again has them
            self.available_actions = available_actions(self.state, needs_person=self.needs_person)


@dataclass(eq=False, repr=False, slots=True)
class ListView:
    """Tasks by source and state; ``more`` says that the limit cut some off."""

    tasks: tuple[TaskLine, ...]
    more: bool
    attention: tuple[AttentionView, ...] = ()
    """Of the queue and of these sources, as ``status`` has it, whatever is listed; ``tasks list`` exits with 3 when
    there is any."""
    fleet: FleetSight | None = None
    """As ``StatusView`` has it, of these sources and states."""
    schema_version: int = SCHEMA_VERSION


@dataclass(eq=False, repr=False, slots=True)
class AttemptView:
    """One try: its folder, and its line in the history once it has ended."""

    number: int
    folder: Path
    outcome: str | None = None
    reason: str | None = None
    counted: bool | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cost_usd: float | None = None
    estimated_usd: float = 0.0
    """How much of it is an estimate."""


@dataclass(eq=False, repr=False, slots=True)
class ShowView:
    """All that is known of one task."""

    task_id: TaskId
    source: str
    state: TaskState
    title: str
    document: Path
    result_path: Path
    """Where its result is written once it has ended."""
    report_path: Path
    waiting: WaitingView | None = None
    running: RunningView | None = None
    result: dict[str, Any] | None = None
    attempts: tuple[AttemptView, ...] = ()
    problems: tuple[str, ...] = ()
    attention: tuple[AttentionView, ...] = ()
    """What of it needs a person, as ``status`` has it."""
    available_actions: tuple[Action, ...] = ()
    """What may be done with it now."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        waits = self.waiting is not None and self.waiting.needs_person
        if not self.available_actions:  # as above
            self.available_actions = available_actions(self.state, needs_person=waits)


@dataclass(eq=False, repr=False, slots=True)
class LogsView:
    """Where the record of one task is."""

    task_id: TaskId
    source: str
    state: TaskState
    document: Path
    result_path: Path
    """Where its result is written once it has ended."""
    attempt: int
    attempts: tuple[int, ...]
    """Those that have begun, in order."""
    transcript: Path
    """Of that attempt; written from the moment at which its agent starts."""
    schema_version: int = SCHEMA_VERSION
