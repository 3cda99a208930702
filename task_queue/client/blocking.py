"""The client for programs with threads."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from task_queue.client.answers import EventAnswer
from task_queue.client.asking_again import Attempts, NoAnswer, Wait
from task_queue.client.following import Following
from task_queue.client.operation import HttpAnswer, Operation
from task_queue.client.operations import Operations
from task_queue.client.server import server_at
from task_queue.client.wire import (
    connection_settings,
    failure_of,
    reply_of,
    sending,
    transport_settings,
)

T = TypeVar("T")


class Client(Operations):
    """*server*: an URL, or ``unix:/PATH``; threads may share one client.

    *patience_s*: for how long a question is asked again, where that is safe, while there is no answer or the server is
    busy. Every method raises ApiError if the server refuses and Unreachable if there is no answer, both of which are
    TaskQueueErrors.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        token_file: Path | str | None = None,
        ca_file: Path | str | None = None,
        patience_s: float = 30.0,
    ) -> None:
        self._server = server_at(server, token=token, token_file=token_file)
        self._patience_s = patience_s
        unix = transport_settings(self._server)
        self._http = httpx2.Client(
            **connection_settings(self._server, ca_file),
            transport=httpx2.HTTPTransport(**unix) if self._server.socket else None,
        )

    def carry_out(self, operation: Operation[T]) -> T:
        """Ask, again where that is safe."""
        attempts = Attempts(operation, patience_s=self._patience_s)
        while isinstance(answer := attempts.after(self._ask(operation)), Wait):
            time.sleep(answer.seconds)
        return answer

    def events(
        self, *, task: str | None = None, after: str | None = None, types: Sequence[str] = ()
    ) -> Generator[EventAnswer, None, None]:
        """Each event as it happens, of all tasks or of one, over any number of lost connections.

        *after*: a cursor, ``end`` for only what is new, None for all that is kept. Never ends by itself.
        """
        following = Following(task=task, after=after, types=types)
        while True:
            outcome: HttpAnswer | NoAnswer | None = None
            try:
                with self._http.stream(**sending(following.question(), self._server)) as response:
                    if response.status_code == 200:
                        for data in response.iter_bytes():
                            yield from following.events_in(data)
                    else:
                        response.read()
                        outcome = reply_of(response)
            except httpx2.TransportError as error:
                outcome = failure_of(error, self._server)
            time.sleep(following.pause_after(outcome))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, operation: Operation[Any]) -> HttpAnswer | NoAnswer:
        try:
            return reply_of(self._http.request(**sending(operation, self._server)))
        except httpx2.TransportError as error:
            return failure_of(error, self._server)
