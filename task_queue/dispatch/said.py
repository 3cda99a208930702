"""What front ends show of a source that workers serve, in the words in which the daemon says it of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from task_queue.daemon.admission import SharedLimits
from task_queue.daemon.admission.running import described
from task_queue.dispatch.leased_source import LeasedSource
from task_queue.domain.holds import AgentHold
from task_queue.domain.lease import why_unfetched


def said_of(source: LeasedSource, limits: SharedLimits, asked: Mapping[str, str | None]) -> dict[str, Any]:
    """*asked*: as in ``why_unfetched``."""
    why, holds = _held(source, limits)
    unfetched = why_unfetched(asked)
    runs = [each for task in limits.running.of(source.id) if (each := described(task)) is not None]
    return {
        "state": "serving" if source.trouble is None else "unavailable",
        "why": why or unfetched,
        "holds": holds,
        "runs": runs,
        "needs_person": limits.tripped(source.id) is not None or (why is None and unfetched is not None),
        "watch": "events",
    }


def _held(source: LeasedSource, limits: SharedLimits) -> tuple[str | None, str | None]:
    """Why its first task does not start, and what else that holds."""
    if source.trouble is not None:
        return source.trouble, "everything"
    everything = limits.closed(source.id) or (limits.room(source.id) if source.has_waiting else None)
    if everything is not None:
        return everything.why, "everything"
    budget = limits.budget_hold(source.id)
    held = source.first_held(limits.hold(source.id))
    if held is None:
        return None, None
    is_for_agents = isinstance(budget, AgentHold) and budget.held.why == held
    return held, "agents" if is_for_agents else "one"
