"""``fleet``: what is done with the database of a fleet, and which hosts it has."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.document.readers import PERIOD, TAG
from task_queue.domain.errors import ConfigError, TaskQueueError
from task_queue.domain.policy import is_caller_name

if TYPE_CHECKING:
    from task_queue.fleet.database import Database
    from task_queue.fleet.roster import FleetHost
    from task_queue.fleet.schema import FoundFleet


_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class FleetPlace:
    """Where a fleet is: the URL of its database, which may have a password in it, and the schema of its tables."""

    url: str = field(repr=False)
    schema: str


@dataclass(frozen=True, slots=True)
class FleetInit:
    """``version`` is that of the tables; ``before`` the one that was found, 0 where there was none."""

    name: str
    where: str
    version: int
    before: int
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class AddedHost:
    """``credential`` is shown once, and kept nowhere."""

    name: str
    credential: str
    capabilities: tuple[str, ...]
    renewed: bool
    """The host was there, and its earlier credential is refused from now on."""
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class HostTaskView:
    source: str
    task_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class HostView:
    name: str
    state: str
    """``new`` (it never joined), ``up``, or ``silent``."""
    draining: bool
    """It begins nothing more."""
    drained: bool
    """And nothing runs on it."""
    heard_s_ago: float | None
    """By the clock of the database; null before it joined."""
    capabilities: tuple[str, ...]
    running: tuple[HostTaskView, ...]


@dataclass(frozen=True, slots=True)
class FleetSourceView:
    source: str
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class FleetMoveView:
    """A task between the fleet and a folder: an import or export of it is under way, or was interrupted."""

    way: str
    """``import`` or ``export``."""
    source: str
    task_id: str
    place: str
    """The machine, and the folder of the source there."""
    began_s_ago: float
    """By the clock of the database."""


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Hosts by name, and the sources of which a task waits or runs."""

    name: str
    where: str
    hosts: tuple[HostView, ...]
    sources: tuple[FleetSourceView, ...]
    moves: tuple[FleetMoveView, ...] = ()
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class FleetPruned:
    """What was removed, or with ``dry_run`` would be."""

    tasks: int
    """Ended ones, whose documents, results, reports and attempts are gone."""
    replaced: int
    """Texts and results that newer ones had taken the place of."""
    events: int
    dry_run: bool
    schema_version: int = 1


def init_fleet(installation: Installation, place: FleetPlace, *, name: str | None) -> FleetInit:
    """Make the tables of a fleet, or bring them up to date. Idempotent.

    Raises ConfigError, FleetError, EngineUnavailable.
    """
    with _database(place, upgrades=True) as database:
        from task_queue.fleet.schema import set_up

        done = set_up(database, name)
    record_action(installation, "fleet init")
    return FleetInit(done.fleet.name, str(database.address), done.fleet.version, done.before)


def add_host(
    installation: Installation, place: FleetPlace, name: str, capabilities: Sequence[str], *, renew: bool
) -> AddedHost:
    """Let a host join under *name*; with *renew* one that is there gets a new credential, and these *capabilities*.

    Raises TaskQueueError if the name or a capability cannot be used, or the host is there; UnknownHostError;
    ConfigError, FleetError, EngineUnavailable.
    """
    if not is_caller_name(name):
        raise TaskQueueError(
            f"'{name}' cannot be the name of a host",
            hint="use up to 64 lower-case letters, digits, '.', '_' and '-', beginning with a letter or a digit",
        )
    has = tuple(dict.fromkeys(_read("--capabilities", TAG, each) for each in capabilities))
    with ready(place) as (database, _):
        from task_queue.fleet import roster

        credential = roster.add_host(database, name, has, renew=renew)
    record_action(installation, "fleet host add", host=name, renew=renew or None)
    return AddedHost(name, credential, has, renew)


def fleet_status(place: FleetPlace) -> FleetStatus:
    """Raises ConfigError, FleetError, EngineUnavailable."""
    with ready(place) as (database, fleet):
        from task_queue.fleet.moves import moves_of
        from task_queue.fleet.roster import roster_of

        found, moves = roster_of(database), moves_of(database)
    return FleetStatus(
        fleet.name,
        str(database.address),
        tuple(map(_view, found.hosts)),
        tuple(FleetSourceView(each.source, each.waiting, each.running) for each in found.sources),
        tuple(
            FleetMoveView(each.way, each.source, each.task_id, each.place, round(each.s_ago, 1))
            for each in moves
        ),
    )


def prune_fleet(
    installation: Installation,
    place: FleetPlace,
    age: str,
    *,
    dry_run: bool,
    count: Callable[[int, int], None] = lambda _done, _of: None,
) -> FleetPruned:
    """Remove what ended longer than *age* ago, but not that it ended, and how. May be interrupted, and repeated.

    Raises TaskQueueError if *age* is none, ConfigError, FleetError, EngineUnavailable.
    """
    span = _read("--older-than", PERIOD, age)
    with ready(place) as (database, _):
        from task_queue.fleet.retention import old_rows, prune

        rows = old_rows(database, span) if dry_run else prune(database, span, count=count)
    if not dry_run:
        record_action(installation, "fleet prune", tasks=rows.tasks)
    return FleetPruned(rows.tasks, rows.kept, rows.events, dry_run)


def drain_host(installation: Installation, place: FleetPlace, name: str, *, draining: bool) -> HostView:
    """Let the host begin nothing more, or, not *draining*, go on. What runs on it goes on in any case.

    Raises UnknownHostError, ConfigError, FleetError, EngineUnavailable.
    """
    with ready(place) as (database, _):
        from task_queue.fleet.roster import set_draining

        host = set_draining(database, name, draining=draining)
    record_action(installation, "fleet drain" if draining else "fleet resume", host=name)
    return _view(host)


def revoke_host(installation: Installation, place: FleetPlace, name: str) -> HostView:
    """Put a host out of the fleet: its credential is refused, and a process that joined with it ends what it runs.

    Raises UnknownHostError, ConfigError, FleetError, EngineUnavailable.
    """
    with ready(place) as (database, _):
        from task_queue.fleet.roster import revoke

        host = revoke(database, name)
    record_action(installation, "fleet host revoke", host=name)
    return _view(host)


def _view(host: FleetHost) -> HostView:
    return HostView(
        host.name,
        host.state.value,
        host.draining,
        host.draining and not host.tasks,
        None if host.heard_s_ago is None else round(host.heard_s_ago, 1),
        host.capabilities,
        tuple(HostTaskView(each.source, each.task_id, each.attempt) for each in host.tasks),
    )


def _read(option: str, reader: Callable[[str], _Read], text: str) -> _Read:
    try:
        return reader(text)
    except ValueError as error:
        raise TaskQueueError(f"{option}: {error}") from None


def demand_psycopg() -> None:
    """Raises ConfigError."""
    if find_spec("psycopg") is None:
        raise ConfigError(
            "the Python package psycopg is not installed beside task-queue",
            hint="install it: pip install 'task-queue[fleet]'",
        )


@contextmanager
def ready(place: FleetPlace) -> Generator[tuple[Database, FoundFleet]]:
    """With tables that this release uses. Raises ConfigError, FleetError, EngineUnavailable."""
    with _database(place) as database:
        from task_queue.fleet.schema import demand_ready

        yield database, demand_ready(database)


@contextmanager
def _database(place: FleetPlace, *, upgrades: bool = False) -> Generator[Database]:
    """*upgrades*: it may take any time."""
    demand_psycopg()
    from task_queue.fleet.address import fleet_address
    from task_queue.fleet.database import PATIENCE_S, Database

    database = Database(fleet_address(place.url, place.schema), patience_s=None if upgrades else PATIENCE_S)
    try:
        yield database
    finally:
        database.close()
