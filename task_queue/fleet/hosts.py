"""The hosts of a fleet: how they join, show that they live, and take over from one that is dead."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence

from task_queue.domain.errors import ClaimLost, EngineUnavailable
from task_queue.domain.peers import LEASE_S, Peer, PeerWatch, must_stop
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.errors import FleetError
from task_queue.fleet.held import HostLife
from task_queue.fleet.roster import hash_of
from task_queue.ports.clock import Clock

_LEFT = (
    "task.state = 'running' AND task.host = before.name AND task.life < before.life "
    "AND before.name <> %(host)s AND (%(serves)s::text[] IS NULL OR task.source = ANY(%(serves)s))"
)
"""Claims of lives that are over."""


def join(
    database: Database,
    host: str,
    credential: str,
    machine: str | None = None,
    capabilities: Sequence[str] | None = None,
) -> HostLife:
    """Begin a life of *host*. It takes over what earlier lives of it had claimed.

    *capabilities*: what it has, as it finds itself; None: what it was added with.

    What a process of an earlier life still does is refused from now on. Raises FleetError unless *credential* is the
    one that the host was added with, and while the database hears of another *machine* under the name.
    """
    with database.transaction() as cursor:
        _demand_credential(cursor, database, host, credential)
        _demand_alone(cursor, database, host, machine)
        cursor.execute(
            "UPDATE host SET life = life + 1, heard_at = clock_timestamp(), machine = %s, "
            "capabilities = coalesce(%s, capabilities) WHERE name = %s RETURNING life",
            [machine, None if capabilities is None else list(capabilities), host],
        )
        ((life,),) = cursor.fetchall()
        cursor.execute(
            "UPDATE task SET life = %(life)s WHERE state = 'running' AND host = %(host)s",
            {"host": host, "life": life},
        )
        return HostLife(host, life)


def capabilities_of(database: Database, host: str, credential: str) -> tuple[str, ...]:
    """What it was added with. Raises FleetError as ``join``, which it does not do."""
    with database.transaction() as cursor:
        _demand_credential(cursor, database, host, credential)
        cursor.execute("SELECT capabilities FROM host WHERE name = %s", [host])
        ((tags,),) = cursor.fetchall()
        return tuple(tags)


def _demand_credential(cursor: Cursor, database: Database, host: str, credential: str) -> None:
    cursor.execute("SELECT credential FROM host WHERE name = %s FOR UPDATE", [host])
    row = cursor.fetchone()
    if row is None or row[0] is None or not hmac.compare_digest(row[0], hash_of(credential)):
        raise FleetError(
            f"{database.address}: the fleet has no host '{host}' with that credential",
            hint="make one with: task-queue fleet host add NAME, with --renew if the host is there",
        )


def _demand_alone(cursor: Cursor, database: Database, host: str, machine: str | None) -> None:
    cursor.execute(
        "SELECT 1 FROM host WHERE name = %s AND machine <> %s "
        "AND heard_at > clock_timestamp() - make_interval(secs => %s)",
        [host, machine, LEASE_S],
    )
    if cursor.fetchone() is not None:
        raise FleetError(
            f"{database.address}: another machine is host '{host}' of the fleet",
            hint="give this one a name of its own: task-queue fleet host add; or end the other, and wait half a minute",
        )


class Lifeline:
    """Shows that a host lives, and watches the others. On a connection of its own: work that hangs does not hold it up.

    ``turn`` is to be called about once a second, by one thread.
    """

    def __init__(
        self,
        database: Database,
        owner: HostLife,
        clock: Clock,
        *,
        serves: Callable[[], Collection[str]] | None = None,
        read: Callable[[Cursor], None] = lambda _cursor: None,
    ) -> None:
        """*serves*: of which sources it takes claims over; None: of all. *read*: what else is looked at each time, in
        the same transaction; it waits for no lock."""
        self._database = database
        self._owner = owner
        self._clock = clock
        self._serves = serves
        self._read = read
        self._watch = PeerWatch()
        self._heard_at = clock.monotonic()

    def turn(self) -> tuple[Peer, ...]:
        """Count up, and take over the claims of hosts that are dead; those hosts.

        Raises EngineUnavailable, after which the watching begins anew, and ClaimLost: another host took this one for
        dead, or a process of the same name has joined. Then what it runs is to be ended, before it joins again.
        """
        try:
            with self._database.transaction() as cursor:
                beats, is_left = self._count_up(cursor)
                self._read(cursor)
        except EngineUnavailable:
            self._watch.lose_sight()
            raise
        now = self._heard_at = self._clock.monotonic()
        dead = self._watch.look(beats, now)
        ended = tuple(peer for peer in dead if self._end(peer, beats[peer]))
        if ended or is_left:
            with self._database.transaction() as cursor:
                self._take_over(cursor)
        return ended

    def must_stop(self) -> bool:
        """Whether the database has not heard of this host for so long that it has to end what it runs."""
        return must_stop(self._heard_at, self._clock.monotonic())

    def _count_up(self, cursor: Cursor) -> tuple[dict[Peer, int], bool]:
        """The numbers of the other hosts, and whether lives that are over have left claims that it could take."""
        cursor.execute(
            "UPDATE host SET beats = beats + 1, heard_at = clock_timestamp() WHERE name = %s AND life = %s",
            [self._owner.host, self._owner.life],
        )
        if not cursor.rowcount:
            raise ClaimLost(f"host '{self._owner.host}' was taken for dead, or has joined again elsewhere")
        # Of those without a claim that it could take there is nothing to take over.
        cursor.execute(
            "SELECT name, host.life, beats FROM host WHERE name <> %s AND EXISTS (SELECT 1 FROM task "
            "WHERE task.host = host.name AND task.life = host.life AND state = 'running' "
            "AND (%s::text[] IS NULL OR task.source = ANY(%s)))",
            [self._owner.host, self._served, self._served],
        )
        beats = {(name, life): number for name, life, number in cursor.fetchall()}
        cursor.execute(
            f"SELECT EXISTS (SELECT 1 FROM task, host AS before WHERE {_LEFT})".encode(), self._values
        )
        ((is_left,),) = cursor.fetchall()
        return beats, bool(is_left)

    def _end(self, peer: Peer, beats: int) -> bool:
        """End the life of *peer* unless it has counted on since."""
        name, life = peer
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE host SET life = life + 1 WHERE name = %s AND life = %s AND beats = %s",
                [name, life, beats],
            )
            return bool(cursor.rowcount)

    def _take_over(self, cursor: Cursor) -> None:
        """Own the claims of lives that are over. Those of other sources wait for a host that serves them, or for their
        own to join again."""
        cursor.execute(
            "UPDATE task SET host = %(host)s, life = %(life)s, revision = revision + 1 FROM host AS before "
            f"WHERE {_LEFT}".encode(),
            self._values,
        )

    @property
    def _values(self) -> dict[str, object]:
        return {"host": self._owner.host, "life": self._owner.life, "serves": self._served}

    @property
    def _served(self) -> list[str] | None:
        return None if self._serves is None else list(self._serves())
