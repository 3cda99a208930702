"""How long tasks will take, and when those that wait will start: from the newest ends of the event log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from task_queue.app.answers import EstimateView, ListedSource, RunningView, SourceView
from task_queue.app.circumstances import Circumstances
from task_queue.app.running import running_in
from task_queue.domain.attempt.completion import percent_done
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.errors import TaskFileError
from task_queue.domain.estimates import MOST, Estimate, estimate, is_sample
from task_queue.domain.forecast import Forecast, Foreseen, Outlay, SideBySide, SourceOutlook
from task_queue.domain.statistics import SETTLED, EndRecord, end_in
from task_queue.domain.task import TaskId
from task_queue.domain.together import Workplace
from task_queue.platform import durable
from task_queue.store.event_history import SearchBound, newest_first

_SEGMENTS = 16
"""Of the event log, of the newest of which ends are taken: 64 MB."""
_LEAST_LEFT_S = 30.0
"""Of a task that has already taken longer than most others."""
_TEXT_LIMIT = 2**20
Group = tuple[str, str]
"""Source and type: tasks of one group are expected to take as long as each other."""


class Estimates:
    """Of the tasks of some groups, from those that ended before them."""

    def __init__(self, events: Path, groups: Iterable[Group], *, before: datetime | None = None) -> None:
        """Only ends *before* that time count: so that what is said of one attempt does not change meanwhile."""
        self._ends: dict[Group, list[EndRecord]] = {group: [] for group in groups}
        self._made: dict[tuple[Group, str, int], Estimate] = {}
        if self._ends:
            self._read(events, before)

    def of(self, source: str, *, task_type: str, executor: str, length: int) -> Estimate:
        key = ((source, task_type), executor, length)
        if key not in self._made:
            ends = self._ends.get(key[0], [])
            self._made[key] = estimate(ends, task_type=task_type, executor=executor, length=length)
        return self._made[key]

    def of_waiting(self, source: str, task: Waiting) -> Estimate:
        return self.of(source, task_type=task.type, executor=task.executor, length=task.length)

    def _read(self, events: Path, before: datetime | None) -> None:
        lacking = dict.fromkeys(self._ends)

        def may_be_wanted(lines: bytes) -> bool:
            return any(
                b'"task_type":"%s"' % kind.encode() in lines and b'"source":"%s"' % source.encode() in lines
                for source, kind in lacking
            )

        told: set[tuple[str, str, int | None]] = set()
        try:
            bound = SearchBound(_SEGMENTS)
            for event in newest_first(events, [SETTLED], may_be_wanted=may_be_wanted, bound=bound):
                end = end_in(event.at, event.record)
                group = (end.source, end.task_type)
                if group not in lacking or (end.source, *end.key) in told or not is_sample(end):
                    continue
                if before is not None and end.at >= before:
                    continue
                told.add((end.source, *end.key))
                self._ends[group].append(end)
                if len(self._ends[group]) == MOST:
                    del lacking[group]
                    if not lacking:
                        return
        except OSError:
            return  # the answer is a guess then


@dataclass(eq=False, slots=True)
class Outlook:
    """What is expected of all sources at one moment."""

    forecast: Forecast
    estimates: Estimates
    ends: Mapping[tuple[str, TaskId], datetime]
    """Of what runs."""
    starts: Mapping[tuple[str, TaskId], Foreseen] = field(default_factory=dict[tuple[str, TaskId], Foreseen])

    def estimate_of(self, source: str, task: Waiting) -> EstimateView:
        """With start and end where they can be foreseen."""
        found = self.estimates.of_waiting(source, task)
        foreseen = self.starts.get((source, task.id))
        starts = None if foreseen is None or foreseen.is_doomed else foreseen.starts
        return view_of(found, starts=starts)


def outlook(circumstances: Circumstances, events: Path) -> Outlook:
    """*events* is the folder of the event log. Sources that cannot be read are left out."""
    from task_queue.domain.holds import Holds
    from task_queue.domain.together import Caps
    from task_queue.git.location import workplace_of

    listed = {source.id: source for source in circumstances.sources}
    waiting: dict[str, tuple[Waiting, ...]] = {}
    failing: dict[str, tuple[TaskId, ...]] = {}
    running: dict[str, list[RunningView]] = {}
    for source in circumstances.sources:
        try:
            survey = circumstances.snapshots.survey(source.id)
            running[source.id] = running_in(source.id, source.folders, survey.locks, circumstances.now)[0]
            waiting[source.id] = tuple(survey.waiting)
            failing[source.id] = (*(task_id for task_id, _ in survey.rejected), *survey.cancelled)
        except OSError:
            continue
    texts = {
        (source, task.task_id): _kind_of(listed[source], task)
        for source, tasks in running.items()
        for task in tasks
    }
    groups = {(source, task.type) for source, tasks in waiting.items() for task in tasks}
    groups |= {(source, kind.task_type) for (source, _), kind in texts.items()}
    estimates = Estimates(events, groups)

    def end_of(source: str, task: RunningView) -> datetime:
        kind = texts[source, task.task_id]
        found = estimates.of(source, task_type=kind.task_type, executor=kind.executor, length=kind.length)
        return expected_end(found, since=task.since, now=circumstances.now)

    ends = {
        (source, task.task_id): end_of(source, task) for source, tasks in running.items() for task in tasks
    }

    def outlay(source: str, task: Waiting) -> Outlay:
        found = estimates.of_waiting(source, task)
        return Outlay(timedelta(seconds=found.median_s), found.median_usd or 0.0)

    def holds(source: str, at: datetime, spent: Mapping[str, float]) -> Holds:
        return circumstances.holds(listed[source], at=at, spent=spent)

    def opens(source: str, at: datetime) -> datetime | None:
        hours = listed[source].hours
        return None if hours is None or hours.is_open(at) else hours.opens_at(at)

    bases = {source.id: source.layers().workspace for source in circumstances.sources}

    def place(source: str, task: Waiting) -> Workplace:
        here = replace(task, in_place=False) if listed[source].is_remote else task
        return workplace_of(here, base=bases[source])

    matters = circumstances.caps != Caps() or any(
        task.touches for tasks in waiting.values() for task in tasks
    )
    forecast = Forecast(
        [
            SourceOutlook(
                source,
                waiting.get(source, ()),
                {task.task_id: ends[source, task.task_id] for task in running.get(source, ())},
                partial(outlay, source),
                failing.get(source, ()),
                found.slots,
            )
            for source, found in listed.items()
        ],
        now=circumstances.now,
        places=circumstances.places,
        state_in=circumstances.snapshots.state_in,
        holds_at=holds,
        opens_at=opens,
        side_by_side=SideBySide(
            circumstances.caps,
            circumstances.start_gap,
            place if matters else None,
            circumstances.neighbours(),
        ),
    )
    return Outlook(forecast, estimates, ends, {(each.source, each.task.id): each for each in forecast.tasks})


AttemptKey = tuple[str, TaskId, int]


def add_progress(
    circumstances: Circumstances,
    events: Path,
    views: Iterable[SourceView],
    *,
    known: MutableMapping[AttemptKey, Estimate] | None = None,
) -> None:
    """Fill in how far each running task has come, by those that had ended when it began.

    *known* has the estimates of earlier calls, which hold for as long as an attempt, and gets those of this one.
    """
    known = {} if known is None else known
    listed = {source.id: source for source in circumstances.sources}
    for view in views:
        for task in view.running:
            attempt = view.id, task.task_id, task.attempt
            if attempt not in known:
                kind = _kind_of(listed[view.id], task)
                earlier = Estimates(events, [(view.id, kind.task_type)], before=task.since)
                known[attempt] = earlier.of(
                    view.id, task_type=kind.task_type, executor=kind.executor, length=kind.length
                )
            found = known[attempt]
            task.percent = percent_done(task.phase, found, since=task.since, now=circumstances.now)


def add_outlook(circumstances: Circumstances, events: Path, views: Iterable[SourceView]) -> None:
    """Fill in when what waits will start, what runs will end, and each source will be empty."""
    expected = outlook(circumstances, events)
    for view in views:
        view.empty_at = expected.forecast.empty_at.get(view.id)
        for task in view.running:
            task.ends_at = expected.ends.get((view.id, task.task_id))
        try:
            known = circumstances.snapshots.survey(view.id).waiting
        except OSError:
            continue
        for each in view.waiting:
            waiting = known.get(each.task_id)
            if waiting is not None:
                each.estimate = expected.estimate_of(view.id, waiting)


@dataclass(frozen=True, slots=True)
class _KindOfTask:
    task_type: str
    executor: str
    length: int


def _kind_of(listed: ListedSource, task: RunningView) -> _KindOfTask:
    """Of a running task, from the text that runs."""
    from task_queue.domain.document.choices import CLAUDE, WorkType
    from task_queue.domain.document.taskfile import parse
    from task_queue.store.folder.layout import SNAPSHOT

    try:
        path = listed.folders.attempt(task.task_id, task.attempt) / SNAPSHOT
        data, _ = durable.read_regular(path, limit=_TEXT_LIMIT)
        document = parse(data, task.task_id)
        settings = listed.layers().known_settings_of(document.given)
    except (OSError, TaskFileError):
        return _KindOfTask(WorkType.GENERAL, CLAUDE, 0)
    return _KindOfTask(settings.type, settings.executor, len(document.body))


def expected_end(found: Estimate, *, since: datetime | None, now: datetime) -> datetime:
    """Of a running task; one that has taken longer than half of the others may take as long as nine of ten."""
    begun = now if since is None else min(since, now)
    for seconds in (found.median_s, found.p90_s):
        if begun + timedelta(seconds=seconds) > now:
            return begun + timedelta(seconds=seconds)
    return now + timedelta(seconds=_LEAST_LEFT_S)


def view_of(found: Estimate, *, starts: datetime | None = None) -> EstimateView:
    return EstimateView(
        median_s=round(found.median_s, 1),
        p90_s=round(found.p90_s, 1),
        median_usd=found.median_usd,
        p90_usd=found.p90_usd,
        samples=found.samples,
        is_guess=found.is_guess,
        starts_at=starts,
        ends_at=None if starts is None else starts + timedelta(seconds=found.median_s),
    )
