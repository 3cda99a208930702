"""How far a running attempt has come, in percent, from its phases and from how long these took others. Pure.

It never falls while the attempt runs: each phase begins where the one before it is taken to end, whatever it took,
and a further round of work stays where the first one ended. It is never 100 before the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from task_queue.domain.attempt.current_phase import CurrentPhase, shown_name
from task_queue.domain.estimates import Estimate

_ORDER = ("setup", "implement", "command", "verify", "audit", "commit", "landing")
_JUDGED = _ORDER.index("commit")
"""Where all rounds have ended."""
_NEARLY = 0.95
"""Of a phase that takes longer than it took others."""
_MOST = 99


def percent_done(
    phase: CurrentPhase | None, found: Estimate, *, since: datetime | None, now: datetime
) -> int | None:
    """0 to 99; None where too little is known. *since* is when the attempt began."""
    if found.is_guess:
        return None
    if not found.seconds_by_phase:
        return None if since is None else _share(_within(since, now, found.median_s))
    if phase is None or phase.name not in _ORDER or phase.since is None:
        return None
    expected = _in_order(found.seconds_by_phase)
    total, place = sum(expected), _ORDER.index(phase.name)
    if total <= 0:
        return None
    if (phase.round or 1) > 1 and place < _JUDGED:
        return _share(sum(expected[:_JUDGED]) / total)
    done = sum(expected[:place]) + expected[place] * _within(phase.since, now, expected[place])
    return _share(done / total)


def _in_order(seconds: Mapping[str, float]) -> list[float]:
    named = {shown_name(name): value for name, value in seconds.items()}
    return [named.get(name, 0.0) for name in _ORDER]


def _within(begun: datetime, now: datetime, seconds: float) -> float:
    return min(_NEARLY, max(0.0, (now - begun).total_seconds() / seconds)) if seconds > 0 else 0.0


def _share(done: float) -> int:
    return min(_MOST, int(100 * done))
