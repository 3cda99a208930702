"""How many tasks ended, how, how long they waited and ran, and what they cost: sums over ends. Pure.

Sums can be added up, so that the sums of a part of the event log can be kept and need not be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any, cast

from task_queue.domain.event_record import EventRecord

SETTLED = "settled"
LIMITED = "limited"
ACCOUNT_PAUSED = "account_paused"
ACCOUNT_RESUMED = "account_resumed"
UNKNOWN = "unknown"
"""In place of what events of earlier releases do not say."""
NO_MODEL = "none"
"""No model was used: a configured command ran, or nothing did."""

CellKey = tuple[str, str, str, str, str, str]
"""Local day (ISO), source, type, model, outcome and state of an end, in the order of ``DIMENSIONS``."""
DIMENSIONS = ("day", "source", "type", "model", "outcome", "state")


@dataclass(frozen=True, slots=True)
class EndRecord:
    """One end of a task. Times in milliseconds; None: not known."""

    at: datetime
    source: str
    task_id: str
    attempt: int | None
    state: str
    outcome: str
    task_type: str = UNKNOWN
    model: str = UNKNOWN
    waited_ms: int | None = None
    ran_ms: int | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    attempts: int | None = None
    limited: int | None = None
    dead_letter: bool = False
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def key(self) -> tuple[str, int | None]:
        """Two ends of one source with the same key are one that was recorded twice."""
        return self.task_id, self.attempt

    @property
    def kind(self) -> CellKey:
        day = self.at.astimezone().date().isoformat()
        return day, self.source, self.task_type, self.model, self.outcome, self.state


def end_in(at: datetime, record: EventRecord) -> EndRecord:
    """The end that the settled event *record* is about, whichever release wrote it."""
    data = record.data
    figures = _object(data, "figures")
    executor, ran = _text(figures, "executor"), _number(figures, "ran")
    if ran is None and record.attempt == 1:  # then nothing was waited for in between
        ran = _number(data, "took")
    return EndRecord(
        at=at,
        source=record.source or "",
        task_id=record.task_id or "",
        attempt=record.attempt,
        state=_text(data, "state") or UNKNOWN,
        outcome=_text(data, "outcome") or UNKNOWN,
        task_type=_text(figures, "task_type") or UNKNOWN,
        model=_text(figures, "model") or (UNKNOWN if executor is None else NO_MODEL),
        waited_ms=_milliseconds(_number(figures, "waited")),
        ran_ms=_milliseconds(ran),
        cost_usd=_number(data, "cost_usd"),
        input_tokens=_whole(figures, "input_tokens"),
        output_tokens=_whole(figures, "output_tokens"),
        attempts=_whole(figures, "attempts"),
        limited=_whole(figures, "limited"),
        dead_letter=data.get("dead_letter") is True,
        seconds_by_phase=_object(figures, "seconds_by_phase"),
    )


@dataclass(slots=True)
class Tally:
    """The sums of some ends."""

    number: int = 0
    waited_ms: list[int] = field(default_factory=list[int])
    """Of those of which it is known."""
    ran_ms: list[int] = field(default_factory=list[int])
    cost_usd: float = 0.0
    priced: int = 0
    """Of how many the cost is known."""
    input_tokens: int = 0
    output_tokens: int = 0
    metered: int = 0
    """Of how many the tokens are known."""
    retries: int = 0
    """Attempts beyond the first."""
    retried: int = 0
    limited: int = 0
    """Attempts that a usage limit sent back."""
    tasks_limited: int = 0
    followed: int = 0
    """Of how many the attempts are known."""
    dead_letters: int = 0

    def add(self, end: EndRecord) -> None:
        self.number += 1
        if end.waited_ms is not None:
            self.waited_ms.append(end.waited_ms)
        if end.ran_ms is not None:
            self.ran_ms.append(end.ran_ms)
        if end.cost_usd is not None:
            self.cost_usd += end.cost_usd
            self.priced += 1
        if end.input_tokens is not None and end.output_tokens is not None:
            self.input_tokens += end.input_tokens
            self.output_tokens += end.output_tokens
            self.metered += 1
        if end.attempts is not None:
            self.followed += 1
            self.retries += max(0, end.attempts - 1)
            self.retried += end.attempts > 1
            self.limited += end.limited or 0
            self.tasks_limited += bool(end.limited)
        self.dead_letters += end.dead_letter

    def merge(self, other: Tally) -> None:
        self.waited_ms += other.waited_ms
        self.ran_ms += other.ran_ms
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_SUMS = (
    *("number", "cost_usd", "priced", "input_tokens", "output_tokens", "metered"),
    *("retries", "retried", "limited", "tasks_limited", "followed", "dead_letters"),
)


@dataclass(frozen=True, slots=True)
class LimitEvent:
    """What happened to the account; ``model`` if only to one, or one class of them."""

    at: datetime
    type: str
    until: datetime | None = None
    model: str | None = None


PartKey = tuple[str, str, str]
"""The name of a group, an outcome and a state."""


@dataclass(slots=True)
class Summary:
    """What statistics by one of ``DIMENSIONS`` need of a part of the event log."""

    begins: datetime | None = None
    ends: datetime | None = None
    """The times of its first and its last event."""
    cells: dict[PartKey, Tally] = field(default_factory=dict[PartKey, Tally])
    first: dict[str, EndRecord] = field(default_factory=dict[str, EndRecord])
    """By source its first end, which is in none of the cells: the part before may hold it already."""
    last: dict[str, tuple[str, int | None]] = field(default_factory=dict[str, tuple[str, int | None]])
    """By source the key of its last end."""
    limits: list[LimitEvent] = field(default_factory=list[LimitEvent])


def summarized(
    events: Iterable[tuple[datetime, EventRecord]],
    dimensions: Iterable[str] = DIMENSIONS,
    *,
    since: datetime | None = None,
) -> dict[str, Summary]:
    """The sums of *events*, which are in their order, by each of *dimensions*; of ends only those from *since* on."""
    summary = Summary()
    cells: dict[CellKey, Tally] = {}
    told: set[tuple[str, str, int | None]] = set()
    for at, record in events:
        if record.type != SETTLED:
            summary.limits.append(_limit_in(at, record))
            continue
        end = end_in(at, record)
        if (end.source, *end.key) in told:
            continue  # a daemon that was killed while it settled records it twice
        told.add((end.source, *end.key))
        is_first = end.source not in summary.last
        summary.last[end.source] = end.key
        if since is not None and at < since:
            continue
        if is_first:
            summary.first[end.source] = end
        else:
            cells.setdefault(end.kind, Tally()).add(end)
    return {name: replace(summary, cells=_by(DIMENSIONS.index(name), cells)) for name in dimensions}


def _by(dimension: int, cells: Mapping[CellKey, Tally]) -> dict[PartKey, Tally]:
    """The times in order, so that those of many parts are sorted quickly."""
    found: dict[PartKey, Tally] = {}
    for kind, tally in cells.items():
        found.setdefault((kind[dimension], kind[-2], kind[-1]), Tally()).merge(tally)
    for tally in found.values():
        tally.waited_ms.sort()
        tally.ran_ms.sort()
    return found


def _limit_in(at: datetime, record: EventRecord) -> LimitEvent:
    until = None
    text = _text(record.data, "until") or _text(record.data, "resets_at")
    if text is not None:
        try:
            until = datetime.fromisoformat(text)
        except ValueError:
            until = None
    model = _text(record.data, "model")
    if model is None and "(only for " in (_text(record.data, "why") or ""):  # until 0.1.0
        model = UNKNOWN
    return LimitEvent(at, record.type, until, model)


class Totals:
    """Sums over summaries by one of ``DIMENSIONS`` that follow one another."""

    def __init__(self, by: str) -> None:
        self._by = DIMENSIONS.index(by)
        self.groups: dict[str, dict[tuple[str, str], Tally]] = {}
        """By the group's name: the sums of each outcome and state."""
        self.limits: list[LimitEvent] = []
        self._last: dict[str, tuple[str, int | None]] = {}

    def add(self, summary: Summary) -> None:
        """The part of the log that follows those that were added."""
        for key, tally in summary.cells.items():
            self._group(key).merge(tally)
        for source, end in summary.first.items():
            if self._last.get(source) != end.key:
                self._group((end.kind[self._by], end.outcome, end.state)).add(end)
        self._last.update(summary.last)
        self.limits += summary.limits

    def _group(self, key: PartKey) -> Tally:
        return self.groups.setdefault(key[0], {}).setdefault(key[1:], Tally())


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of *ordered* that at least *share* (0 to 1) of them do not exceed; None of none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def time_paused(limits: Iterable[LimitEvent], *, since: datetime | None, until: datetime) -> timedelta:
    """For how long between the two nothing could start on the account, whatever its model."""
    paused = timedelta()
    for begun, ended in _pauses(limits, until):
        first = begun if since is None else max(begun, since)
        paused += max(timedelta(), min(ended, until) - first)
    return paused


def _pauses(limits: Iterable[LimitEvent], now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """None of them overlap."""
    begun: datetime | None = None
    ends: datetime | None = None
    for event in limits:
        if event.type == ACCOUNT_PAUSED and event.model is None:
            if begun is not None and ends is not None and ends < event.at:
                yield begun, ends
                begun = None
            begun = event.at if begun is None else begun
            ends = event.until
        elif event.type == ACCOUNT_RESUMED and begun is not None:
            yield begun, event.at if ends is None else min(ends, event.at)
            begun = None
    if begun is not None:
        yield begun, now if ends is None else min(ends, now)


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value: object = data.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(data: Mapping[str, Any], key: str) -> int | None:
    value = _number(data, key)
    return None if value is None else int(value)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
