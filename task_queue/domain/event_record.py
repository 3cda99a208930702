"""An event and its record: the name of its type, what it is about, and the other fields as JSON values.

Both ways follow the dataclasses' fields, so that a new event needs nothing here.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # readers of records do without the classes
    from task_queue.domain.events import Event

ABOUT = ("source", "task_id", "attempt")
"""Fields of events that a record has a place of its own for."""
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """*data* holds JSON values only: times in ISO 8601 with offset, durations in seconds."""

    type: str
    data: Mapping[str, Any]
    source: str | None = None
    task_id: str | None = None
    attempt: int | None = None


def words_of(kind: type[Event]) -> str:
    """As people read it: ``task settled``."""
    return _words(kind.__name__)


def type_of(kind: type[Event]) -> str:
    """As programs read it: ``settled``; what concerns a task does not say so again."""
    return words_of(kind).replace(" ", "_").removeprefix("task_")


@cache
def _words(name: str) -> str:
    return _WORD.sub(" ", name).lower()


def record_of(event: Event) -> EventRecord:
    values = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    source, task_id, attempt = (values.pop(name, None) for name in ABOUT)
    return EventRecord(type_of(type(event)), values, source, task_id, attempt)


def event_of(record: EventRecord) -> Event | None:
    """The event that *record* was made of; None if this release does not know it, or not with these fields."""
    kind = _kinds().get(record.type)
    if kind is None:
        return None
    hints = typing.get_type_hints(kind)
    given = {"source": record.source, "task_id": record.task_id, "attempt": record.attempt, **record.data}
    try:
        return kind(**{name: _typed(given[name], hints[name]) for name in hints if name in given})
    except (TypeError, ValueError):
        return None


@cache
def _kinds() -> Mapping[str, type[Event]]:
    from task_queue.domain.events import Event

    return {type_of(kind): kind for kind in typing.get_args(Event)}


def event_types() -> tuple[str, ...]:
    """Every type that ``record_of`` can give, in the order of ``domain.events``."""
    return tuple(_kinds())


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case tuple():
            return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] # any tuple
        case _:
            return value


def _typed(value: Any, hint: Any) -> Any:
    """*value* as the field's annotation has it. Raises TypeError or ValueError."""
    if isinstance(hint, UnionType):
        if value is None:
            return None
        return _typed(value, next(kind for kind in typing.get_args(hint) if kind is not NoneType))
    if typing.get_origin(hint) is tuple:
        return tuple(_typed(item, typing.get_args(hint)[0]) for item in value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is timedelta:
        return timedelta(seconds=value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    plain: Any = typing.get_origin(hint) or getattr(hint, "__supertype__", hint)
    if isinstance(plain, type) and not isinstance(value, (float, int) if plain is float else plain):
        raise TypeError(f"{value!r} is not {plain.__name__}")
    return value
