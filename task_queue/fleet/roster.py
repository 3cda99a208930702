"""Which hosts a fleet has: a person adds one, drains it, and looks at what all of them do."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.peers import HostState, host_state
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor, Database

_PREFIX = "tqh_"


class UnknownHostError(TaskQueueError):
    """The fleet has no host of that name."""


@dataclass(frozen=True, slots=True)
class HostTask:
    """A task that runs: ``task_id`` is that of its record."""

    source: str
    task_id: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class FleetHost:
    name: str
    capabilities: tuple[str, ...]
    state: HostState
    draining: bool
    heard_s_ago: float | None
    """By the clock of the database; None before it joined."""
    tasks: tuple[HostTask, ...]
    """That run on it."""


@dataclass(frozen=True, slots=True)
class SourceCounts:
    source: str
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Hosts by name, and the sources of which a task waits or runs."""

    hosts: tuple[FleetHost, ...]
    sources: tuple[SourceCounts, ...]


def add_host(database: Database, name: str, capabilities: Sequence[str], *, renew: bool = False) -> str:
    """Let a host join under *name*; its credential, of which only a hash is kept.

    *renew*: the host is there, and its earlier credential is refused from now on; what runs on it goes on. Raises
    TaskQueueError where it is there without *renew*, UnknownHostError where it is not with it.
    """
    credential = _PREFIX + secrets.token_urlsafe(32)
    values = {"name": name, "capabilities": list(capabilities), "credential": hash_of(credential)}
    with database.transaction() as cursor:
        if renew:
            cursor.execute(
                "UPDATE host SET capabilities = %(capabilities)s, credential = %(credential)s WHERE name = %(name)s",
                values,
            )
        else:
            cursor.execute(
                "INSERT INTO host (name, capabilities, credential) "
                "VALUES (%(name)s, %(capabilities)s, %(credential)s) ON CONFLICT DO NOTHING",
                values,
            )
        if cursor.rowcount:
            return credential
    if renew:
        raise _unknown(name)
    raise TaskQueueError(
        f"there is a host '{name}' already",
        hint="choose another name, or give that one a new credential with --renew",
    )


def revoke(database: Database, name: str) -> FleetHost:
    """Let no process join under *name*, and end the life of the one that has; the host, with what ran on it.

    Other hosts that serve the sources take its claims over, or it does itself once it joins with a new credential.
    Raises UnknownHostError.
    """
    with database.transaction() as cursor:
        cursor.execute("UPDATE host SET credential = NULL, life = life + 1 WHERE name = %s", [name])
        if not cursor.rowcount:
            raise _unknown(name)
        (host,) = _hosts(cursor, name)
        return host


def hash_of(credential: str) -> str:
    """It has 256 random bits: a plain SHA-256 of it cannot be reversed."""
    return hashlib.sha256(credential.encode()).hexdigest()


def set_draining(database: Database, name: str, *, draining: bool) -> FleetHost:
    """Whether the host begins nothing more; when this returns, no claim of before is under way.

    Raises UnknownHostError.
    """
    with database.transaction() as cursor:
        cursor.execute("UPDATE host SET draining = %s WHERE name = %s", [draining, name])
        if not cursor.rowcount:
            raise _unknown(name)
        (host,) = _hosts(cursor, name)
        return host


def roster_of(database: Database) -> Roster:
    with database.transaction() as cursor:
        hosts = _hosts(cursor)
        cursor.execute(
            "SELECT source, count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'running') "
            "FROM task WHERE state IN ('pending', 'running') GROUP BY source ORDER BY source"
        )
        return Roster(hosts, tuple(SourceCounts(*row) for row in cursor.fetchall()))


def _hosts(cursor: Cursor, name: str | None = None) -> tuple[FleetHost, ...]:
    """All, or the one called *name*."""
    cursor.execute(
        "SELECT host, source, record, attempt FROM task "
        "WHERE state = 'running' AND host = coalesce(%s, host) ORDER BY id",
        [name],
    )
    tasks: dict[str, list[HostTask]] = {}
    for host, source, record, attempt in cursor.fetchall():
        tasks.setdefault(host, []).append(HostTask(source, TaskId(record), attempt))
    cursor.execute(
        "SELECT name, capabilities, draining, extract(epoch FROM clock_timestamp() - heard_at)::float8 "
        "FROM host WHERE name = coalesce(%s, name) ORDER BY name",
        [name],
    )
    return tuple(
        FleetHost(host, tuple(capabilities), host_state(heard), draining, heard, tuple(tasks.get(host, ())))
        for host, capabilities, draining, heard in cursor.fetchall()
    )


def _unknown(name: str) -> UnknownHostError:
    return UnknownHostError(
        f"there is no host '{name}' in the fleet", hint="see which there are with: task-queue fleet status"
    )
