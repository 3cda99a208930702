"""An event and its record: the name of its type, what it is about, and the other fields as JSON values.

It follows the dataclasses' fields, so that a new event needs nothing here.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
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


def display_name_of(kind: type[Event]) -> str:
    """As people read it: ``task settled``."""
    return _words(kind.__name__)


def type_of(kind: type[Event]) -> str:
    """As programs read it: ``settled``; what concerns a task does not say so again."""
    return display_name_of(kind).replace(" ", "_").removeprefix("task_")


@cache
def _words(name: str) -> str:
    return _WORD.sub(" ", name).lower()


def record_of(event: Event) -> EventRecord:
    values = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    source, task_id, attempt = (values.pop(name, None) for name in ABOUT)
    return EventRecord(type_of(type(event)), values, source, task_id, attempt)


def event_types() -> tuple[str, ...]:
    """Every type that ``record_of`` can give, in the order of ``domain.events``."""
    from task_queue.domain.events import Event

    return tuple(map(type_of, typing.get_args(Event)))


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case tuple():
            return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] # any tuple
        case _:
            return value
