"""``stats``: how many tasks ended and how, how long they waited and ran, what they cost, what limits did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from task_queue.app.answers import SCHEMA_VERSION
from task_queue.app.installation import Installation
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.statistics import (
    ACCOUNT_PAUSED,
    LIMITED,
    Tally,
    Totals,
    quantile,
    time_paused,
)
from task_queue.domain.task import TaskState
from task_queue.store.event_summaries import EventSummaries

CHOICES = ("source", "type", "model", "outcome", "day")
_NOT_TRIED = frozenset({"cancelled", "rejected"})
"""Outcomes that say nothing of how well tasks succeed."""


@dataclass(eq=False, repr=False, slots=True)
class SpanView:
    """Seconds; of how many tasks it is known."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    median_s: float | None = None
    """Half took no longer."""
    p90_s: float | None = None
    """Nine of ten took no longer."""
    known: int = 0
    """Of how many it is known."""


@dataclass(eq=False, repr=False, slots=True)
class GroupView:
    """Of some ends. Sums are over those of which the figure is known."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    name: str
    """Empty for all of them."""
    ended: int = 0
    """How many ended."""
    states: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many in each state."""
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many with each outcome."""
    success_rate: float | None = None
    """Share of those that completed among all but the cancelled and the rejected, 0 to 1."""
    waited: SpanView = field(default_factory=SpanView)
    """From when a task could have started to its first attempt."""
    ran: SpanView = field(default_factory=SpanView)
    """All attempts of a task, without the waits between them."""
    cost_usd: float = 0.0
    """What they cost together."""
    cost_known: int = 0
    """Of how many the cost is known."""
    input_tokens: int = 0
    """That models read."""
    output_tokens: int = 0
    """That models wrote."""
    tokens_known: int = 0
    """Of how many the tokens are known."""
    retries: int = 0
    """Attempts beyond the first of each task."""
    tasks_retried: int = 0
    """Tasks with more than one attempt."""
    limited: int = 0
    """Attempts that a usage limit sent back."""
    tasks_limited: int = 0
    """Tasks that a usage limit sent back at least once."""
    attempts_known: int = 0
    """Of how many the attempts are known."""
    dead_letters: int = 0
    """Failed with all their attempts used up."""


@dataclass(eq=False, repr=False, slots=True)
class LimitsView:
    """What usage limits did."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    met: int
    """How often an attempt met the usage limit."""
    pauses: int
    """How often the whole account was paused."""
    paused_s: float
    """For how long nothing could start on the account, as far as the log says."""
    paused_share: float | None
    """Of the time that the answer is about."""


@dataclass(eq=False, repr=False, slots=True)
class StatsView:
    """Counts, times, costs and success of what ended."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}
    since: datetime | None
    """None: since the event log begins."""
    begins: datetime | None
    """The first event that the answer is about; None without any."""
    until: datetime
    """The moment of the answer."""
    all: GroupView
    """Of everything that ended."""
    limits: LimitsView
    """How often they held tasks up, and for how long."""
    by: str | None = None
    """What `groups` are by; null without any."""
    groups: tuple[GroupView, ...] = ()
    """The most frequent first; days the newest first."""
    schema_version: int = SCHEMA_VERSION
    """Of this answer."""


def statistics(
    installation: Installation,
    *,
    since: datetime | None = None,
    by: str | None = None,
    step: Callable[[int, int], None] = lambda _done, _of: None,
) -> StatsView:
    """From the event log. *step* is called while parts of it are read: how many are done, of how many.

    Raises TaskQueueError if *by* is none of ``CHOICES``, OSError.
    """
    if by is not None and by not in CHOICES:
        raise TaskQueueError(f"there is no '{by}' to group by", hint=f"choose one of: {', '.join(CHOICES)}")
    locations, now = installation.locations, installation.now()
    dimension = by or CHOICES[0]
    totals, begins = Totals(dimension), since
    for summary in EventSummaries(locations.events, locations.summaries).since(since, dimension, step=step):
        totals.add(summary)
        begins = begins or summary.begins
    whole: dict[tuple[str, str], Tally] = {}
    for group in totals.groups.values():
        for kind, tally in group.items():
            whole.setdefault(kind, Tally()).merge(tally)
    views = [_view(name, group) for name, group in totals.groups.items()] if by is not None else []
    views.sort(key=lambda view: view.name, reverse=by == "day")
    if by != "day":
        views.sort(key=lambda view: -view.ended)
    met = [event for event in totals.limits if since is None or event.at >= since]
    paused = time_paused(totals.limits, since=since, until=now).total_seconds()
    length = (now - begins).total_seconds() if begins is not None else 0.0
    return StatsView(
        since=since,
        begins=begins,
        until=now,
        all=_view("", whole),
        limits=LimitsView(
            met=sum(event.type == LIMITED for event in met),
            pauses=sum(event.type == ACCOUNT_PAUSED and event.model is None for event in met),
            paused_s=paused,
            paused_share=paused / length if length > 0 else None,
        ),
        by=by,
        groups=tuple(views),
    )


def _view(name: str, group: Mapping[tuple[str, str], Tally]) -> GroupView:
    whole = Tally()
    states: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    tried = completed = 0
    for (outcome, state), tally in group.items():
        whole.merge(tally)
        states[state] = states.get(state, 0) + tally.number
        outcomes[outcome] = outcomes.get(outcome, 0) + tally.number
        if outcome not in _NOT_TRIED:
            tried += tally.number
            completed += tally.number if state == TaskState.COMPLETED else 0
    return GroupView(
        name=name,
        ended=whole.number,
        states=_most_first(states),
        outcomes=_most_first(outcomes),
        success_rate=completed / tried if tried else None,
        waited=_span(whole.waited_ms),
        ran=_span(whole.ran_ms),
        cost_usd=round(whole.cost_usd, 6),
        cost_known=whole.priced,
        input_tokens=whole.input_tokens,
        output_tokens=whole.output_tokens,
        tokens_known=whole.metered,
        retries=whole.retries,
        tasks_retried=whole.retried,
        limited=whole.limited,
        tasks_limited=whole.tasks_limited,
        attempts_known=whole.followed,
        dead_letters=whole.dead_letters,
    )


def _span(values: list[int]) -> SpanView:
    values.sort()
    median, p90 = quantile(values, 0.5), quantile(values, 0.9)
    return SpanView(
        median_s=None if median is None else median / 1000,
        p90_s=None if p90 is None else p90 / 1000,
        known=len(values),
    )


def _most_first(counts: Mapping[str, int]) -> Mapping[str, int]:
    return dict(sorted(counts.items(), key=lambda count: (-count[1], count[0])))
