"""The ending of an attempt whose runner died after the agent had finished, read back from the transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from task_queue.domain.exits import outcome_of_exit
from task_queue.domain.model import Claim, Ending, Work
from task_queue.domain.results import bare_ending


def rebuilt_ending(claim: Claim, lines: Iterable[str], *, now: datetime) -> Ending | None:
    """None if the agent had not reported its end, or the last line is torn."""
    frame: dict[str, Any] | None = None
    for line in lines:
        raw = _raw(line)
        if raw is not None and raw.get("type") == "exit":
            frame = raw
    if frame is None:
        return None
    outcome = outcome_of_exit(int(frame["code"]))
    return bare_ending(claim, outcome, by="recovery", now=now, work=Work(session_id=None))


def _raw(line: str) -> dict[str, Any] | None:
    try:
        raw = json.loads(line)["raw"]
    except (ValueError, KeyError, TypeError):
        return None
    return raw if isinstance(raw, dict) else None
