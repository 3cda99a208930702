"""``run``: the queue in the foreground, for trying and for scripts."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta

import click

from task_queue.app.installation import Installation
from task_queue.app.spelling import moment, money, span
from task_queue.cli import render
from task_queue.cli.edge import FAILED, NEEDS_ATTENTION
from task_queue.cli.live import LiveLines
from task_queue.cli.session import pass_installation, run_isolated
from task_queue.domain.events import (
    AccountPaused,
    Event,
    SourceClosed,
    SourceOpened,
    TaskClaimed,
    TaskLanded,
    TaskReleased,
    TaskSettled,
)
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskState


def _read_patience(_: click.Context, __: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    from task_queue.domain.document.readers import Duration

    try:
        return Duration(timedelta(), timedelta(days=3650))(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--cycles",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin at most N tasks; end when they have ended, or when none is left.",
)
@click.option("--drain", is_flag=True, help="End when nothing runs and nothing more can start by itself.")
@click.option(
    "--patience",
    metavar="D",
    callback=_read_patience,
    help="With --cycles or --drain: end, with exit code 3, when the next start is further away than D, such as 10m or"
    " 2h. Without it, a known time is waited for, however long.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say only what was not done, and why.")
@pass_installation
def run(
    installation: Installation, *, cycles: int | None, drain: bool, patience: timedelta | None, quiet: bool
) -> int:
    """Work in the foreground until stopped. What happens goes to stderr: starts, phases, ends with their cost.

    With --cycles and --drain, exit code 1 if a task did not succeed; else 3 if what is left waits for a person, or
    for longer than --patience.
    """
    from task_queue.app.serving import work
    from task_queue.domain.document.readers import spelled

    if patience is not None and not (drain or cycles):
        raise click.UsageError("--patience needs --cycles or --drain.")
    bounds = [*(["--cycles", str(cycles)] if cycles else []), *(["--drain"] if drain else [])]
    bounds += ["--quiet"] if quiet else []
    run_isolated(
        installation, "run", *bounds, *([] if patience is None else ["--patience", spelled(patience)])
    )
    unsuccessful: list[str] = []
    lines = None if quiet else LiveLines(installation)

    def emit(event: Event) -> None:
        line = _line_for(event)
        if line is not None and lines is not None:
            lines.say(line)
        if isinstance(event, TaskSettled) and event.state is not TaskState.COMPLETED:
            unsuccessful.append(event.task_id)

    def waits(until: datetime, why: str) -> None:
        if lines is not None:
            lines.say(f"waiting: nothing can start before {moment(until)} ({why})")

    with lines or nullcontext():
        left = work(installation, emit, tasks=cycles, drain=drain, patience=patience, waits=waits)
    if not (drain or cycles):
        return 0
    for source_id, why in left.stuck.items():
        render.show_error(f"source '{source_id}' waits for a person: {why}", None)
    for task in left.waiting:
        render.show_error(f"not done: {task.task_id} in source '{task.source}': {task.note}", None)
    if left.more:
        render.show_error("not done: more tasks, see: task-queue tasks list --state pending", None)
    if left.next_start is not None:
        later = f"nothing can start before {moment(left.next_start)}, which is further away than --patience"
        render.show_error(later, None)
    if unsuccessful or (left.stopped and left.waiting):
        return FAILED
    return NEEDS_ATTENTION if left.stuck or left.waiting else 0


def _line_for(event: Event) -> str | None:
    """For the person who waits; what is rarer, as the log has it. None of what is not worth a line."""
    from task_queue.app.daemon_log import line_of

    match event:
        case TaskClaimed():
            return f"{event.task_id}: attempt {event.attempt} {'goes on' if event.resumes else 'begins'}"
        case TaskSettled():
            usual = event.outcome in {OutcomeKind.SUCCEEDED, OutcomeKind.FAILED}
            ended = event.state if usual else f"{event.state}, {event.outcome}"
            cost = f", {money(event.cost_usd)}" if event.cost_usd is not None else ""
            return (
                f"{event.task_id}: {ended}: {event.reason} (after {span(event.took.total_seconds())}{cost})"
            )
        case TaskLanded():
            return f"{event.task_id}: {event.said}"
        case TaskReleased():
            later = f" in {span(event.delay.total_seconds())}" if event.delay else ""
            return f"{event.task_id}: {event.outcome}: {event.reason}; will be tried again{later}"
        case AccountPaused():
            until = f" until {moment(event.until)}" if event.until else ""
            return f"account paused{until}: {event.why}; try it at once with: task-queue tasks resume-account"
        case SourceOpened() | SourceClosed():
            return None
        case _:
            return line_of(event)
