"""The client for programs with threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, Self, TypeVar

import httpx2

from task_queue.client import claim_operations, queue_operations, task_operations, view_operations
from task_queue.client.answers import EventAnswer
from task_queue.client.asking_again import Attempts, NoAnswer, Wait
from task_queue.client.following import Following
from task_queue.client.operation import HttpAnswer, Operation
from task_queue.client.server import server_at
from task_queue.client.wire import (
    connection_settings,
    failure_of,
    reply_of,
    sending,
    transport_settings,
)

P = ParamSpec("P")
T = TypeVar("T")


class _Asked(Generic[P, T]):
    """An operation as a method, which waits for its answer."""

    def __init__(self, made_by: Callable[P, Operation[T]]) -> None:
        self._made_by = made_by
        self.__doc__ = made_by.__doc__

    def __get__(self, client: Client, _owner: type[Client]) -> Callable[P, T]:
        def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.carry_out(self._made_by(*args, **kwargs))

        return ask


class Client:
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

    submit = _Asked(task_operations.submit)
    task = _Asked(task_operations.task)
    tasks = _Asked(task_operations.tasks)
    withdraw = _Asked(task_operations.withdraw)
    cancel = _Asked(task_operations.cancel)
    change = _Asked(task_operations.change)
    retry = _Asked(task_operations.retry)
    acknowledge = _Asked(task_operations.acknowledge)
    land = _Asked(task_operations.land)
    undo = _Asked(task_operations.undo)
    bulk = _Asked(task_operations.bulk)
    document = _Asked(task_operations.document)
    result = _Asked(task_operations.result)
    report = _Asked(task_operations.report)
    diff = _Asked(task_operations.diff)
    artifacts = _Asked(task_operations.artifacts)
    artifact = _Asked(task_operations.artifact)
    transcript = _Asked(task_operations.transcript)
    events_page = _Asked(task_operations.events_page)
    append_event = _Asked(task_operations.append_event)
    claim = _Asked(claim_operations.claim)
    heartbeat = _Asked(claim_operations.heartbeat)
    frames = _Asked(claim_operations.frames)
    complete = _Asked(claim_operations.complete)
    fail = _Asked(claim_operations.fail)
    release = _Asked(claim_operations.release)
    base = _Asked(claim_operations.base)
    uploaded = _Asked(claim_operations.uploaded)
    upload = _Asked(claim_operations.upload)
    health = _Asked(queue_operations.health)
    sources = _Asked(queue_operations.sources)
    pause = _Asked(queue_operations.pause)
    resume = _Asked(queue_operations.resume)
    drain = _Asked(queue_operations.drain)
    workers = _Asked(queue_operations.workers)
    stats = _Asked(queue_operations.stats)
    status = _Asked(view_operations.status)
    listing = _Asked(view_operations.listing)
    history = _Asked(view_operations.history)
    morning_report = _Asked(view_operations.morning_report)
    details = _Asked(view_operations.details)
    create_token = _Asked(queue_operations.create_token)
    tokens = _Asked(queue_operations.tokens)
    revoke_token = _Asked(queue_operations.revoke_token)

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
