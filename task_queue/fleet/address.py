"""Where the tables of a fleet are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo

from task_queue.domain.errors import ConfigError

SCHEMA = "task_queue"
_LONGEST_NAME = 63
_FOR_A_CONNECTION = {"connect_timeout": "5", "tcp_user_timeout": "30000", "application_name": "task-queue"}
"""A server that was cut off is given up, as one that refuses: nothing waits for it without end."""


@dataclass(frozen=True, slots=True)
class FleetAddress:
    """As text: without the password."""

    conninfo: str = field(repr=False)
    """As libpq takes it, with the password if the URL has one."""
    schema: str
    where: str

    def __str__(self) -> str:
        return self.where


def fleet_address(url: str, schema: str = SCHEMA) -> FleetAddress:
    """Raises ConfigError. What *url* leaves out, libpq takes from its own files and variables, as psql does."""
    if not schema or len(schema.encode()) > _LONGEST_NAME or schema.startswith("pg_") or "\0" in schema:
        raise ConfigError(
            f"'{schema}' cannot be the name of a schema",
            hint=f"1 to {_LONGEST_NAME} bytes, and not pg_ at its start",
        )
    try:
        given = conninfo.conninfo_to_dict(url)
        complete = conninfo.make_conninfo("", **{**_FOR_A_CONNECTION, **given})
    except (psycopg.ProgrammingError, psycopg.OperationalError):
        # libpq repeats the URL in what it says, with the password.
        raise ConfigError(
            "the URL of the database cannot be read",
            hint="it looks like postgresql://USER@HOST:5432/DATABASE",
        ) from None
    return FleetAddress(complete, schema, _spelled(given, schema))


def _spelled(given: Mapping[str, object], schema: str) -> str:
    """As ``fleet@db.example:5432/queue, schema task_queue``."""
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = f":{given['port']}" if given.get("port") else ""
    user = f"{given['user']}@" if given.get("user") else ""
    database = f"/{given['dbname']}" if given.get("dbname") else ""
    return f"{user}{host}{port}{database}, schema {schema}"
