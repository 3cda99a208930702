"""Local times, of which a change of the clocks makes some exist twice and some not at all."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo


def instant_of(local: datetime) -> datetime:
    """The instant in UTC that *local* names; without an offset it is a local time.

    A local time that exists twice, or not at all, has two readings: the later one counts, so that nothing starts
    before it was meant to.
    """
    if local.tzinfo is not None:
        return local.astimezone(UTC)
    return max(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def next_time(clock: time, now: datetime) -> datetime:
    """The next instant after *now* at which local clocks show *clock*, in UTC."""
    today = now.astimezone().date()
    return next(
        instant
        for days in range(3)
        if (instant := instant_of(datetime.combine(today + timedelta(days=days), clock))) > now
    )


def start_of_day(now: datetime) -> datetime:
    """When the local day of *now* began, in UTC; the earlier one where midnight exists twice."""
    midnight = datetime.combine(now.astimezone().date(), time())
    return min(midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def next_midnight(now: datetime) -> datetime:
    """When the local day of *now* is over, in UTC."""
    tomorrow = now.astimezone().date() + timedelta(days=1)
    return instant_of(datetime.combine(tomorrow, time()))


class LocalZone(tzinfo):
    """The time zone of the machine, as it is now."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:  # noqa: ARG002 - the interface of tzinfo
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, dt: datetime) -> datetime:
        instant = dt.replace(tzinfo=UTC)
        shown = instant.astimezone().replace(tzinfo=None)
        # A change of the zone's offset shows in no attribute of what astimezone() gives.
        is_second = shown.astimezone(UTC) != instant
        return shown.replace(tzinfo=self, fold=int(is_second))
