"""What was spent since a moment, from the ledger of the state folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from task_queue.app.files import number_in, object_in, tail_of, text_in, time_in, whole_in

_TAIL_BYTES = 1 << 20
"""Of the ledger, about 7,000 attempts."""


def spent_since(since: datetime, ledger: Path) -> tuple[Mapping[str, float], float]:
    """USD by source, and how much of it by estimate; an attempt entered twice counts once."""
    lines, _ = tail_of(ledger, _TAIL_BYTES)
    entries: dict[tuple[str, str, int], tuple[float, float]] = {}
    for line in lines:
        entry = object_in(line)
        if isinstance(entry, str):
            continue
        source, at, usd = text_in(entry, "source"), time_in(entry, "at"), number_in(entry, "usd")
        task_id, attempt = text_in(entry, "task_id"), whole_in(entry, "attempt")
        if source is None or task_id is None or attempt is None or at is None or usd is None:
            continue
        if at >= since:
            entries[source, task_id, attempt] = usd, number_in(entry, "estimated_usd") or 0.0
    spent: dict[str, float] = {}
    for (source, _, _), (usd, _) in entries.items():
        spent[source] = spent.get(source, 0.0) + usd
    return spent, sum(estimated for _, estimated in entries.values())
