"""The hosts of a fleet: which there are, and their lives."""

from __future__ import annotations

from task_queue.fleet.database import Database
from task_queue.fleet.held import HostLife


def join(database: Database, host: str) -> HostLife:
    """Begin a life of *host*, new or not; what a process of an earlier one still does is refused from now on."""
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO host AS joined (name, life) VALUES (%s, 1) "
            "ON CONFLICT (name) DO UPDATE SET life = joined.life + 1 RETURNING life",
            [host],
        )
        row = cursor.fetchone()
        assert row is not None
        return HostLife(host, row[0])
