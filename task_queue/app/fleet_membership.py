"""``fleet join``, and what it makes of a daemon: one host of a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from task_queue.app.fleet import FleetPlace, demand_psycopg, ready
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config import edit
from task_queue.config.locations import Locations
from task_queue.domain.errors import ConfigError
from task_queue.platform import durable
from task_queue.platform.clock import SystemClock

if TYPE_CHECKING:
    from task_queue.config.schema import Config
    from task_queue.ports.fleet import Fleet

_MOST_BYTES = 1000
_KEY = "fleet"


@dataclass(frozen=True, slots=True)
class JoinedFleet:
    """``capabilities``: what the configuration says now that this machine has."""

    name: str
    where: str
    host: str
    capabilities: tuple[str, ...]
    config: str
    schema_version: int = 1


def join_fleet(
    installation: Installation, place: FleetPlace, host: str, credential_file: Path, *, slots: int | None
) -> JoinedFleet:
    """Let the configuration say that this machine is *host* of a fleet; a daemon that starts then joins it.

    Raises ConfigError, FleetError, EngineUnavailable.
    """
    credential = _credential_in(credential_file)
    with ready(place) as (database, fleet):
        from task_queue.fleet.hosts import capabilities_of

        tags = capabilities_of(database, host, credential)
        where = str(database.address)
    config = installation.locations.config
    section = {
        "db": place.url,
        "tables": place.schema,
        "host": host,
        "credential_file": str(credential_file.resolve()),
    }
    with edit.editing(config, installation.now()) as content:
        content[_KEY] = section if slots is None else {**section, "slots": slots}
        listed: object = content.get("capabilities")
        own = map(str, cast("list[object]", listed)) if isinstance(listed, list) else ()
        has = tuple(dict.fromkeys((*own, *tags)))
        if has:
            content["capabilities"] = list(has)
    record_action(installation, "fleet join", host=host)
    return JoinedFleet(fleet.name, where, host, has, str(config))


def membership_of(locations: Locations, config: Config) -> Fleet | None:
    """Of the host that *config* says; None where it has joined no fleet. Raises ConfigError."""
    settings = config.fleet
    if settings is None:
        return None
    demand_psycopg()
    from task_queue.fleet.address import fleet_address
    from task_queue.fleet.membership import Membership

    return Membership(
        fleet_address(settings.db, settings.tables),
        settings.host,
        _credential_in(settings.credential_file),
        slots=config.limits.running if settings.slots is None else settings.slots,
        account=settings.account,
        folder=locations.state_dir / _KEY,
        clock=SystemClock(),
        capabilities=config.capabilities,
        retention_days=settings.retention_days,
    )


def _credential_in(path: Path) -> str:
    try:
        data, about = durable.read_regular(path, limit=_MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{path}: the credential of the host cannot be read: {error.strerror}",
            hint="write what task-queue fleet host add printed into that file",
        ) from error
    if about.st_mode & 0o077:
        raise ConfigError(f"{path}: other users can read it", hint=f"chmod 600 {path}")
    return data.decode(errors="replace").strip()
