"""The client for programs with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
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


class _AskedLater(Generic[P, T]):
    """An operation as a method, to be awaited."""

    def __init__(self, made_by: Callable[P, Operation[T]]) -> None:
        self._made_by = made_by
        self.__doc__ = made_by.__doc__

    def __get__(self, client: AsyncClient, _owner: type[AsyncClient]) -> Callable[P, Awaitable[T]]:
        async def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.carry_out(self._made_by(*args, **kwargs))

        return ask


class AsyncClient:
    """As ``Client``, with the same arguments; the tasks of one event loop may share it."""

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
        self._http = httpx2.AsyncClient(
            **connection_settings(self._server, ca_file),
            transport=httpx2.AsyncHTTPTransport(**unix) if self._server.socket else None,
        )

    submit = _AskedLater(task_operations.submit)
    task = _AskedLater(task_operations.task)
    tasks = _AskedLater(task_operations.tasks)
    withdraw = _AskedLater(task_operations.withdraw)
    cancel = _AskedLater(task_operations.cancel)
    change = _AskedLater(task_operations.change)
    retry = _AskedLater(task_operations.retry)
    acknowledge = _AskedLater(task_operations.acknowledge)
    land = _AskedLater(task_operations.land)
    undo = _AskedLater(task_operations.undo)
    bulk = _AskedLater(task_operations.bulk)
    document = _AskedLater(task_operations.document)
    result = _AskedLater(task_operations.result)
    report = _AskedLater(task_operations.report)
    diff = _AskedLater(task_operations.diff)
    artifacts = _AskedLater(task_operations.artifacts)
    artifact = _AskedLater(task_operations.artifact)
    transcript = _AskedLater(task_operations.transcript)
    events_page = _AskedLater(task_operations.events_page)
    append_event = _AskedLater(task_operations.append_event)
    claim = _AskedLater(claim_operations.claim)
    heartbeat = _AskedLater(claim_operations.heartbeat)
    frames = _AskedLater(claim_operations.frames)
    complete = _AskedLater(claim_operations.complete)
    fail = _AskedLater(claim_operations.fail)
    release = _AskedLater(claim_operations.release)
    base = _AskedLater(claim_operations.base)
    uploaded = _AskedLater(claim_operations.uploaded)
    upload = _AskedLater(claim_operations.upload)
    health = _AskedLater(queue_operations.health)
    sources = _AskedLater(queue_operations.sources)
    pause = _AskedLater(queue_operations.pause)
    resume = _AskedLater(queue_operations.resume)
    drain = _AskedLater(queue_operations.drain)
    workers = _AskedLater(queue_operations.workers)
    stats = _AskedLater(queue_operations.stats)
    status = _AskedLater(view_operations.status)
    listing = _AskedLater(view_operations.listing)
    history = _AskedLater(view_operations.history)
    morning_report = _AskedLater(view_operations.morning_report)
    details = _AskedLater(view_operations.details)
    create_token = _AskedLater(queue_operations.create_token)
    tokens = _AskedLater(queue_operations.tokens)
    revoke_token = _AskedLater(queue_operations.revoke_token)

    async def carry_out(self, operation: Operation[T]) -> T:
        """Ask, again where that is safe."""
        attempts = Attempts(operation, patience_s=self._patience_s)
        while isinstance(answer := attempts.after(await self._ask(operation)), Wait):
            await asyncio.sleep(answer.seconds)
        return answer

    async def events(
        self, *, task: str | None = None, after: str | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[EventAnswer, None]:
        """As ``Client.events``."""
        following = Following(task=task, after=after, types=types)
        while True:
            outcome: HttpAnswer | NoAnswer | None = None
            try:
                async with self._http.stream(**sending(following.question(), self._server)) as response:
                    if response.status_code == 200:
                        async for data in response.aiter_bytes():
                            for event in following.events_in(data):
                                yield event
                    else:
                        await response.aread()
                        outcome = reply_of(response)
            except httpx2.TransportError as error:
                outcome = failure_of(error, self._server)
            await asyncio.sleep(following.pause_after(outcome))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, operation: Operation[Any]) -> HttpAnswer | NoAnswer:
        try:
            return reply_of(await self._http.request(**sending(operation, self._server)))
        except httpx2.TransportError as error:
            return failure_of(error, self._server)
