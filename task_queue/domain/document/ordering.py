"""Which waiting task comes next, and why each of the others waits. Pure: time and states are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document.choices import CLAUDE, OnDependencyFailure
from task_queue.domain.task import Task, TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.domain.document.settings import Settings  # its readers cost listings 10 ms

StateOf = Callable[[TaskId], TaskState | None]
"""The state of a task, None for one that is nowhere."""

_LOOP_SHOWN = 3


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
    depends_on: tuple[TaskId, ...] = ()
    on_dependency_failure: OnDependencyFailure = OnDependencyFailure.BLOCK
    dedupe_key: str | None = None
    capabilities: tuple[str, ...] = ()
    executor: str = CLAUDE
    names_workspace: bool = False
    """It works in a directory of its own, wherever its source's tasks work."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Claim it and run it."""

    task: Waiting


@dataclass(frozen=True, slots=True)
class Doomed:
    """Claim it and settle it as failed, without running it: a task that it depends on failed."""

    task: Waiting
    reason: str


Next = Ready | Doomed


def waiting_for(
    task: Task, settings: Settings, *, dropped_at: datetime, next_try: Delay | None = None
) -> Waiting:
    """What ordering needs of *task*, to which *settings* apply; *next_try* comes from its journal."""
    return Waiting(
        id=task.id,
        dropped_at=dropped_at,
        title=task.title,
        priority=settings.priority,
        not_before=settings.not_before,
        next_try=next_try,
        depends_on=settings.depends_on,
        on_dependency_failure=settings.on_dependency_failure,
        dedupe_key=settings.dedupe_key,
        capabilities=settings.capabilities,
        executor=settings.executor,
        names_workspace=settings.workspace is not None,
    )


def delayed_until(task: Waiting, now: datetime) -> datetime | None:
    """Before when *task* may not run; None if it need not wait for a time."""
    own = task.not_before if task.not_before is not None and task.not_before > now else None
    tried_again = task.next_try.ends_at(now) if task.next_try is not None else None
    if own is None or tried_again is None:
        return own or tried_again
    return max(own, tried_again)


def next_task(waiting: Iterable[Waiting], *, now: datetime, state_of: StateOf) -> Next | None:
    """The first task in order that need not wait, None if all must. One pass, without sorting."""
    best: Waiting | None = None
    doom: Doomed | None = None
    for task in waiting:
        if delayed_until(task, now) is not None:
            continue
        if best is not None and not _before(task, best):
            continue
        standing = _standing(task, state_of) if task.depends_on else None
        if not isinstance(standing, _Held):
            best, doom = task, standing
    return doom or (Ready(best) if best else None)


def next_due(waiting: Iterable[Waiting], now: datetime) -> datetime | None:
    """The earliest time after *now* at which a delayed task's wait ends."""
    times = (delayed_until(task, now) for task in waiting)
    return min((time for time in times if time is not None), default=None)


def reasons_for(
    waiting: Iterable[Waiting], *, now: datetime, state_of: StateOf, running: int = 0
) -> dict[TaskId, str]:
    """Why each task waits, for people, in the order in which they would run; *running* are ahead of all."""
    tasks = sorted(waiting, key=lambda task: (-task.priority, task.dropped_at, task.id))
    loops = _loops({task.id: task for task in tasks if task.depends_on})
    reasons: dict[TaskId, str] = {}
    ahead = running
    for task in tasks:
        if task.id in loops:
            reasons[task.id] = _through(task.id, loops[task.id])
        elif (until := delayed_until(task, now)) is not None:
            reasons[task.id] = f"delayed until {until.astimezone():%Y-%m-%d %H:%M:%S}"
        else:
            standing = _standing(task, state_of)
            match standing:
                case None:
                    reasons[task.id] = _behind(ahead)
                    ahead += 1
                case Doomed():
                    reasons[task.id] = f"will fail: {standing.reason}"
                case _Held():
                    reasons[task.id] = standing.reason
                case _:
                    assert_never(standing)
    return reasons


@dataclass(frozen=True, slots=True)
class _Held:
    reason: str


def _before(task: Waiting, other: Waiting) -> bool:
    # Spelled out: a tuple for each of 100,000 tasks costs three times as much.
    if task.priority != other.priority:
        return task.priority > other.priority
    if task.dropped_at != other.dropped_at:
        return task.dropped_at < other.dropped_at
    return task.id < other.id


def _standing(task: Waiting, state_of: StateOf) -> Doomed | _Held | None:
    """What keeps *task* from running, if anything; a failed dependency outweighs one still to come."""
    held: _Held | None = None
    for dependency in task.depends_on:
        state = state_of(dependency)
        if state is TaskState.FAILED:
            match task.on_dependency_failure:
                case OnDependencyFailure.FAIL:
                    return Doomed(task, f"it depends on {dependency}, which failed")
                case OnDependencyFailure.BLOCK:
                    return _Held(f"blocked by {dependency} (failed)")
                case OnDependencyFailure.RUN:
                    continue
                case _:
                    assert_never(task.on_dependency_failure)
        if held is None and state is not TaskState.COMPLETED:
            held = _Held(f"waits for {dependency}" + (" (there is no such task)" if state is None else ""))
    return held


def _behind(ahead: int) -> str:
    if ahead == 0:
        return "next"
    return "behind 1 other" if ahead == 1 else f"behind {ahead} others"


def _loops(tasks: Mapping[TaskId, Waiting]) -> dict[TaskId, tuple[TaskId, ...]]:
    """For each task that is found to depend on itself, the loop that it is part of.

    Each dependency is followed once, so of loops that share tasks only some are found: never none.
    """
    loops: dict[TaskId, tuple[TaskId, ...]] = {}
    done: set[TaskId] = set()
    for start in tasks:
        if start in done:
            continue
        path = {start: iter(tasks[start].depends_on)}
        while path:
            tip = next(reversed(path))
            dependency = next(path[tip], None)
            if dependency is None:
                path.popitem()
                done.add(tip)
            elif dependency in path:
                trail = tuple(path)
                loop = trail[trail.index(dependency) :]
                for member in loop:
                    loops.setdefault(member, loop)
            elif dependency in tasks and dependency not in done:
                path[dependency] = iter(tasks[dependency].depends_on)
    return loops


def _through(task_id: TaskId, loop: tuple[TaskId, ...]) -> str:
    place = loop.index(task_id)
    others = loop[place + 1 :] + loop[:place]
    if not others:
        return "depends on itself"
    more = f" and {len(others) - _LOOP_SHOWN} more" if len(others) > _LOOP_SHOWN else ""
    return f"depends on itself through {', '.join(others[:_LOOP_SHOWN])}{more}"
