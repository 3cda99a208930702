"""``fleet``: what is done with the database of a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FleetInit:
    """``version`` is that of the tables; ``before`` the one that was found, 0 where there was none."""

    name: str
    where: str
    version: int
    before: int
    schema_version: int = 1


def init_fleet(installation: Installation, url: str, *, schema: str, name: str | None) -> FleetInit:
    """Make the tables of a fleet, or bring them up to date. Idempotent.

    Raises ConfigError, FleetError, EngineUnavailable.
    """
    if find_spec("psycopg") is None:
        raise ConfigError(
            "the Python package psycopg is not installed beside task-queue",
            hint="install it: pip install 'task-queue[fleet]'",
        )
    from task_queue.fleet.address import fleet_address
    from task_queue.fleet.database import Database
    from task_queue.fleet.schema import set_up

    database = Database(fleet_address(url, schema))
    try:
        done = set_up(database, name)
    finally:
        database.close()
    record_action(installation, "fleet init")
    return FleetInit(done.fleet.name, str(database.address), done.fleet.version, done.before)
