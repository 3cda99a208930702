"""The tables of a fleet: made, brought up to date, and looked at before they are used.

``steps/N.sql`` leads from version N-1 to N. A step that was released is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from psycopg import errors, sql

from task_queue import __version__
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.errors import FleetError

_OLDEST_SERVER = 13
"""It can say which transactions are over (``pg_current_snapshot``)."""


@dataclass(frozen=True, slots=True)
class FoundFleet:
    """``version`` is that of its tables."""

    id: str
    name: str
    version: int
    written_by: str


@dataclass(frozen=True, slots=True)
class FleetSetup:
    """What ``set_up`` found and left. ``before`` is the version that was there, 0 where there was none."""

    fleet: FoundFleet
    before: int


def set_up(database: Database, name: str | None) -> FleetSetup:
    """Make the tables, or bring them up to date; where they are, do nothing.

    *name* of the fleet; None: whichever is there, else as the schema. Raises FleetError, EngineUnavailable.
    """
    address = database.address
    with database.transaction() as cursor:
        _demand_server(cursor, address)
        # Of two that begin at once the second one waits, and finds what the first one made.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('task-queue'), hashtext(%s))", [address.schema])
        _make_schema(cursor, address)
        found = _found(cursor, address)
        if found is None:
            _demand_empty(cursor, address)
        else:
            _demand_own(found, address, name)
        before = 0 if found is None else found.version
        for version in range(before + 1, latest_version() + 1):
            cursor.execute(_step(version).encode())
        if found is None:
            cursor.execute(
                "INSERT INTO fleet (name, version, written_by) VALUES (%s, %s, %s)",
                [name or address.schema, latest_version(), __version__],
            )
        elif before < latest_version():
            cursor.execute("UPDATE fleet SET version = %s, written_by = %s", [latest_version(), __version__])
        made = _found(cursor, address)
        assert made is not None
        return FleetSetup(made, before)


def demand_ready(database: Database) -> FoundFleet:
    """The fleet that is there, with tables that this release uses. Raises FleetError, EngineUnavailable."""
    address = database.address
    with database.transaction() as cursor:
        found = _found(cursor, address)
    if found is None:
        raise FleetError(
            f"{address}: there is no fleet", hint="create its tables: task-queue fleet init --db URL"
        )
    _demand_own(found, address, None)
    if found.version < latest_version():
        raise FleetError(
            f"{address}: the tables have version {found.version}, and this task-queue uses {latest_version()}",
            hint="upgrade them: task-queue fleet init --db URL",
        )
    return found


@cache
def latest_version() -> int:
    """The version that this release uses."""
    return sum(
        1
        for each in resources.files("task_queue.fleet").joinpath("steps").iterdir()
        if each.name.endswith(".sql")
    )


def _step(version: int) -> str:
    return resources.files("task_queue.fleet").joinpath("steps", f"{version}.sql").read_text(encoding="utf-8")


def _demand_server(cursor: Cursor, address: FleetAddress) -> None:
    why = why_too_old(cursor.connection.info.server_version)
    if why is not None:
        raise FleetError(f"{address}: {why}", hint="upgrade the server")


def why_too_old(server_version: int) -> str | None:
    """Of a *server_version* as libpq says it (150018 is 15.18); None if it can hold a fleet."""
    major = server_version // 10_000
    if major >= _OLDEST_SERVER:
        return None
    return f"the server is PostgreSQL {major}, and a fleet needs {_OLDEST_SERVER} or newer"


def _make_schema(cursor: Cursor, address: FleetAddress) -> None:
    cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [address.schema])
    if cursor.fetchone() is not None:
        return
    try:
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
    except errors.InsufficientPrivilege as error:
        role = cursor.connection.info.user
        raise FleetError(
            f"{address}: the role '{role}' may not create the schema",
            hint=f'let the owner of the database run: CREATE SCHEMA "{address.schema}" AUTHORIZATION "{role}"',
        ) from error


def _found(cursor: Cursor, address: FleetAddress) -> FoundFleet | None:
    """None where the schema holds no fleet."""
    cursor.execute(
        "SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = %s AND relname = 'fleet' AND attname IN ('only_one', 'id', 'name', 'version', 'written_by')",
        [address.schema],
    )
    if cursor.fetchone() != (5,):
        return None
    table = sql.Identifier(
        address.schema, "fleet"
    )  # by its full name: without rights that is refused, not missed
    cursor.execute(sql.SQL("SELECT id::text, name, version, written_by FROM {}").format(table))
    row = cursor.fetchone()
    return None if row is None else FoundFleet(*row)


def _demand_empty(cursor: Cursor, address: FleetAddress) -> None:
    cursor.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s LIMIT 1",
        [address.schema],
    )
    row = cursor.fetchone()
    if row is not None:
        raise FleetError(
            f"{address}: the schema holds something else ('{row[0]}')",
            hint="name a schema that is empty or new with --schema",
        )


def _demand_own(found: FoundFleet, address: FleetAddress, name: str | None) -> None:
    if name is not None and found.name != name:
        raise FleetError(
            f"{address}: the schema belongs to the fleet '{found.name}', not to '{name}'",
            hint="a schema holds one fleet: name another with --schema",
        )
    if found.version > latest_version():
        raise FleetError(
            f"{address}: the tables have version {found.version}, written by task-queue {found.written_by}; "
            f"this one ({__version__}) knows up to {latest_version()}",
            hint="upgrade task-queue on this host",
        )
