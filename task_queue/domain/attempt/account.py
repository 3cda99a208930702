"""The account that agents are billed to, as a state: open, paused until a time, or tried by one task.

Pure: the caller passes the time and the jitter. There is one account for each configuration, because all its
agents share one login.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from task_queue.domain.attempt.retry import Delay

_FIRST_GUESS = timedelta(minutes=15)
_LONGEST_GUESS = timedelta(hours=6)
_MARGIN = timedelta(seconds=60)
_MARGIN_JITTER = timedelta(seconds=120)
_UTILIZATION_HOLDS_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account; what ``accounts.json`` holds."""

    paused_until: datetime | None = None
    """Nothing starts before; None while the account is open."""
    why: str = ""
    since: datetime | None = None
    guesses: int = 0
    """How many pauses in a row had no announced end."""
    utilization: float | None = None
    """Share of the usage limit that was used up at the last report, 0 to 1."""
    told_at: datetime | None = None
    schema_version: int = 1


def paused(account: Account, *, why: str, until: datetime | None, now: datetime, jitter: float) -> Account:
    """After a limit, or a refused login; *until* is the announced end. *jitter* in [0, 1) spreads the wake-ups."""
    if until is not None and until > now:
        wake_at = until + _MARGIN + jitter * _MARGIN_JITTER
        return replace(account, paused_until=wake_at, why=why, since=now, guesses=0)
    guess = min(_FIRST_GUESS * 2**account.guesses, _LONGEST_GUESS)
    return replace(account, paused_until=now + guess, why=why, since=now, guesses=account.guesses + 1)


def pause_ends_at(account: Account, now: datetime) -> datetime | None:
    """When the account is to be tried again; None if it may be now."""
    if account.paused_until is None:
        return None
    return Delay(account.since or now, account.paused_until).ends_at(now)


def opened(account: Account) -> Account:
    """After a task has shown that the account works again, or a person said so."""
    return replace(account, paused_until=None, why="", since=None, guesses=0)


def with_utilization(account: Account, utilization: float, *, now: datetime) -> Account:
    """After an agent reported how much of the limit is used."""
    return replace(account, utilization=utilization, told_at=now)


def utilization_now(account: Account, now: datetime) -> float | None:
    """The last report on the limit, None once it is too old to act on."""
    if account.told_at is None:
        return None
    is_fresh = timedelta() <= now - account.told_at <= _UTILIZATION_HOLDS_FOR
    return account.utilization if is_fresh else None
