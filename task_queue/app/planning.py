"""``plan``: what would run in which order and when, what it would cost, and what is in its way already."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app.answers import SCHEMA_VERSION, EstimateView, ListedSource
from task_queue.app.circumstances import Circumstances
from task_queue.app.doctor.login import agent_cli
from task_queue.app.estimating import Outlook, outlook
from task_queue.app.fleet_sight import fleet_sight
from task_queue.app.installation import Installation
from task_queue.config.environment import agent_environment
from task_queue.config.schema import Config
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.domain.document import naming
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import ConfigError, GitError, TaskFileError
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import Task, TaskId, TaskState
from task_queue.git.guarding import guarded
from task_queue.git.predicted_conflicts import predicted_conflicts
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from task_queue.platform import durable

OnPart = Callable[[str, int, int], None]
"""Called with what is done at the moment, how much of it is done, and of how much."""


def _unheard(_what: str, _done: int, _of: int) -> None:
    """No one watches."""


@dataclass(eq=False, repr=False, slots=True)
class PlannedView:
    """One waiting task."""

    task_id: TaskId
    source: str
    title: str
    priority: int
    why: str
    """Why it waits now, in the words of ``status``."""
    estimate: EstimateView
    """Its ``starts_at`` is null where nothing but a person, or something without a time, lets it start."""
    is_doomed: bool = False
    """It will fail without being started: a task that it depends on failed."""


@dataclass(eq=False, repr=False, slots=True)
class PlanProblemView:
    """What would keep tasks from running, or from counting, tonight."""

    sentence: str
    command: str
    """Settles it, or shows what there is to decide."""
    source: str | None = None
    task_id: TaskId | None = None


@dataclass(eq=False, repr=False, slots=True)
class ConflictView:
    """Two unmerged branches of one repository, or one and what is checked out (``HEAD``)."""

    repository: Path
    branch: str
    other: str
    paths: tuple[str, ...]


@dataclass(eq=False, repr=False, slots=True)
class PlannedSourceView:
    id: str
    waiting: int
    empty_at: datetime | None
    """When all of it that can be foreseen has ended; null if that is nothing."""
    median_usd: float
    p90_usd: float
    """Of what will start, as far as it is known."""


@dataclass(eq=False, repr=False, slots=True)
class PlanView:
    now: datetime
    tasks: tuple[PlannedView, ...]
    """Those that will start, in the order in which they will; then the others, in that of their sources."""
    sources: tuple[PlannedSourceView, ...]
    problems: tuple[PlanProblemView, ...]
    conflicts: tuple[ConflictView, ...]
    guesses: int
    """How many of the estimates are guesses."""
    ends_at: datetime | None
    median_usd: float
    p90_usd: float
    fleet: FleetSight | None = None
    """What came in at other hosts, and runs or waits: it is not among *tasks*, nor in what is expected of them."""
    schema_version: int = SCHEMA_VERSION


def plan(installation: Installation, *, step: OnPart = _unheard) -> PlanView:
    """Nothing is started and nothing written. Raises ConfigError, OSError."""
    circumstances = installation.circumstances(read_all=True)
    for number, source in enumerate(circumstances.sources):
        step("reading what waits in the sources", number, len(circumstances.sources))
        with suppress(OSError):  # said where the source is shown
            circumstances.snapshots.survey(source.id)
    expected = outlook(circumstances, installation.locations.events)
    tasks, unread = _planned(circumstances, expected)
    problems = [*unread, *_problems(installation, circumstances, expected, step)]
    sources = tuple(_of_source(listed, expected, tasks) for listed in circumstances.sources)
    ends = list(expected.forecast.empty_at.values())
    return PlanView(
        now=circumstances.now,
        tasks=tuple(tasks),
        sources=sources,
        problems=tuple(problems),
        conflicts=tuple(_conflicts(installation, step)),
        guesses=sum(task.estimate.is_guess for task in tasks),
        ends_at=max(ends, default=None),
        median_usd=round(sum(source.median_usd for source in sources), 6),
        p90_usd=round(sum(source.p90_usd for source in sources), 6),
        fleet=_of_fleet(installation),
    )


def _of_fleet(installation: Installation) -> FleetSight | None:
    sight, open_ones = fleet_sight(installation), frozenset({TaskState.RUNNING, TaskState.PENDING})
    return None if sight is None else sight.limited(len(sight.tasks), states=open_ones)


def _planned(
    circumstances: Circumstances, expected: Outlook
) -> tuple[list[PlannedView], list[PlanProblemView]]:
    """Tasks as ``PlanView.tasks`` has them, and the sources that cannot be read."""
    views: dict[tuple[str, TaskId], PlannedView] = {}
    unread: list[PlanProblemView] = []
    for listed in circumstances.sources:
        running = sum(source == listed.id for source, _ in expected.ends)
        try:
            reasons = circumstances.snapshots.reasons(
                listed.id, now=circumstances.now, running=running, holds=circumstances.holds(listed)
            )
        except OSError as error:
            unread.append(
                PlanProblemView(
                    f"{listed.folders.pending} cannot be read: {error.strerror}",
                    "task-queue doctor",
                    listed.id,
                )
            )
            continue
        for task, why in reasons:
            estimate = expected.estimate_of(listed.id, task)
            foreseen = expected.starts.get((listed.id, task.id))
            views[listed.id, task.id] = PlannedView(
                task.id,
                listed.id,
                task.title,
                task.priority,
                why,
                estimate,
                is_doomed=foreseen is not None and foreseen.is_doomed,
            )
    first = [views.pop(key) for key in expected.starts if key in views]
    return [*first, *views.values()], unread


def _of_source(listed: ListedSource, expected: Outlook, tasks: list[PlannedView]) -> PlannedSourceView:
    own = [task for task in tasks if task.source == listed.id]
    started = [task.estimate for task in own if task.estimate.starts_at is not None]
    return PlannedSourceView(
        id=listed.id,
        waiting=len(own),
        empty_at=expected.forecast.empty_at.get(listed.id),
        median_usd=round(sum(each.median_usd or 0.0 for each in started), 6),
        p90_usd=round(sum(each.p90_usd or 0.0 for each in started), 6),
    )


def _problems(
    installation: Installation, circumstances: Circumstances, expected: Outlook, step: OnPart
) -> Iterator[PlanProblemView]:
    yield from (PlanProblemView(each, "task-queue doctor") for each in installation.problems)
    config: Config | None = None
    try:
        config = installation.config
    except ConfigError as error:
        yield PlanProblemView(error.in_full, "task-queue config check")
    needs_agent = False
    for number, listed in enumerate(circumstances.sources):
        step("looking at the tasks", number, len(circumstances.sources))
        try:
            survey = circumstances.snapshots.survey(listed.id)
            stuck = circumstances.snapshots.stuck(listed.id)
        except OSError:
            continue
        for task_id, why in survey.rejected:
            path = shlex.quote(str(listed.folders.pending / naming.document_of(task_id)))
            yield PlanProblemView(
                f"will be rejected: {why}", f"task-queue tasks check {path}", listed.id, task_id
            )
        for task, why in stuck:
            yield PlanProblemView(why, f"task-queue tasks show {task.id}", listed.id, task.id)
        waiting = list(survey.waiting)
        needs_agent = needs_agent or any(task.uses_agent for task in waiting)
        if config is not None:
            yield from _that_orders_find(installation, config, listed, waiting)
        yield from _of_budgets(circumstances, listed, expected, waiting)
    if config is not None and needs_agent:
        step("asking whether the agent is logged in", 0, 1)
        for check in agent_cli(config):
            if check.level != "ok":
                yield PlanProblemView(check.what, check.fix or "task-queue doctor")


def _that_orders_find(
    installation: Installation, config: Config, listed: ListedSource, waiting: list[Waiting]
) -> Iterator[PlanProblemView]:
    """Of one task of each kind, and of each that names its workspace: a task like another fails like it."""
    source = config.source(listed.id)
    if source is None:
        return
    orders = orders_of(installation, config, listed.id)
    seen: set[tuple[str, str | None]] = set()
    for task in waiting:
        kind = (task.executor, task.id if task.workspace is not None else None)
        if task.lacks or kind in seen:
            continue
        seen.add(kind)
        document = document_of(listed, task.id)
        problem = None if document is None else orders.problem_with(document)
        if problem is not None:
            about = task.id if task.workspace is not None else None
            yield PlanProblemView(problem, "task-queue doctor", listed.id, about)


def _of_budgets(
    circumstances: Circumstances, listed: ListedSource, expected: Outlook, waiting: list[Waiting]
) -> Iterator[PlanProblemView]:
    for task in waiting:
        found = expected.estimates.of_waiting(listed.id, task)
        cap = task.max_budget_usd
        if cap is not None and found.median_usd is not None and found.median_usd > cap and not found.is_guess:
            yield PlanProblemView(
                f"max_budget_usd {cap:.2f} will not suffice: half of {found.samples} tasks like it cost"
                f" {found.median_usd:.2f} or more",
                f"task-queue tasks edit {task.id}",
                listed.id,
                task.id,
            )
    budgets = {
        f"the daily budget of source {listed.id}": listed.daily_budget_usd,
        "the daily budget": circumstances.account.daily_budget_usd,
    }
    for name, budget in budgets.items():
        dearest = max(
            (expected.estimates.of_waiting(listed.id, task).median_usd or 0.0 for task in waiting),
            default=0.0,
        )
        if budget is not None and dearest > budget:
            yield PlanProblemView(
                f"{name}, {budget:.2f} USD, will not suffice for one of its tasks, which is expected to cost"
                f" {dearest:.2f}",
                "task-queue config edit",
                listed.id,
            )


def _conflicts(installation: Installation, step: OnPart) -> Iterator[ConflictView]:
    """Of the repositories that the sources work in."""
    try:
        config = installation.config
    except ConfigError:
        return
    workspaces = {
        workspace for source in config.sources if (workspace := config.workspace_of(source)) is not None
    }
    env = without_secrets(agent_environment(config.agent, os.environ))
    seen: set[Path] = set()
    for workspace in sorted(workspaces):
        try:
            git = Git(workspace, {**env, "GIT_NO_LAZY_FETCH": "1"})
            root = root_of(git) if workspace.is_dir() else None
            if root is None or root in seen:
                continue
            seen.add(root)
            there = guarded(git.at(root), installation.locations.trusted_programs)
            for each in predicted_conflicts(
                there, step=lambda done, of: step("comparing branches", done, of)
            ):
                yield ConflictView(root, each.branch, each.other, each.paths)
        except (GitError, OSError):
            continue  # where git cannot say it, nothing is predicted


def orders_of(installation: Installation, config: Config, source_id: str) -> ConfiguredOrders:
    """As the daemon would make them; nothing is set aside, and no key is read."""
    source = config.source(source_id)
    assert source is not None
    locations = installation.locations
    return ConfiguredOrders(
        lambda: config,
        source,
        locations.private,
        os.environ,
        allowance=lambda _source, _task_id, wanted: wanted,
        trust=SettingsTrust(locations.trusted_settings),
        worktrees=locations.worktrees,
        temporary=locations.temporary,
        documents=locations.documents,
        with_credentials=False,
    )


def document_of(listed: ListedSource, task_id: TaskId) -> Task | None:
    """None if it is gone, or not valid: both are said elsewhere."""
    try:
        data, _ = durable.read_regular(listed.folders.pending / naming.document_of(task_id), limit=MAX_BYTES)
        return parse(data, task_id)
    except (OSError, TaskFileError):
        return None
