"""The hours in which a source starts tasks, as its configuration spells them. Pure: the time is an argument.

They are what the clock on the wall shows, in the time zone of the machine: an hour that exists twice counts twice,
and a time that does not exist is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

FORM = "hours such as 22:00-06:00, or mon-fri 22:00-06:00, or sat,sun 00:00-24:00"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?:(?P<days>[a-z,-]+) +)?(?P<begins>\d\d:\d\d)-(?P<ends>\d\d:\d\d)")
_MIDNIGHT = 24 * 60
_LOOK_AHEAD = timedelta(days=15)
"""A week and a day, and the same again: a change of the clocks may make a window of one week vanish."""
_STEP = timedelta(minutes=15)
"""Clocks change at multiples of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``begins`` to ``ends``, in minutes since midnight, of each of ``days`` (0: Monday)."""

    days: frozenset[int]
    begins: int
    ends: int
    """Not after ``begins``: on the next day."""

    def holds(self, shown: datetime) -> bool:
        """Whether it is within when a clock shows *shown*."""
        minute, day = shown.hour * 60 + shown.minute, shown.weekday()
        if self.begins < self.ends:
            return day in self.days and self.begins <= minute < self.ends
        if minute >= self.begins:
            return day in self.days
        return minute < self.ends and (day - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class Hours:
    """Within one of ``windows`` (none: always), but in none of ``quiet``."""

    windows: tuple[Span, ...] = ()
    quiet: tuple[Span, ...] = ()

    def is_open(self, now: datetime) -> bool:
        return self._is_open_at(now.astimezone())

    def opens_at(self, now: datetime) -> datetime | None:
        """The first instant from *now* on, in UTC, at which it is open; None if it is not within two weeks."""
        if self.is_open(now):
            return now.astimezone(UTC)
        turns = (turn for turn in self._turns(now) if turn > now)
        return min((turn for turn in turns if self.is_open(turn)), default=None)

    def is_ever_open(self) -> bool:
        """Whether there is a minute of a week in which it is open."""
        monday = datetime(2001, 1, 1)  # noqa: DTZ001 - what a clock shows
        return any(
            self._is_open_at(monday + timedelta(days=day, minutes=minute))
            for day in range(7)
            for minute in {0, *self._begins()}
        )

    def _begins(self) -> set[int]:
        """The minutes of a day at which it may begin to be open."""
        return {span.begins for span in self.windows} | {span.ends for span in self.quiet}

    def _is_open_at(self, shown: datetime) -> bool:
        within = not self.windows or any(span.holds(shown) for span in self.windows)
        return within and not any(span.holds(shown) for span in self.quiet)

    def _turns(self, now: datetime) -> Iterator[datetime]:
        """Every instant at which it may begin to be open, in no order."""
        first = now.astimezone().date() - timedelta(days=1)
        minutes = self._begins()
        for number in range(_LOOK_AHEAD.days + 1):
            day = first + timedelta(days=number)
            for minute in minutes:
                shown = datetime.combine(day, time()) + timedelta(minutes=minute)
                yield from (shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            yield from _changes_of_the_clock(day)


def hours_of(windows: Iterable[str], quiet: Iterable[str]) -> Hours:
    """What the texts of a configuration mean. Raises ValueError."""
    hours = Hours(tuple(map(span_of, windows)), tuple(map(span_of, quiet)))
    if not hours.is_ever_open():
        raise ValueError("'quiet' covers all of 'windows': no task would ever start")
    return hours


def span_of(text: str) -> Span:
    """What *text* means: see ``FORM``. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"must be {FORM}, not '{text[:60]}'")
    begins, ends = (_minutes_of(found[name], text) for name in ("begins", "ends"))
    if begins in {ends, _MIDNIGHT}:
        raise ValueError(f"'{text}' begins when it ends; a whole day is 00:00-24:00")
    return Span(_days_of(found["days"], text), begins, ends)


def _minutes_of(clock: str, text: str) -> int:
    hour, minute = (int(part) for part in clock.split(":"))
    minutes = hour * 60 + minute
    if minute > 59 or minutes > _MIDNIGHT:
        raise ValueError(f"'{clock}' in '{text}' is not a time of day")
    return minutes


def _days_of(words: str | None, text: str) -> frozenset[int]:
    if words is None:
        return frozenset(range(7))
    days: set[int] = set()
    for word in words.split(","):
        first, dash, last = word.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"'{word}' in '{text}' is not a day; days are {', '.join(_DAYS)}, or mon-fri")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + number) % 7 for number in range(length + 1))
    return frozenset(days)


def _changes_of_the_clock(day: date) -> Iterator[datetime]:
    """The instants within the local *day* at which local clocks are set."""
    begin, end = (datetime.combine(each, time()).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    if begin.astimezone().utcoffset() == end.astimezone().utcoffset():
        return
    at = begin
    while at < end:
        if at.astimezone().utcoffset() != (at + _STEP).astimezone().utcoffset():
            yield at + _STEP
        at += _STEP
