"""Whether a queue in which nothing runs can go on by itself, and when: by this ``run --drain`` ends or waits.

Pure: what each source waits for is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.holds import Held


@dataclass(frozen=True, slots=True)
class Lull:
    """Of one source: what its worker found when it could start nothing."""

    held: tuple[Waiting, ...] = ()
    """Tasks that the admission held back, the first of each kind."""
    delayed: Waiting | None = None
    """The one that waits for a time and nothing else, and whose wait ends first."""
    until: datetime | None = None
    """That time."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Nothing runs, and nothing starts before ``until``; None: not before a person acts."""

    until: datetime | None = None
    why: str = ""


def standstill_of(waits: Iterable[Held | None]) -> Standstill | None:
    """Of all sources together, from everything that they wait for; None if something may start at any moment.

    None among *waits* is a task that nothing holds. What neither a time nor a person ends is ended by what runs, and
    where nothing runs it is over.
    """
    first: Held | None = None
    for held in waits:
        if held is None or (held.until is None and not held.needs_person):
            return None
        if not held.needs_person and (first is None or _time_of(held) < _time_of(first)):
            first = held
    return Standstill() if first is None else Standstill(first.until, first.why)


def _time_of(held: Held) -> datetime:
    assert held.until is not None
    return held.until
