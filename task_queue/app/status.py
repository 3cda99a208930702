"""Everything at a glance, of one installation."""

from __future__ import annotations

from datetime import datetime

from task_queue.app.account import account_from
from task_queue.app.answers import AccountView, StatusView
from task_queue.app.installation import Installation
from task_queue.app.overview import status_of


def status(
    installation: Installation, *, now: datetime, waiting_shown: int, ended_shown: int = 0
) -> StatusView:
    """At most so many waiting and ended tasks of each source. Raises ConfigError if there is no configuration."""
    return status_of(
        installation.sources(),
        config=installation.locations.config,
        daemon_state=installation.locations.daemon_state,
        account=_account(installation, now),
        now=now,
        problems=installation.problems,
        waiting_shown=waiting_shown,
        ended_shown=ended_shown,
    )


def _account(installation: Installation, now: datetime) -> AccountView:
    expected = installation.section("agent").get("account")
    budget = installation.section("limits").get("daily_budget_usd")
    return account_from(
        installation.locations.accounts,
        installation.locations.ledger,
        installation.locations.stopped,
        expected=expected if isinstance(expected, str) else "any",
        budget_usd=float(budget) if isinstance(budget, int | float) else None,
        now=now,
    )
