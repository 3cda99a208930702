"""Every operation of the API as a method, once for both clients: it waits for the answer, or is awaited, as they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from task_queue.client import claim_operations, queue_operations, task_operations, view_operations
from task_queue.client.operation import Operation

P = ParamSpec("P")
T = TypeVar("T")


class _Waits(Protocol):
    def carry_out(self, operation: Operation[T], /) -> T: ...


class _IsAwaited(Protocol):
    async def carry_out(self, operation: Operation[T], /) -> T: ...


class _Asked(Generic[P, T]):
    """An operation as a method of a client."""

    def __init__(self, made_by: Callable[P, Operation[T]]) -> None:
        self._made_by = made_by
        self.__doc__ = made_by.__doc__

    @overload
    def __get__(self, client: _Waits, owner: object) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: _IsAwaited, owner: object) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, client: _Waits | _IsAwaited, owner: object) -> Callable[P, Any]:
        def ask(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.carry_out(self._made_by(*args, **kwargs))

        return ask


class Operations:
    """Of a client, which carries them out."""

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
