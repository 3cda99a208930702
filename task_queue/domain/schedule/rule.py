"""When a recurring task is due: a cron expression in a time zone, by the rules of cronsim (those of Debian's cron).

Of an expression whose minute or hour begins with ``*`` every time counts that a clock shows, twice where it exists
twice. Of the others, a time that a change of the clocks leaves out counts as the first one after it, and one that
exists twice counts once, the first time. Due times are instants in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from enum import StrEnum
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from task_queue.domain.local_time import LocalZone

_FIELDS = 5
_LONGEST = 200
NEWEST_KEPT = 100
"""Of very many due times, so many of the newest are looked at one by one."""
MOST_COUNTED = 5000
"""More due times than that are not counted."""


class Overlap(StrEnum):
    """What happens when a task of the schedule has not ended at the next due time."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Which of the due times that were missed are made up for."""

    ONE = "one"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DueTimes:
    """``times``, ascending; where there are more than ``MOST_COUNTED``, only the newest, and ``more``."""

    times: tuple[datetime, ...]
    first: datetime | None
    """The first of all, None if there is none."""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Made by ``rule_of``, which checks it."""

    expression: str
    timezone: str = ""
    """A name of the IANA database; empty: the machine's own."""
    until: datetime | None = None
    """No later time counts."""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.ONE

    @property
    def name(self) -> str:
        """By which the ledger knows that other times count now."""
        return f"{self.expression} {self.timezone}".strip()

    def times(self, after: datetime) -> Iterator[datetime]:
        """Every due time after *after*, in UTC, ascending."""
        last = after.astimezone(UTC)
        for found in CronSim(self.expression, after.astimezone(zone_of(self.timezone))):
            due = found.astimezone(UTC)
            if due <= last:
                continue  # it reads a time that exists twice as the first one
            if self.until is not None and due > self.until:
                return
            last = due
            yield due

    def next(self, after: datetime) -> datetime | None:
        return next(self.times(after), None)

    def between(self, after: datetime, now: datetime) -> DueTimes:
        """Those after *after*, up to *now*."""
        times = tuple(islice(takewhile(lambda due: due <= now, self.times(after)), MOST_COUNTED + 1))
        if len(times) <= MOST_COUNTED:
            return DueTimes(times, times[0] if times else None)
        return DueTimes(self._newest(after, now), times[0], more=True)

    def _newest(self, after: datetime, now: datetime) -> tuple[datetime, ...]:
        """The span that is looked at is doubled until it holds enough; it is much shorter than the whole one."""
        span = (now - after) / 2**16
        while True:
            begins = max(after, now - span)
            newest = tuple(takewhile(lambda due: due <= now, self.times(begins)))
            if len(newest) >= NEWEST_KEPT or begins == after:
                return newest[-NEWEST_KEPT:]
            span *= 2


def zone_of(name: str) -> tzinfo:
    """The zone called *name*, the machine's own for none. Raises ValueError."""
    if not name:
        return LocalZone()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # it also reads what is not a zone, or not there
        raise ValueError(
            f"there is no time zone {name[:60]!r} on this machine; one is Europe/Berlin"
        ) from None


def rule_of(
    expression: str,
    *,
    timezone: str = "",
    until: str | None = None,
    overlap: Overlap = Overlap.SKIP,
    catch_up: CatchUp = CatchUp.ONE,
) -> Rule:
    """The rule that these texts describe. Raises ValueError, with a phrase that follows the key's name."""
    plain = " ".join(expression.split())
    if len(plain) > _LONGEST or len(plain.split(" ")) != _FIELDS:
        form = "must be five fields (minute, hour, day, month, weekday) such as '30 2 * * 1-5'"
        raise ValueError(f"{form}, not {plain[:60]!r}")
    try:
        CronSim(plain, datetime(2001, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"{str(error).lower()} in {plain[:60]!r}") from None
    zone = zone_of(timezone)
    limit = None if until is None else end_of(until, zone)
    return Rule(plain, timezone, limit, overlap, catch_up)


def end_of(until: str, zone: tzinfo) -> datetime:
    """The last instant that *until* includes: of a date, its last second. Raises ValueError."""
    try:
        given = datetime.fromisoformat(until)
    except ValueError:
        raise ValueError(
            f"must be a date such as 2026-12-31, or an ISO time such as 2026-12-31T18:00, not {until[:60]!r}"
        ) from None
    if len(until) <= len("2026-12-31"):
        given = datetime.combine(given.date(), time(23, 59, 59))
    if given.tzinfo is None:
        given = max(given.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the year {given.year} is out of range") from None
