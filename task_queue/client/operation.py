"""One question to the API: what is sent, how its answer is read, and whether it may be asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from task_queue.client.problems import problem_in, unexpected

T = TypeVar("T")
_TAKES_S = 30.0
QueryValue = str | int | float | bool | datetime | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``headers`` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """``repeatable``: asking twice does what asking once does, so a lost answer may be asked for again."""

    method: str
    path: str
    read: Callable[[HttpAnswer], T]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = False
    takes_s: float = _TAKES_S
    """How long the server may need for its answer."""
    good: tuple[int, ...] = (200, 201, 202, 204)

    def result(self, reply: HttpAnswer) -> T:
        """Raises ApiError."""
        if reply.status not in self.good:
            raise problem_in(reply.status, reply.headers, reply.data)
        try:
            return self.read(reply)
        except (ValueError, KeyError) as error:  # a ValidationError is a ValueError
            raise unexpected(reply.status, _in_short(error)) from error


def asking(
    path: str, read: Callable[[HttpAnswer], T], *, takes_s: float = _TAKES_S, **query: QueryValue
) -> Operation[T]:
    """A question that changes nothing."""
    return Operation("GET", path, read, query_of(query), repeatable=True, takes_s=takes_s)


def telling(
    method: str,
    path: str,
    read: Callable[[HttpAnswer], T],
    content: Mapping[str, object] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    repeatable: bool = False,
    takes_s: float = _TAKES_S,
) -> Operation[T]:
    """One that changes something; *content* becomes JSON, without what is None."""
    given = None if content is None else {key: value for key, value in content.items() if value is not None}
    body = None if given is None else json.dumps(given, default=_plain).encode()
    sent = {**({} if body is None else {"content-type": "application/json"}), **(headers or {})}
    return Operation(method, path, read, (), body, sent, repeatable, takes_s)


def reading(shape: type[T]) -> Callable[[HttpAnswer], T]:
    """Reads JSON as *shape*; what a newer server adds is left out."""

    @cache
    def adapter() -> TypeAdapter[T]:
        return TypeAdapter(shape)

    def read(reply: HttpAnswer) -> T:
        found: T = adapter().validate_json(reply.data)
        return found

    return read


def text_in(reply: HttpAnswer) -> str:
    return reply.data.decode()


def part(text: str) -> str:
    """As one part of a path."""
    return quote(text, safe="")


def query_of(values: Mapping[str, QueryValue]) -> tuple[tuple[str, str], ...]:
    """Names with a value; one with several values is there several times."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        pairs.extend((name, _spelled(each)) for each in several if each is not None)
    return tuple(pairs)


def _spelled(value: str | float | datetime) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _in_short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
