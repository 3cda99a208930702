"""Why tasks that could run are not started, in the words that the worker and every front end use.

Pure: the account, what was spent and the time are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from task_queue.domain.attempt.account import (
    Account,
    ModelPause,
    models_paused,
    pause_ends_at,
    utilization_now,
    utilization_told_until,
)
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.readers import spelled
from task_queue.domain.hours import Hours
from task_queue.domain.local_time import next_midnight
from task_queue.domain.source_pause import SourcePause, SourcePauseState, go_on_command

STOPPED = "everything is stopped; go on with: task-queue resume"


@dataclass(frozen=True, slots=True)
class Held:
    """Why a task is held, and what ends that: a time, a person, or else what runs at the moment."""

    why: str
    until: datetime | None = None
    """From then on it may start, as far as is known."""
    needs_person: bool = False
    """Nothing changes before a person acts, also where it is tried again at *until*."""
    of_one: bool = False
    """Others of its source, or of its kind, may start."""


class Hold(Protocol):
    """Says of a task whether it is held; depends on nothing of it but what ``backlog`` groups tasks by."""

    def on(self, task: Waiting) -> Held | None: ...

    def __call__(self, task: Waiting) -> str | None:
        """Why *task* is held."""
        held = self.on(task)
        return None if held is None else held.why


@dataclass(frozen=True, slots=True)
class AgentHold(Hold):
    """Keeps agents from starting, while commands may run; with *below*, only those of a lower priority."""

    held: Held
    below: int | None = None

    def on(self, task: Waiting) -> Held | None:
        holds = task.uses_agent and (self.below is None or task.priority < self.below)
        return self.held if holds else None


@dataclass(frozen=True, slots=True)
class ModelHold(Hold):
    """Keeps the agents of one source from starting that would use a model which is paused."""

    held: Held
    name: str
    pause: ModelPause
    source: str

    def on(self, task: Waiting) -> Held | None:
        holds = task.uses_agent and self.pause.concerns(self.name, task.model, source=self.source)
        return self.held if holds else None


@dataclass(frozen=True, slots=True)
class ReturnedHold(Hold):
    """Keeps those from trying a paused account that came back because of it, while others may."""

    held: Held

    def on(self, task: Waiting) -> Held | None:
        return self.held if task.uses_agent and task.paused else None


@dataclass(frozen=True, slots=True)
class AnyOf(Hold):
    """The first of several that holds a task."""

    holds: tuple[Hold, ...]

    def on(self, task: Waiting) -> Held | None:
        return next((held for hold in self.holds if (held := hold.on(task)) is not None), None)


def any_of(*holds: Hold | None) -> Hold | None:
    """All of them as one, None if there is none."""
    found = tuple(hold for hold in holds if hold is not None)
    return found[0] if len(found) == 1 else AnyOf(found) if found else None


@dataclass(frozen=True, slots=True)
class Holds:
    """What is known to hold back the tasks of one source."""

    everything: str | None = None
    """Why nothing of the source starts."""
    agents: Hold | None = None


def source_held(source: str, pause: SourcePause | None, *, by_configuration: bool) -> str | None:
    """Why nothing new of *source* starts because a person wants that, with a command or in the configuration."""
    if pause is not None:
        return source_paused(source) if pause.state is SourcePauseState.PAUSED else source_drains(source)
    return paused_by_configuration(source) if by_configuration else None


def source_paused(source: str) -> str:
    return f"the source is paused; go on with: {go_on_command(source, by_configuration=False)}"


def source_drains(source: str) -> str:
    command = go_on_command(source, by_configuration=False)
    return f"the source is drained: only what runs is finished; go on with: {command}"


def paused_by_configuration(source: str) -> str:
    return f"the configuration pauses the source; go on with: {go_on_command(source, by_configuration=True)}"


def unreviewed(limit: int) -> str:
    """Of a source with that many results that wait for a person, or more."""
    results = "1 result waits" if limit == 1 else f"{limit} results or more wait"
    return (
        f"{results} for a person (limits.unreviewed): nothing new starts before one of these is settled or"
        " acknowledged; see them with: task-queue status"
    )


def base_broken(
    source: str, *, repository: str, target: str, commit: str, commands: Iterable[str], task_id: str
) -> str:
    return (
        f"{target} of {repository} is broken at {commit[:12]}: {', '.join(commands)} passed on an earlier commit and"
        f" fails there (found by {task_id}); the source goes on when {target} is at another commit, or with:"
        f" {go_on_command(source, by_configuration=False)}"
    )


def account_paused(account: Account, now: datetime) -> AgentHold | None:
    """None from the time on at which a task may try the account."""
    until = pause_ends_at(account, now)
    if until is None:
        return None
    why = f"account paused until {until.astimezone():%Y-%m-%d %H:%M}: {account.why}"
    return AgentHold(Held(why, until, account.needs_person))


def models_held(account: Account, now: datetime, *, source: str) -> Hold | None:
    """Of tasks whose model, or class of models, is paused."""
    return any_of(
        *(
            ModelHold(
                Held(
                    f"{name} paused until {pause.paused_until.astimezone():%Y-%m-%d %H:%M}: {pause.why}",
                    pause.paused_until,
                    pause.needs_person,
                ),
                name,
                pause,
                source,
            )
            for name, pause in models_paused(account, now)
        )
    )


def near_the_limit(
    account: Account, *, above: float | None, below: int | None, now: datetime
) -> AgentHold | None:
    """Holds priorities under *below* while more than the share *above* of the account's limit is used."""
    used = utilization_now(account, now)
    if used is None or above is None or below is None or used <= above:
        return None
    why = f"{used:.0%} of the usage limit are used: only priority {below} and above starts"
    return AgentHold(Held(why, utilization_told_until(account)), below)


def budget_spent(spent_today_usd: float, *, now: datetime) -> AgentHold:
    why = f"the daily budget is spent ({spent_today_usd:.2f} USD today); goes on at midnight"
    return AgentHold(Held(why, next_midnight(now)))


def starts_apart(gap: timedelta, *, last: datetime, now: datetime) -> Held | None:
    """While less than *gap* has passed since the *last* start; None also after the clock was set back."""
    until = last + gap
    if not last <= now < until:
        return None
    why = f"starts are {spelled(gap)} apart (limits.start_gap); the next one at {until.astimezone():%H:%M:%S}"
    return Held(why, until)


def outside_hours(hours: Hours | None, now: datetime) -> Held | None:
    """Of all tasks of a source whose *hours* do not include *now*; None within them, or without any."""
    if hours is None or hours.is_open(now):
        return None
    opens = hours.opens_at(now)
    until = "" if opens is None else f" before {opens.astimezone():%Y-%m-%d %H:%M}"
    return Held(f"outside the hours of the source: it starts nothing{until}", opens)
