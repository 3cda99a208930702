"""The tables in another cluster, restored from a copy that pg_dump made: transactions are numbered anew there.

Then what is in the tables was written by transactions that are still to come, and who follows them would not see it
until they have: see ``feed`` and ``snapshot``.
"""

from __future__ import annotations

from task_queue.fleet.database import Cursor, Database

_NEXT = "pg_snapshot_xmax(pg_current_snapshot())"
_NUMBERED = (("event", "xid"), ("gone", "xid"), ("spent", "xid"), ("task", "changed"))


def mend_numbers(database: Database) -> bool:
    """Let what seems to be written by later transactions be written by this one; whether there was any."""
    with database.transaction() as cursor:
        if not _is_ahead(cursor):
            return False
        cursor.execute("SELECT 1 FROM fleet FOR UPDATE")  # of hosts that join at once one does it
        for table, column in _NUMBERED:
            cursor.execute(
                f"UPDATE {table} SET {column} = pg_current_xact_id() WHERE {column} >= {_NEXT}".encode()
            )
    return True


def next_number(cursor: Cursor) -> int:
    """Of the transactions of the cluster: it only grows, unless an earlier copy took the place of the database."""
    cursor.execute(f"SELECT {_NEXT}::text::bigint".encode())
    ((number,),) = cursor.fetchall()
    return int(number)


def _is_ahead(cursor: Cursor) -> bool:
    newest = (
        f"(SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT 1) >= {_NEXT}"
        for table, column in _NUMBERED
    )
    cursor.execute(f"SELECT coalesce({') OR coalesce('.join(f'{each}, false' for each in newest)})".encode())
    ((is_ahead,),) = cursor.fetchall()
    return bool(is_ahead)
