"""Who pays, whether the account is open, and what was spent today: from the state directory's files."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from task_queue.app.answers import AccountView
from task_queue.app.files import record, tail_of, text_in, time_in

_TAIL_BYTES = 1 << 20


def account_from(
    accounts: Path, ledger: Path, stopped: Path, *, expected: str, budget_usd: float | None, now: datetime
) -> AccountView:
    """A missing or unreadable file counts as an open account: the daemon takes it so too."""
    state = record(accounts)
    known = state if isinstance(state, dict) else {}
    used = known.get("utilization")
    spent, estimated = _spent_on_day_of(now, ledger)
    return AccountView(
        expected=expected,
        paused_until=time_in(known, "paused_until"),
        why=text_in(known, "why"),
        utilization=float(used) if isinstance(used, int | float) else None,
        spent_today_usd=spent,
        estimated_today_usd=estimated,
        daily_budget_usd=budget_usd,
        stopped=stopped.exists(),
    )


def _spent_on_day_of(now: datetime, ledger: Path) -> tuple[float, float]:
    """In all and by estimate, from the end of the ledger, where today's lines are.

    An attempt entered twice counts once.
    """
    lines, _ = tail_of(ledger, _TAIL_BYTES)
    entries: dict[tuple[object, object, object], tuple[float, float]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if datetime.fromisoformat(entry["at"]).astimezone().date() == now.astimezone().date():
                costs = float(entry["usd"]), float(entry.get("estimated_usd", 0.0))
                entries[entry["source"], entry["task_id"], entry["attempt"]] = costs
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return sum(usd for usd, _ in entries.values()), sum(estimated for _, estimated in entries.values())
