"""The ending of an attempt whose runner died after the agent had finished, read back from the transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from task_queue.domain.exits import outcome_of_exit
from task_queue.domain.model import Claim, Ending, Work
from task_queue.domain.progress import progress_of
from task_queue.domain.results import bare_ending
from task_queue.domain.verdict import judge


def rebuilt_ending(
    claim: Claim, lines: Iterable[str], *, session_cost_usd: float, now: datetime
) -> Ending | None:
    """None if the agent had not reported its end. *session_cost_usd* is the session's total before.

    Also None where the agent's end is only the end of a phase: such an attempt goes on from its steps.
    """
    lines = tuple(lines)
    if _has_phases(lines):
        return None
    code = _exit_code(lines)
    if code is not None:
        return bare_ending(claim, outcome_of_exit(code), by="recovery", now=now, work=Work())
    progress = progress_of(lines)
    if progress.result is None:
        return None
    work = progress.work(session_id=claim.session_id, session_cost_usd=session_cost_usd)
    return bare_ending(claim, judge(progress.observation()), by="recovery", now=now, work=work)


def _has_phases(lines: Iterable[str]) -> bool:
    return any('"type": "workflow"' in line for line in lines)


def _exit_code(lines: tuple[str, ...]) -> int | None:
    """What a ``command`` ended with, from the last line of its transcript."""
    try:
        raw: Any = json.loads(lines[-1])["raw"]
        return int(raw["code"]) if raw["type"] == "exit" else None
    except (IndexError, KeyError, TypeError, ValueError):
        return None
