"""Who pays, whether the account is open, and what was spent today: from the state directory's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from task_queue.app.answers import AccountView, PausedModelView
from task_queue.app.files import (
    Record,
    number_in,
    record,
    text_in,
    texts_in,
    time_in,
)
from task_queue.app.spent import spent_since
from task_queue.domain.local_time import start_of_day

if TYPE_CHECKING:
    from task_queue.domain.attempt.account import Account, ModelPause


@dataclass(eq=False, repr=False, slots=True)
class AccountFiles:
    accounts: Path
    ledger: Path
    stopped: Path


@dataclass(eq=False, repr=False, slots=True)
class AccountReading:
    """The account as it is shown, and as the daemon would decide by it."""

    view: AccountView
    state: Account | None
    """None where the account was never paused, nor said how much of it is used."""
    by_source: Mapping[str, float]
    """USD spent today."""


def account_from(
    files: AccountFiles, *, expected: object, budget_usd: float | None, now: datetime
) -> AccountReading:
    """A missing or unreadable file counts as an open account: the daemon takes it so too."""
    content = record(files.accounts)
    known = content if isinstance(content, dict) else {}
    state = _state(known) if known else None
    spent, estimated = spent_since(start_of_day(now), files.ledger)
    view = AccountView(
        expected=expected if isinstance(expected, str) else "any",
        paused_until=time_in(known, "paused_until"),
        why=text_in(known, "why"),
        paused_models=_paused_models(state, now) if known.get("models") and state is not None else {},
        utilization=number_in(known, "utilization"),
        spent_today_usd=sum(spent.values()),
        estimated_today_usd=estimated,
        daily_budget_usd=budget_usd,
        stopped=files.stopped.exists(),
    )
    return AccountReading(view, state, spent)


def _state(known: Record) -> Account:
    from task_queue.domain.attempt.account import Account  # an untouched account needs none: 3 ms

    return Account(
        paused_until=time_in(known, "paused_until"),
        why=text_in(known, "why") or "",
        since=time_in(known, "since"),
        utilization=number_in(known, "utilization"),
        told_at=time_in(known, "told_at"),
        needs_person=known.get("needs_person") is True,
        models=_models(known),
    )


def _models(known: Record) -> dict[str, ModelPause]:
    listed: object = known.get("models")
    if not isinstance(listed, dict):
        return {}
    from task_queue.domain.attempt.account import ModelPause

    found: dict[str, ModelPause] = {}
    for name, pause in cast("dict[str, object]", listed).items():
        if not isinstance(pause, dict):
            continue
        fields = cast("Record", pause)
        until, since = time_in(fields, "paused_until"), time_in(fields, "since")
        if until is not None and since is not None:
            found[name] = ModelPause(
                paused_until=until,
                why=text_in(fields, "why") or "",
                since=since,
                is_class=fields.get("is_class") is True,
                names=texts_in(fields, "names"),
                sources=texts_in(fields, "sources"),
                needs_person=fields.get("needs_person") is True,
            )
    return found


def _paused_models(account: Account, now: datetime) -> dict[str, PausedModelView]:
    from task_queue.domain.attempt.account import models_paused

    return {name: PausedModelView(each.paused_until, each.why) for name, each in models_paused(account, now)}
