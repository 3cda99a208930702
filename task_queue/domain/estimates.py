"""How long a task will take and what it will cost, from what others of its type and source took. Pure.

Until there are ``ENOUGH`` of these, a published table answers, by type and length of the text; that is a guess and
is marked as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from task_queue.domain.document.choices import CLAUDE, WorkType
from task_queue.domain.statistics import EndRecord, quantile

ENOUGH = 5
"""Tasks that must have ended before their times count for more than the table."""
MOST = 50
"""The newest so many are looked at: what was long ago says little."""
SHORT, LONG = 500, 3000
"""Characters: a text below the first is short, one above the second is long."""
MINUTES: Mapping[WorkType, tuple[int, int, int]] = {
    WorkType.GENERAL: (5, 10, 20),
    WorkType.ANALYSIS: (4, 8, 15),
    WorkType.CODING: (8, 15, 30),
    WorkType.RESEARCH: (6, 12, 25),
    WorkType.REVIEW: (4, 8, 15),
    WorkType.DOCUMENTATION: (5, 10, 20),
}
"""The guesses for agents, for a short, a middling and a long text; a command is guessed to take one minute."""
COMMAND_MINUTES = 1
USD_PER_MINUTE = 0.06
P90_FACTOR = 3
"""Nine of ten are guessed to take at most so many times the median."""
_SAYS_NOTHING = frozenset({"cancelled", "rejected", "interrupted"})
"""Outcomes of which the time says nothing of others."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one task: seconds and USD. A cost of None is not known."""

    median_s: float
    p90_s: float
    median_usd: float | None
    p90_usd: float | None
    samples: int
    """Of how many tasks; 0: a guess."""
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict[str, float])
    """The median of each phase that most of them had; empty for a guess."""

    @property
    def is_guess(self) -> bool:
        return self.samples == 0


def is_sample(end: EndRecord) -> bool:
    """Whether its time says something of others of its type and source."""
    return bool(end.ran_ms) and end.outcome not in _SAYS_NOTHING


def estimate(samples: Iterable[EndRecord], *, task_type: str, executor: str, length: int) -> Estimate:
    """By *samples*, the newest first, of the same type and source; *length* is that of the text, in characters."""
    ends = [end for end in samples if is_sample(end)][:MOST]
    if len(ends) < ENOUGH:
        return _guess(task_type, executor, length)
    times = sorted((end.ran_ms or 0) / 1000 for end in ends)
    costs = sorted(end.cost_usd for end in ends if end.cost_usd is not None)
    return Estimate(
        median_s=quantile(times, 0.5) or 0.0,
        p90_s=quantile(times, 0.9) or 0.0,
        median_usd=quantile(costs, 0.5),
        p90_usd=quantile(costs, 0.9),
        samples=len(ends),
        seconds_by_phase=_by_phase(ends),
    )


def _guess(task_type: str, executor: str, length: int) -> Estimate:
    if executor != CLAUDE:
        seconds, usd = COMMAND_MINUTES * 60.0, 0.0
    else:
        known = WorkType(task_type) if task_type in set(WorkType) else WorkType.GENERAL
        column = 0 if length < SHORT else 2 if length > LONG else 1
        seconds = MINUTES[known][column] * 60.0
        usd = round(seconds / 60 * USD_PER_MINUTE, 2)
    return Estimate(seconds, seconds * P90_FACTOR, usd, usd * P90_FACTOR, 0)


def _by_phase(ends: list[EndRecord]) -> Mapping[str, float]:
    """A phase that fewer than half of them had does not count."""
    found: dict[str, list[float]] = {}
    reported = [end for end in ends if end.seconds_by_phase]
    for end in reported:
        sums: dict[str, float] = {}
        for name, seconds in end.seconds_by_phase.items():
            base = name.partition(" ")[0]
            sums[base] = sums.get(base, 0.0) + seconds
        for base, seconds in sums.items():
            found.setdefault(base, []).append(seconds)
    usual = {name: times for name, times in found.items() if 2 * len(times) >= len(reported)}
    return {name: float(median(times)) for name, times in usual.items()} if len(reported) >= ENOUGH else {}
