"""What the database of a fleet refuses, in words that say what to do."""

from __future__ import annotations

import psycopg
from psycopg import errors

from task_queue.domain.errors import EngineUnavailable
from task_queue.fleet.address import FleetAddress


class FleetError(EngineUnavailable):
    """The database cannot hold this fleet as it stands: waiting does not help, a person has to act."""


def error_for(error: psycopg.Error, address: FleetAddress) -> EngineUnavailable:
    """What to raise for *error*: a FleetError where it does not end by itself."""
    said = _first_line(error)
    match error:
        case errors.InsufficientPrivilege():
            return FleetError(
                f"{address}: {said}",
                hint=f'let the owner of the database run: GRANT CREATE, USAGE ON SCHEMA "{address.schema}" TO the role '
                f'of the URL, and GRANT ALL ON ALL TABLES IN SCHEMA "{address.schema}" TO it; or use the role that ran '
                "task-queue fleet init",
            )
        case (
            errors.InvalidPassword()
            | errors.InvalidAuthorizationSpecification()
            | errors.InvalidCatalogName()
        ):
            return FleetError(
                f"{address}: {said}", hint="correct the user, the password or the database in the URL"
            )
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return FleetError(
                f"{address}: {said}", hint="create or upgrade its tables: task-queue fleet init --db URL"
            )
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return EngineUnavailable(
                f"{address} does not answer: {said}",
                hint="start the server, or correct the host and the port in the URL",
            )
        case _:
            return FleetError(f"{address}: {said}")


def _first_line(error: psycopg.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
