"""What happened to the tasks of a fleet, for who follows: every change once, none missed.

Numbers are given out before a transaction commits, so who asks for "after the last number" misses what commits late.
The place of a change is therefore its transaction and its number in it, and nothing is read of a transaction that
is younger than the oldest one still open. One that stays open holds the feed up; nothing is lost by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Cursor, Database


class FeedPlace(NamedTuple):
    """After which change a reader goes on."""

    transaction: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class StateChange:
    """A task that has another state, or another host, since."""

    place: FeedPlace
    at: datetime
    source: str
    name: TaskId
    """Of its document."""
    record: TaskId | None
    """Under which its attempts and its result are; None before its first claim."""
    state: TaskState
    attempt: int | None
    host: str | None
    """Both of one that runs."""


def changes_after(cursor: Cursor, place: FeedPlace, *, most: int = 1000) -> list[StateChange]:
    """At most *most* changes that follow *place*, in the order in which every reader gets them."""
    cursor.execute(
        "SELECT xid::text::bigint, id, at, source, name, record, state, attempt, host FROM event "
        "WHERE (xid, id) > (%s::text::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot()) "
        "ORDER BY xid, id LIMIT %s",
        [str(place.transaction), place.number, most],
    )
    return [
        StateChange(FeedPlace(xid, number), at, source, name, record, TaskState(state), attempt, host)
        for xid, number, at, source, name, record, state, attempt, host in cursor.fetchall()
    ]


def end_of_feed(database: Database) -> FeedPlace:
    """After all that is over by now."""
    with database.transaction() as cursor:
        return _end(cursor)


def _end(cursor: Cursor) -> FeedPlace:
    cursor.execute("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1), 9223372036854775807")
    ((transaction, number),) = cursor.fetchall()
    return FeedPlace(transaction, number)


@dataclass(frozen=True, slots=True)
class Touched:
    """Whose state, or host, has changed: sources, and names under which tasks may be depended on.

    ``is_all``: there was too much to look at each.
    """

    sources: frozenset[str] = frozenset()
    names: frozenset[TaskId] = frozenset()
    is_all: bool = False

    @property
    def is_any(self) -> bool:
        return self.is_all or bool(self.sources)


def touched_after(cursor: Cursor, place: FeedPlace, *, most: int = 200) -> tuple[Touched, FeedPlace]:
    """What has changed since *place*, and where a reader goes on."""
    changes = changes_after(cursor, place, most=most)
    if len(changes) == most:
        return Touched(is_all=True), _end(cursor)
    if not changes:
        return Touched(), place
    names = {name for each in changes for name in (each.name, each.record) if name is not None}
    return Touched(frozenset(each.source for each in changes), frozenset(names)), changes[-1].place
