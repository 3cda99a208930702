"""Moments that have been, as people type them: how long ago, a day, a time."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from task_queue.domain.local_time import instant_of

FORM = "90m, 24h or 7d ago, today, yesterday, a date (2026-02-07) or a time (2026-02-07T18:00, 18:00)"
_AGO = re.compile(
    r"(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,7})s)?"
)
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def past_moment(text: str, now: datetime) -> datetime:
    """The instant in UTC that *text* names, seen from *now*; of a day its beginning. Raises ValueError, in words."""
    given = text.strip().lower()
    midnight = datetime.combine(now.astimezone().date(), time())
    ago = _AGO.fullmatch(given)
    if ago is not None and given:
        weeks, days, hours, minutes, seconds = (int(number or 0) for number in ago.groups())
        return now - timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if given in {"today", "yesterday"}:
        return instant_of(midnight - timedelta(days=given == "yesterday"))
    of_day = _TIME_OF_DAY.fullmatch(given)
    if of_day is not None:
        moment = midnight.replace(hour=int(of_day[1]), minute=int(of_day[2]))
        today = instant_of(moment)
        return today if today <= now else instant_of(moment - timedelta(days=1))
    try:
        return instant_of(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not one of: {FORM}") from None
