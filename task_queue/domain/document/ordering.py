"""In which order waiting tasks run, and why each of them waits. Pure: time and states are arguments.

``backlog`` finds the next one without a walk over all; ``reasons_for`` says the same of each for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from task_queue.domain.attempt.retry import Delay
from task_queue.domain.document.choices import CLAUDE, OnDependencyFailure, WorkType
from task_queue.domain.document.duplicates import key_of
from task_queue.domain.document.naming import natural
from task_queue.domain.task import Task, TaskId, TaskState

if TYPE_CHECKING:
    from task_queue.domain.attempt.retry import Delay
    from task_queue.domain.document.settings import Settings  # its readers cost listings 10 ms
    from task_queue.domain.holds import Holds

StateOf = Callable[[TaskId], TaskState | None]
"""The state of a task, None for one that is nowhere."""

_LOOP_SHOWN = 3
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
    type: WorkType = WorkType.GENERAL
    capabilities: tuple[str, ...] = ()
    executor: str = CLAUDE
    model: str | None = None
    names_workspace: bool = False
    """It works in a directory of its own, wherever its source's tasks work."""

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
    predicate: str = ""
    """The reason as what a sentence says of the task, where that is not the same."""


Next = Ready | DependencyFailed | OnHold


def waiting_for(
    task: Task, settings: Settings, *, dropped_at: datetime, history: History = NEVER_TRIED, lacks: str = ""
) -> Waiting:
    """What ordering needs of *task*, to which *settings* apply; *lacks* as in ``Waiting``."""
    return Waiting(
        id=task.id,
        dropped_at=dropped_at,
        title=task.title,
        lacks=lacks,
        key=key_of(settings.dedupe_key, task.body),
        **_of_history(history),
        **_of_settings(settings),
    )


def under(settings: Settings, task: Waiting) -> Waiting:
    """*task* after other *settings* came into force for it, by a configuration that lacks nothing for it."""
    return replace(task, lacks="", **_of_settings(settings))


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
        "type": settings.type,
        "capabilities": settings.capabilities,
        "executor": settings.executor,
        "model": settings.model,
        "names_workspace": settings.workspace is not None,
    }


def place_in_order(task: Waiting) -> tuple[int, datetime, str, TaskId]:
    """Sorts waiting tasks: higher priority first, then the older, then by name, numbers in it by their value."""
    return -task.priority, task.dropped_at, natural(task.id), task.id


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
            held = AwaitsDependency(f"waits for {dependency}{missing}", needs_person=state is None)
    return held


def reasons_for(
    waiting: Iterable[Waiting],
    *,
    now: datetime,
    state_of: StateOf,
    running: int = 0,
    holds: Holds | None = None,
    everywhere: Mapping[TaskId, Waiting] | None = None,
) -> Iterator[tuple[Waiting, str]]:
    """Each task and why it waits, for people, in the order in which they would run.

    *running* are ahead of all. *everywhere*: what waits in all sources, in which loops of dependencies are
    looked for; only among *waiting* if it is None.
    """
    tasks = sorted(waiting, key=place_in_order)
    known = {task.id: task for task in tasks} if everywhere is None else everywhere
    loops = _loops(known)
    everything, screen = (None, None) if holds is None else (holds.everything, holds.agents)
    ahead = running
    for task in tasks:
        stands = standing(task, state_of)
        if isinstance(stands, AwaitsDependency) and task.id in loops and known.get(task.id) is task:
            yield task, _through(task.id, loops[task.id])
        elif (until := delayed_until(task, now)) is not None:
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


def stuck_in(
    waiting: Iterable[Waiting], *, state_of: StateOf, everywhere: Mapping[TaskId, Waiting]
) -> Iterator[tuple[Waiting, str]]:
    """Those of *waiting* that only a person can free, and why, in the order in which they would run.

    *everywhere* is what waits in all sources. Whatever else they wait for (a time, an account) does not matter.
    """
    found = sorted((task for task in waiting if task.may_have_to_stand), key=place_in_order)
    loops = _loops(everywhere) if any(task.depends_on for task in found) else {}
    for task in found:
        stands = standing(task, state_of)
        if not isinstance(stands, AwaitsDependency):
            continue
        if task.id in loops and everywhere.get(task.id) is task:
            yield task, _through(task.id, loops[task.id])
        elif stands.needs_person:
            yield task, stands.predicate or stands.reason


def _behind(ahead: int) -> str:
    if ahead == 0:
        return "next"
    return "behind 1 other" if ahead == 1 else f"behind {ahead} others"


def _loops(waiting: Mapping[TaskId, Waiting]) -> dict[TaskId, tuple[TaskId, ...]]:
    """For each task that is found to depend on itself, the loop that it is part of.

    Each dependency is followed once, so of loops that share tasks only some are found: never none.
    """
    tasks = {task_id: task for task_id, task in waiting.items() if task.depends_on}
    loops: dict[TaskId, tuple[TaskId, ...]] = {}
    done: set[TaskId] = set()
    for start, task in tasks.items():
        if start in done:
            continue
        path = {start: iter(task.depends_on)}
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
