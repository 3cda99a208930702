"""Recurring tasks: when each is due next and what became of its last times; one of them run by hand."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from task_queue.app.answers import ListedSource
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.store.folder.materialising import run_now
from task_queue.store.folder.schedule_files import (
    BrokenSchedule,
    ScheduleFiles,
    UnreadableLedgerError,
    kept_in,
    read_ledger,
    why_no_schedules,
)

if TYPE_CHECKING:
    from task_queue.domain.schedule.document import Schedule
    from task_queue.domain.schedule.ledger import Kept

_TOLD = 10


@dataclass(frozen=True, slots=True)
class DueView:
    """What became of one due time, or of several that were missed."""

    due: datetime
    """The last of several."""
    what: str
    """``fired``, ``skipped``, ``missed`` or ``by_hand``."""
    why: str
    task_id: TaskId | None
    count: int | None
    """None: too many to be counted."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One file of ``schedules/``; without a rule where it cannot be used."""

    name: str
    source: str
    path: Path
    trouble: str | None
    """Why it does not put tasks into the queue."""
    next_due: datetime | None = None
    """None if it comes due no more."""
    title: str = ""
    schedule: str = ""
    timezone: str = ""
    """Empty: the machine's."""
    overlap: str = ""
    catch_up: str = ""
    until: datetime | None = None
    told: tuple[DueView, ...] = ()
    """The newest first."""


@dataclass(frozen=True, slots=True)
class SchedulesView:
    schedules: tuple[ScheduleView, ...]
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class NextTime:
    due: datetime
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class NextTimesView:
    times: tuple[NextTime, ...]
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class RanByHand:
    task_id: TaskId
    source: str
    schema_version: int = 1


def schedules(installation: Installation, source_id: str | None = None) -> SchedulesView:
    """Of every source, or only *source_id*. Raises TaskQueueError if there is none of that name."""
    now = installation.now()
    listed = installation.sources(source_id)
    return SchedulesView(tuple(view for source in listed for view in schedules_in(source, now)))


def next_times(
    installation: Installation, name: str | None = None, *, source_id: str | None = None, count: int
) -> NextTimesView:
    """The next *count* due times, of all schedules or of those called *name*. Raises TaskQueueError."""
    now = installation.now()
    found: list[Iterator[NextTime]] = []
    views: list[ScheduleView] = []
    for source in installation.sources(source_id):
        for schedule, kept in _usable(source):
            after = now if kept is None else max(now, kept.upto)
            if name in {None, schedule.name}:
                found.append(_times(schedule, source.id, after))
        views += schedules_in(source, now)
    if name is not None:
        _demand(views, name)
    return NextTimesView(tuple(islice(heapq.merge(*found, key=lambda time: time.due), count)))


def run_by_hand(installation: Installation, name: str, *, source_id: str | None = None) -> RanByHand:
    """Put a task of the schedule *name* into the queue now, besides those that are due.

    Raises TaskQueueError if there is none, if several sources have one, or if it cannot be used.
    """
    now = installation.now()
    views = [view for source in installation.sources(source_id) for view in schedules_in(source, now)]
    view = _demand(views, name)
    layout = installation.sources(view.source)[0].folders
    task_id = run_now(layout, name, now=now, max_pending=installation.config.limits.max_pending)
    record_action(installation, "schedules run", source=view.source, task_id=task_id, schedule=name)
    return RanByHand(task_id, view.source)


def schedules_in(listed: ListedSource, now: datetime) -> Iterator[ScheduleView]:
    """Those of one source, by name; one without a name where none of it can be used."""
    layout = listed.folders
    try:
        trouble = why_no_schedules(layout)
        found = ScheduleFiles(layout).look() if trouble is None else ()
        kept = kept_in(layout, read_ledger(layout)) if found else {}
    except UnreadableLedgerError as error:
        trouble, found, kept = error.in_full, (), {}
    except OSError as error:
        trouble, found, kept = f"{error.filename or layout.schedules}: {error.strerror}", (), {}
    if trouble is not None:
        yield ScheduleView("", listed.id, layout.schedules, trouble)
    for each in sorted(found, key=lambda each: each.name):
        path = layout.schedules / f"{each.name}.md"
        if isinstance(each, BrokenSchedule):
            yield ScheduleView(each.name, listed.id, path, each.why)
        else:
            yield _view(listed, each, kept.get(each.name), path, now)


def _view(
    listed: ListedSource, schedule: Schedule, kept: Kept | None, path: Path, now: datetime
) -> ScheduleView:
    rule = schedule.rule
    told = () if kept is None else tuple(kept.told)[: -_TOLD - 1 : -1]
    return ScheduleView(
        schedule.name,
        listed.id,
        path,
        _why_rejected(listed, schedule),
        rule.next(now if kept is None else max(now, kept.upto)),
        schedule.title,
        rule.expression,
        rule.timezone,
        rule.overlap,
        rule.catch_up,
        rule.until,
        tuple(DueView(each.due, each.what, each.why, each.task_id, each.count) for each in told),
    )


def _why_rejected(listed: ListedSource, schedule: Schedule) -> str | None:
    """Why the configuration would let none of its tasks begin."""
    try:
        listed.layers().settings_of(schedule.given)
    except TaskFileError as error:
        return f"its tasks could not begin: {error.in_full}"
    return None


def _usable(listed: ListedSource) -> Iterator[tuple[Schedule, Kept | None]]:
    layout = listed.folders
    try:
        if why_no_schedules(layout) is None:
            kept = kept_in(layout, read_ledger(layout))
            for each in ScheduleFiles(layout).look():
                if not isinstance(each, BrokenSchedule):
                    yield each, kept.get(each.name)
    except (OSError, UnreadableLedgerError):
        return


def _times(schedule: Schedule, source: str, after: datetime) -> Iterator[NextTime]:
    return (NextTime(due, schedule.name, source) for due in schedule.rule.times(after))


def _demand(views: Sequence[ScheduleView], name: str) -> ScheduleView:
    """The one called *name*. Raises TaskQueueError."""
    found = [view for view in views if view.name == name and name]
    if len(found) == 1:
        return found[0]
    if found:
        sources = ", ".join(view.source for view in found)
        raise TaskQueueError(
            f"several sources have a schedule '{name}': {sources}", hint="name one with --source"
        )
    known = ", ".join(dict.fromkeys(view.name for view in views if view.name)) or "none"
    raise TaskQueueError(f"there is no schedule '{name}'", hint=f"known schedules: {known}")
