"""One account in use on several hosts: a limit that one meets holds all, and the day has one budget."""

from __future__ import annotations

from task_queue.domain.attempt.account import Account
from task_queue.fleet.database import Cursor, Database
from task_queue.platform.records import decode, encode
from task_queue.ports.fleet import FleetDaemon, SpentEntry

_WAITS_MS = "500"


class SharedAccount:
    """Of *host*; ``look`` is for one thread."""

    def __init__(self, name: str, host: str) -> None:
        self._name, self._host = name, host
        self._known: Account | None = None
        """As it was here when it was compared last."""
        self._version = 0
        self._place: tuple[int, int] = 0, 0
        self._unsent: list[SpentEntry] = []
        self._is_news = True

    def read(self, cursor: Cursor) -> None:
        """Whether anything is new elsewhere, for ``look``. Waits for no lock."""
        cursor.execute(
            "SELECT coalesce((SELECT version FROM account WHERE name = %(name)s), 0), EXISTS (SELECT 1 FROM spent "
            "WHERE account = %(name)s AND (xid, id) > (%(xid)s::text::xid8, %(id)s) "
            "AND at > now() - interval '1 day' AND xid < pg_snapshot_xmin(pg_current_snapshot()))",
            {"name": self._name, "xid": str(self._place[0]), "id": self._place[1]},
        )
        ((version, was_spent),) = cursor.fetchall()
        self._is_news = was_spent or int(version) != self._version

    def look(self, database: Database, daemon: FleetDaemon) -> None:
        """Say what is new here, and take over what is new elsewhere. Raises EngineUnavailable, OSError."""
        self._unsent += daemon.spent()
        here = daemon.account()
        if not (self._is_news or self._unsent) and here == (self._known or Account()):
            return
        with database.transaction() as cursor:
            # Who holds it may be frozen; the signs of life of this host do not wait for that.
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_WAITS_MS])
            self._send(cursor)
            elsewhere = self._compare(cursor, here)
            cursor.execute(
                "SELECT xid::text::bigint, id, host, at, source, task, attempt, usd, estimated FROM spent "
                "WHERE account = %s AND (xid, id) > (%s::text::xid8, %s) AND at > now() - interval '1 day' "
                "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id",
                [self._name, str(self._place[0]), self._place[1]],
            )
            spent = cursor.fetchall()
        self._unsent = []
        for xid, number, host, *entry in spent:
            if host != self._host:
                daemon.note_spent(host, SpentEntry(*entry))
            self._place = xid, number
        self._known = here
        if elsewhere is not None and elsewhere != here:
            daemon.take_account(elsewhere)
            self._known = elsewhere

    def _send(self, cursor: Cursor) -> None:
        cursor.executemany(
            "INSERT INTO spent (account, host, source, task, attempt, at, usd, estimated) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    self._name,
                    self._host,
                    each.source,
                    each.task_id,
                    each.attempt,
                    each.at,
                    each.usd,
                    each.estimated_usd,
                )
                for each in self._unsent
            ],
        )

    def _compare(self, cursor: Cursor, here: Account) -> Account | None:
        """What another host has said since; None where that is nothing. What changed here is said."""
        cursor.execute("SELECT state, version FROM account WHERE name = %s FOR UPDATE", [self._name])
        row = cursor.fetchone()
        state, version = (None, 0) if row is None else (row[0], int(row[1]))
        if version > self._version:
            elsewhere = decode(Account, str(state).encode())
            # Of two that found something out at once the one counts that found a pause.
            if (
                self._known is None
                or self._known == here
                or (elsewhere.paused_until and not here.paused_until)
            ):
                self._version = version
                return elsewhere
        is_news = here != (Account() if self._known is None else self._known)
        if is_news or (row is None and here != Account()):
            cursor.execute(
                "INSERT INTO account (name, state) VALUES (%(name)s, %(state)s) "
                "ON CONFLICT (name) DO UPDATE SET state = %(state)s, version = account.version + 1 RETURNING version",
                {"name": self._name, "state": encode(here).decode()},
            )
            ((version,),) = cursor.fetchall()
        self._version = int(version)
        return None
