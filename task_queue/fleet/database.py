"""One connection to the database of a fleet, made when it is needed and again after it was lost."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from task_queue.fleet.address import FleetAddress
from task_queue.fleet.errors import error_for

Cursor = psycopg.Cursor[TupleRow]
PATIENCE_S = 60.0
"""More than any transaction takes, but those that make or upgrade tables."""

_IDLE_MS = "10000"
"""A host that is frozen in the middle of a transaction keeps its locks from others no longer than that."""


class Database:
    """Thread-safe: transactions of one object follow each other."""

    def __init__(self, address: FleetAddress, *, patience_s: float | None = PATIENCE_S) -> None:
        """*patience_s*: how long a transaction may take before its connection is given up; None: for ever."""
        self.address = address
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    @contextmanager
    def transaction(self) -> Generator[Cursor]:
        """Committed if the block ends well. Tables are looked for in the fleet's schema only.

        Raises EngineUnavailable and FleetError; psycopg.IntegrityError is for the caller.
        """
        with self._lock:
            try:
                begun, cursor = self._begun()
                with begun:
                    yield cursor
            except psycopg.IntegrityError:
                raise
            except psycopg.Error as error:
                raise error_for(error, self.address) from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
            self._connection = None

    def _begun(self) -> tuple[ExitStack, Cursor]:
        """A connection that was there before is tried first: the server may have been restarted since it was used."""
        if self._connection is not None:
            try:
                return self._begun_on(self._connection)
            except psycopg.OperationalError:
                self._connection.close()
                self._connection = None
        # Without prepared statements: a pooler may give the next transaction to another session.
        self._connection = psycopg.connect(self.address.conninfo, autocommit=True, prepare_threshold=None)
        return self._begun_on(self._connection)

    def _begun_on(self, connection: psycopg.Connection[Any]) -> tuple[ExitStack, Cursor]:
        with ExitStack() as stack:
            stack.enter_context(_cut_off_after(self._patience_s, connection))
            stack.enter_context(connection.transaction())
            cursor = stack.enter_context(connection.cursor())
            cursor.execute(
                "SELECT set_config('search_path', quote_ident(%s), true), "
                "set_config('idle_in_transaction_session_timeout', %s, true)",
                [self.address.schema, _IDLE_MS],
            )
            return stack.pop_all(), cursor


@contextmanager
def _cut_off_after(seconds: float | None, connection: psycopg.Connection[Any]) -> Generator[None]:
    """A server that is there and says nothing (frozen, or on a disk that hangs) is taken for one that is gone."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, _cut_off, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut_off(connection: psycopg.Connection[Any]) -> None:
    """The thread that waits for an answer gets an error; psycopg itself has no limit for that."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
