"""How long to wait before a failed task is tried again."""

from __future__ import annotations

from datetime import timedelta

CAP = timedelta(hours=1)


def delay_after(attempt: int, *, first: timedelta, jitter: float, cap: timedelta = CAP) -> timedelta:
    """Wait after the *attempt*-th counted failure (1-based); never more than *cap*.

    *first* is doubled for each further attempt. *jitter* in [0, 1) is a random number, told by the caller:
    it makes the wait up to half as long again, so that tasks that failed together come back apart.
    """
    delay = min(first, cap)
    for _ in range(attempt - 1):
        if not timedelta() < delay < cap:
            break
        delay = min(delay * 2, cap)
    return min(delay * (1 + jitter / 2), cap)
