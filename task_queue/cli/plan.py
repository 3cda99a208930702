"""``plan``: what would run in which order and when, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from task_queue.app.installation import Installation
from task_queue.app.planning import PlannedSourceView, PlannedView, PlanView
from task_queue.app.planning import plan as plan_of
from task_queue.app.spelling import clock, estimated_span, money
from task_queue.cli import completing, render, screen
from task_queue.cli.counting import counting_parts
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.fleet_sight import fleet_listings
from task_queue.cli.render import Part, Renderable, faint, item, line, stacked, strong, table_rows
from task_queue.cli.screen import Listing
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.task import TaskState

_HEAD = ("starts", "task", "source", "takes", "costs", "why it waits")


@click.command()
@click.argument("tasks", metavar="[TASK]...", nargs=-1, shell_complete=completing.tasks_in(TaskState.PENDING))
@click.option(
    "--rehearse",
    is_flag=True,
    help="Play each TASK (default: all that wait) on copies, at no cost: the checkout, the set-up, verify, and a"
    " session with a scripted model that asks for what the rules name. Exit code 1 if something would fail.",
)
@as_json_option
@pass_installation
def plan(installation: Installation, *, tasks: tuple[str, ...], rehearse: bool, as_json: bool) -> int:
    """What would run in which order and when, what it would cost, and what is in its way; nothing is started.

    Exit code 3 if there are problems.
    """
    if rehearse:
        from task_queue.cli.rehearsal import show_rehearsal

        return show_rehearsal(installation, tasks, as_json=as_json)
    if tasks:
        raise click.UsageError("TASK needs --rehearse.")
    with counting_parts() as count:
        view = plan_of(installation, step=count)
    if as_json:
        render.say_json(view)
    else:
        screen.show(_shown(view), whole=False, command="task-queue plan")
    return NEEDS_ATTENTION if view.problems else 0


def _shown(view: PlanView) -> Iterator[Listing]:
    problems = [
        _with_command(_about(each.source, each.task_id), each.sentence, each.command)
        for each in view.problems
    ]
    if problems:
        yield Listing(problems, 0, head=[line(strong("Problems"))], foot=[line()], indent=2)
    conflicts = [
        item(
            f"{each.branch} and {each.other}",
            f"both change {', '.join(each.paths)} ({each.repository})",
            indent=2,
        )
        for each in view.conflicts
    ]
    if conflicts:
        yield Listing(
            conflicts, 1, head=[line(strong("Branches that will conflict"))], foot=[line()], indent=2
        )
    yield from _waiting(view)
    if view.fleet is not None:
        yield from fleet_listings(view.fleet, running=4, rest=4, more="and {} more: see fleet status")


def _waiting(view: PlanView) -> Iterator[Listing]:
    if not view.tasks:
        yield Listing(
            [line("Nothing waits." if view.fleet is None else "Nothing waits that came in here.")], 2
        )
        return
    rows = table_rows([_row(task, view.now) for task in view.tasks], head=_HEAD, lead=2, indent=2)
    yield Listing(rows[1:], 3, head=[line(strong(_headline(view))), rows[0]], foot=[line()], indent=2)
    sources = table_rows(
        [_source_row(each, view.now) for each in view.sources if each.waiting],
        head=("source", "wait", "empty at", "costs"),
        lead=4,
        indent=2,
    )
    yield Listing(sources[1:], 2, head=[sources[0]], indent=2)
    if view.guesses:
        said = f"~ is a guess ({view.guesses:,}): fewer than 5 tasks of that type and source have ended"
        yield Listing([line(faint(said))], 2)


def _headline(view: PlanView) -> str:
    number = len(view.tasks)
    said = "1 task waits" if number == 1 else f"{number:,} tasks wait"
    if view.ends_at is not None:
        said += f"; the last that can be foreseen ends at {clock(view.ends_at, view.now)}"
    return f"{said}; about {money(view.median_usd)}, at most {money(view.p90_usd)} in nine of ten cases"


def _row(task: PlannedView, now: datetime) -> tuple[Part, ...]:
    starts = "fails" if task.is_doomed else clock(task.estimate.starts_at, now)
    costs = money(task.estimate.median_usd)
    return starts, task.task_id, task.source, estimated_span(task.estimate), costs, task.why


def _source_row(source: PlannedSourceView, now: datetime) -> tuple[Part, ...]:
    return source.id, f"{source.waiting:,}", clock(source.empty_at, now), money(source.median_usd)


def _about(source: str | None, task_id: str | None) -> str:
    return task_id or source or "task-queue"


def _with_command(name: str, sentence: str, command: str) -> Renderable:
    return stacked([item(name, sentence, indent=2), item("", line(command), indent=4)])
