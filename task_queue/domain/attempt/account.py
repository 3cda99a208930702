"""The account that agents are billed to, as a state: open, paused until a time, or tried by one task.

Pure: the caller passes the time and the jitter. There is one account for each configuration, because all its
agents share one login. A limit for a class of models, or the refusal of one, pauses that alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from task_queue.domain.attempt.retry import Delay

if TYPE_CHECKING:
    from task_queue.domain.model import Pause  # listings do without it

_FIRST_GUESS = timedelta(minutes=15)
_LONGEST_GUESS = timedelta(hours=6)
_FIRST_BRIEF_GUESS = timedelta(minutes=1)
_LONGEST_BRIEF_GUESS = timedelta(minutes=15)
_MARGIN = timedelta(seconds=60)
_MARGIN_JITTER = timedelta(seconds=120)
_UTILIZATION_HOLDS_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ModelPause:
    """Of one model, or one class of models, of the account."""

    paused_until: datetime
    why: str
    since: datetime
    guesses: int = 0
    is_class: bool = False
    """Every model is meant whose name contains the class, not one name alone."""
    names: tuple[str, ...] = ()
    """Models that tasks named which met it."""
    sources: tuple[str, ...] = ()
    """Where a task that names no model met it: others like it would there, too."""
    needs_person: bool = False
    """As of the whole account."""

    def concerns(self, name: str, model: str | None, *, source: str) -> bool:
        """Whether a task of *source* that names *model* is of the paused *name*."""
        if model is None:
            return source in self.sources
        return model == name or model in self.names or (self.is_class and name in model.lower())


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account; what ``accounts.json`` holds."""

    paused_until: datetime | None = None
    """Nothing starts before; None while the account is open."""
    why: str = ""
    since: datetime | None = None
    guesses: int = 0
    """How many pauses in a row had no announced end."""
    needs_person: bool = False
    """The login or the billing was refused: time alone does not end that, though it is tried again."""
    utilization: float | None = None
    """Share of the usage limit that was used up at the last report, 0 to 1."""
    told_at: datetime | None = None
    models: dict[str, ModelPause] = field(default_factory=dict[str, ModelPause])
    """Pauses of a part of it, by model or class of models; one that is over stays until it is shown to be."""
    schema_version: int = 1


def paused(account: Account, pause: Pause, *, now: datetime, jitter: float) -> Account:
    """After a limit, or a refused login. *jitter* in [0, 1) spreads the wake-ups."""
    wake_at, guesses = _end_of(pause, account.guesses, now=now, jitter=jitter)
    return replace(
        account,
        paused_until=wake_at,
        why=pause.why,
        since=now,
        guesses=guesses,
        needs_person=pause.needs_person,
    )


def model_paused(
    account: Account, name: str, pause: Pause, *, source: str, asked: str | None, now: datetime, jitter: float
) -> Account:
    """After a limit for *name*, or its refusal, which a task of *source* met that names the model *asked*, or none."""
    known = account.models.get(name) or ModelPause(now, "", now)
    wake_at, guesses = _end_of(pause, known.guesses, now=now, jitter=jitter)
    names = known.names if asked is None else tuple(sorted({*known.names, asked}))
    sources = tuple(sorted({*known.sources, source})) if asked is None else known.sources
    found = ModelPause(wake_at, pause.why, now, guesses, pause.is_class, names, sources, pause.needs_person)
    return replace(account, models={**account.models, name: found})


def _end_of(pause: Pause, guesses: int, *, now: datetime, jitter: float) -> tuple[datetime, int]:
    """When the pause ends, and how many guesses in a row that makes."""
    if pause.until is not None and pause.until > now:
        return pause.until + _MARGIN + jitter * _MARGIN_JITTER, 0
    first, longest = (
        (_FIRST_BRIEF_GUESS, _LONGEST_BRIEF_GUESS) if pause.briefly else (_FIRST_GUESS, _LONGEST_GUESS)
    )
    return now + min(first * 2 ** min(guesses, 10), longest), guesses + 1


def models_paused(account: Account, now: datetime) -> Iterator[tuple[str, ModelPause]]:
    """Those whose pause is not over."""
    for name, pause in account.models.items():
        if Delay(pause.since, pause.paused_until).ends_at(now) is not None:
            yield name, pause


def was_paused(account: Account, *, before: datetime) -> bool:
    """Whether the account is paused since *before*: who began then tried it."""
    return account.since is not None and account.since <= before


def model_works(account: Account, model: str | None, *, source: str) -> Account:
    """After a task of *source* that names *model* got an answer: pauses of it are over."""
    left = {
        name: pause
        for name, pause in account.models.items()
        if not pause.concerns(name, model, source=source)
    }
    return account if len(left) == len(account.models) else replace(account, models=left)


def pause_ends_at(account: Account, now: datetime) -> datetime | None:
    """When the account is to be tried again; None if it may be now."""
    if account.paused_until is None:
        return None
    return Delay(account.since or now, account.paused_until).ends_at(now)


def opened(account: Account) -> Account:
    """After a task has shown that the account works again."""
    return replace(account, paused_until=None, why="", since=None, guesses=0, needs_person=False)


def with_utilization(account: Account, utilization: float, *, now: datetime) -> Account:
    """After an agent reported how much of the limit is used."""
    return replace(account, utilization=utilization, told_at=now)


def utilization_now(account: Account, now: datetime) -> float | None:
    """The last report on the limit, None once it is too old to act on."""
    if account.told_at is None:
        return None
    is_fresh = timedelta() <= now - account.told_at <= _UTILIZATION_HOLDS_FOR
    return account.utilization if is_fresh else None


def utilization_told_until(account: Account) -> datetime | None:
    """Until when the last report on the limit counts, None if there was none."""
    return None if account.told_at is None else account.told_at + _UTILIZATION_HOLDS_FOR
