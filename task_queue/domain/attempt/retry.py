"""How long a failed task waits before it is tried again, and when that wait is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass  # listings know a delay, and no journal

CAP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait for the next try, and when it was given."""

    since: datetime
    until: datetime

    def ends_at(self, now: datetime) -> datetime | None:
        """When the wait is over; None if it is.

        More than twice the wait can only be left where the clock was set back since: it counts as over then.
        """
        left, given = self.until - now, self.until - self.since
        return self.until if timedelta() < left <= 2 * given else None


def delay_after(attempt: int, *, first: timedelta, jitter: float, cap: timedelta = CAP) -> timedelta:
    """Wait after the *attempt*-th counted failure (1-based); never more than *cap*.

    *first* is doubled for each further attempt. *jitter* in [0, 1) is a random number from the caller:
    it makes the wait up to half as long again, so that tasks that failed together come back apart.
    """
    delay = min(first, cap)
    for _ in range(attempt - 1):
        if not timedelta() < delay < cap:
            break
        delay = min(delay * 2, cap)
    return min(delay * (1 + jitter / 2), cap)
