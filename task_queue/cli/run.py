"""``run``: the queue in the foreground, for trying and for scripts."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import FAILED, NEEDS_ATTENTION
from task_queue.cli.session import pass_installation, run_isolated
from task_queue.cli.spelling import moment, span
from task_queue.domain.events import (
    AccountPaused,
    Event,
    SourceClosed,
    SourceOpened,
    TaskClaimed,
    TaskReleased,
    TaskSettled,
)
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskState


@click.command()
@click.option(
    "--cycles",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin at most N tasks; end when they have ended, or when none is left.",
)
@click.option("--drain", is_flag=True, help="End when nothing runs and nothing more can start by itself.")
@pass_installation
def run(installation: Installation, *, cycles: int | None, drain: bool) -> int:
    """Work in the foreground until stopped.

    With --cycles and --drain, exit code 1 if a task did not succeed or is left because of another task,
    3 if what is left waits for a person.
    """
    from task_queue.app.serving import work

    bounds = [*(["--cycles", str(cycles)] if cycles else []), *(["--drain"] if drain else [])]
    run_isolated(installation, "run", *bounds)
    unsuccessful: list[str] = []

    def emit(event: Event) -> None:
        line = _line_for(event)
        if line is not None:
            render.note(line)
        if isinstance(event, TaskSettled) and event.state is not TaskState.COMPLETED:
            unsuccessful.append(event.task_id)

    left = work(installation, emit, tasks=cycles, drain=drain)
    if not (drain or cycles):
        return 0
    for source_id, why in left.stuck.items():
        render.show_error(f"source '{source_id}' waits for a person: {why}", None)
    for task in left.waiting:
        render.show_error(f"not done: {task.task_id} in source '{task.source}': {task.note}", None)
    if left.more:
        render.show_error("not done: more tasks, see: task-queue tasks list --state pending", None)
    if unsuccessful or left.waiting:
        return FAILED
    return NEEDS_ATTENTION if left.stuck else 0


def _line_for(event: Event) -> str | None:
    """For the person who waits; what is rarer, as the log has it. None of what is not worth a line."""
    from task_queue.app.daemon_log import line_of

    match event:
        case TaskClaimed():
            return f"{event.task_id}: attempt {event.attempt} {'goes on' if event.resumes else 'begins'}"
        case TaskSettled():
            usual = event.outcome in {OutcomeKind.SUCCEEDED, OutcomeKind.FAILED}
            ended = event.state if usual else f"{event.state}, {event.outcome}"
            return f"{event.task_id}: {ended}: {event.reason}"
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
