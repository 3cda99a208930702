"""Who follows a fleet."""

from __future__ import annotations

from task_queue.fleet import feed
from task_queue.fleet.database import Database
from task_queue.fleet.feed import FeedPlace, StateChange


def changes_after(database: Database, place: FeedPlace, *, most: int = 1000) -> list[StateChange]:
    with database.transaction() as cursor:
        return feed.changes_after(cursor, place, most=most)
