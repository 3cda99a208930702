"""In which order waiting tasks run, and why each of them waits. Pure: time and states are arguments.

``backlog`` finds the next one without a walk over all; ``reasons_for`` says the same of each for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_never

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document.choices import CLAUDE, Isolation, OnDependencyFailure, WorkType
from task_queue.domain.document.duplicates import key_of
from task_queue.domain.document.naming import natural
from task_queue.domain.task import Task, TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.domain.attempt.retry import Delay
    from task_queue.domain.document.settings import Settings  # its readers cost listings 10 ms
    from task_queue.domain.holds import Holds

StateOf = Callable[[TaskId], TaskState | None]
"""The state of a task, None for one that is nowhere."""

MOST_PAUSED = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    """What ordering needs to know of a waiting task; small, because there may be 100,000 of them."""

    id: TaskId
    dropped_at: datetime
    """The time in the name, else the file's mtime."""
    title: str = ""
    priority: int = 5
    not_before: datetime | None = None
    """The task's own; what delays its next try comes on top."""
    next_try: Delay | None = None
    tries: int = 0
    """Attempts that have ended."""
    counted: int = 0
    """Those of them that count towards ``max_attempts``."""
    paused: int = 0
    """How often in a row it came back because of the account, up to ``MOST_PAUSED``."""
    needs_person: str = ""
    """Why it is not tried again before a person asks for it."""
    lacks: str = ""
    """What the configuration in force lacks for it."""
    depends_on: tuple[TaskId, ...] = ()
    on_dependency_failure: OnDependencyFailure = OnDependencyFailure.BLOCK
    key: str | None = None
    """By what it is compared with others (``duplicates``), if its document asks for that."""
    max_attempts: int = 3
    capabilities: tuple[str, ...] = ()
    executor: str = CLAUDE
    is_audited_command: bool = False
    """The built-in agent audits what its command does."""
    model: str | None = None
    workspace: str | None = None
    """The directory that it names to work in; None: where its source's tasks work."""
    in_place: bool = True
    """It works in that directory, and not in a checkout of its own."""
    touches: tuple[str, ...] = ()
    type: str = WorkType.GENERAL
    submitted_by: str | None = None
    length: int = 0
    """Of its text, in characters: estimates go by it."""
    max_budget_usd: float | None = None
    ageing: timedelta | None = None
    """A level of priority is worth as much as that time of waiting; the same for all tasks of a configuration."""

    @property
    def uses_agent(self) -> bool:
        """Whether the built-in agent works for it, and the account pays."""
        return self.executor == CLAUDE or self.is_audited_command

    @property
    def counts_from(self) -> float:
        """What orders tasks first where they age, in seconds: since when it could run, earlier for each level of
        priority. Fixed while it waits, so that no order has to be made again as time passes.
        """
        if self.ageing is None:
            return 0.0
        since = self.dropped_at if self.not_before is None else max(self.dropped_at, self.not_before)
        return since.timestamp() - self.priority * self.ageing.total_seconds()

    @property
    def may_have_to_stand(self) -> bool:
        """Whether it may wait for something else than a time, a place or the account; see ``standing``."""
        return bool(self.depends_on or self.needs_person or self.lacks)

    def tried(self, history: History) -> Waiting:
        """The same task after what its history says."""
        return replace(self, **_of_history(history))


@dataclass(frozen=True, slots=True)
class History:
    """What of a task's journal bears on the order; see the fields of that name in ``Waiting``."""

    tries: int = 0
    counted: int = 0
    next_try: Delay | None = None
    paused: int = 0
    needs_person: str = ""


NEVER_TRIED = History()


@dataclass(frozen=True, slots=True)
class Ready:
    """Claim it and run it."""

    task: Waiting


@dataclass(frozen=True, slots=True)
class DependencyFailed:
    """Claim it and settle it as failed, without running it: a task that it depends on failed."""

    task: Waiting
    reason: str


@dataclass(frozen=True, slots=True)
class OnHold:
    """It could run, and so could others; but the admission lets none of them start."""

    task: Waiting
    reason: str


@dataclass(frozen=True, slots=True)
class AwaitsDependency:
    """It waits for a task that it depends on, or for a person."""

    reason: str
    needs_person: bool = False
    """Nothing but a person can end it."""
    is_missing: bool = False
    """What it waits for is nowhere, and may only not have been dropped yet."""
    predicate: str = ""
    """The reason as what a sentence says of the task, where that is not the same."""


Next = Ready | DependencyFailed | OnHold


def waiting_for(
    task: Task,
    settings: Settings,
    *,
    dropped_at: datetime,
    history: History = NEVER_TRIED,
    lacks: str = "",
    ageing: timedelta | None = None,
) -> Waiting:
    """What ordering needs of *task*, to which *settings* apply; *lacks* and *ageing* as in ``Waiting``."""
    return Waiting(
        id=task.id,
        dropped_at=dropped_at,
        title=task.title,
        length=len(task.body),
        lacks=lacks,
        key=key_of(settings.dedupe_key, task.body),
        ageing=ageing,
        **_of_history(history),
        **_of_settings(settings),
    )


def under(settings: Settings, task: Waiting, *, ageing: timedelta | None) -> Waiting:
    """*task* after other *settings* came into force for it, by a configuration that lacks nothing for it."""
    return replace(task, lacks="", ageing=ageing, **_of_settings(settings))


def _of_history(history: History) -> dict[str, Any]:
    return {
        "tries": history.tries,
        "counted": history.counted,
        "next_try": history.next_try,
        "paused": history.paused,
        "needs_person": history.needs_person,
    }


def _of_settings(settings: Settings) -> dict[str, Any]:
    return {
        "priority": settings.priority,
        "not_before": settings.not_before,
        "depends_on": settings.depends_on,
        "on_dependency_failure": settings.on_dependency_failure,
        "max_attempts": settings.max_attempts,
        "capabilities": settings.capabilities,
        "executor": settings.executor,
        "is_audited_command": settings.executor != CLAUDE and settings.uses_agent,
        "type": settings.type,
        "submitted_by": settings.submitted_by,
        "max_budget_usd": settings.max_budget_usd,
        "model": settings.model,
        "workspace": settings.workspace,
        "in_place": settings.isolation is Isolation.NONE,
        "touches": settings.touches,
    }


def place_in_order(task: Waiting) -> tuple[float, int, datetime, str, TaskId]:
    """Sorts waiting tasks: higher priority first, then the older, then by name, numbers in it by their value.

    Where tasks age, one goes first whose wait and priority together are worth more.
    """
    return task.counts_from, -task.priority, task.dropped_at, natural(task.id), task.id


def delayed_until(task: Waiting, now: datetime) -> datetime | None:
    """Before when *task* may not run; None if it need not wait for a time."""
    own = task.not_before if task.not_before is not None and task.not_before > now else None
    tried_again = task.next_try.ends_at(now) if task.next_try is not None else None
    if own is None or tried_again is None:
        return own or tried_again
    return max(own, tried_again)


def standing(task: Waiting, state_of: StateOf) -> DependencyFailed | AwaitsDependency | None:
    """What keeps *task* from running, if anything; a failed dependency outweighs one still to come."""
    why = f"waits: {task.lacks}" if task.lacks else task.needs_person
    held = AwaitsDependency(why, needs_person=True) if why else None
    for dependency in task.depends_on:
        state = state_of(dependency)
        if state is TaskState.FAILED:
            match task.on_dependency_failure:
                case OnDependencyFailure.FAIL:
                    return DependencyFailed(task, f"it depends on {dependency}, which failed")
                case OnDependencyFailure.BLOCK:
                    why = f"blocked by {dependency} (failed)"
                    return AwaitsDependency(why, needs_person=True, predicate=f"is {why}")
                case OnDependencyFailure.RUN:
                    continue
                case _:
                    assert_never(task.on_dependency_failure)
        if held is None and state is not TaskState.COMPLETED:
            missing = " (there is no such task)" if state is None else ""
            held = AwaitsDependency(
                f"waits for {dependency}{missing}", needs_person=state is None, is_missing=state is None
            )
    return held


def reasons_for(
    waiting: Iterable[Waiting],
    *,
    now: datetime,
    state_of: StateOf,
    running: int = 0,
    holds: Holds | None = None,
) -> Iterator[tuple[Waiting, str]]:
    """Each task and why it waits, for people, in the order in which they would run.

    *running* are ahead of all.
    """
    tasks = sorted(waiting, key=place_in_order)
    everything, screen = (None, None) if holds is None else (holds.everything, holds.agents)
    ahead = running
    for task in tasks:
        stands = standing(task, state_of)
        if (until := delayed_until(task, now)) is not None:
            yield task, f"delayed until {until.astimezone():%Y-%m-%d %H:%M:%S}"
        else:
            match stands:
                case None:
                    held = None if screen is None else screen(task)
                    if held is not None:
                        yield task, everything or held
                        continue
                    yield task, everything if everything and ahead == running else _behind(ahead)
                    ahead += 1
                case DependencyFailed():
                    yield task, f"will fail: {stands.reason}"
                case AwaitsDependency():
                    yield task, stands.reason
                case _:
                    assert_never(stands)


def stuck_in(waiting: Iterable[Waiting], *, state_of: StateOf) -> Iterator[tuple[Waiting, str]]:
    """Those of *waiting* that only a person can free, and why, in the order in which they would run.

    Whatever else they wait for (a time, an account) does not matter.
    """
    found = sorted((task for task in waiting if task.may_have_to_stand), key=place_in_order)
    for task in found:
        stands = standing(task, state_of)
        if isinstance(stands, AwaitsDependency) and stands.needs_person:
            yield task, stands.predicate or stands.reason


def _behind(ahead: int) -> str:
    if ahead == 0:
        return "next"
    return "behind 1 other" if ahead == 1 else f"behind {ahead} others"
