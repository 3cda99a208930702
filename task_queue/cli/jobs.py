"""``jobs``: tasks in the words of a job queue, here or on a server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime

import click

from task_queue.app.installation import Installation
from task_queue.app.spelling import moment, money
from task_queue.app.tracked_task import TaskFilter, TaskPage, TaskStatus, TrackedTask
from task_queue.cli import render, screen
from task_queue.cli.completing import tasks_in
from task_queue.cli.edge import FAILED
from task_queue.cli.live_screen import LiveScreen
from task_queue.cli.render import Part, Renderable, block, item, line, strong, table_rows, word
from task_queue.cli.screen import Listing
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation, source_option
from task_queue.domain.errors import TaskQueueError

_WATCH_EVERY_S = 2.0
_LIMIT = 20
_FIELD = 9
_LEAD = 2
_HEAD = ("ID", "STATUS", "SOURCE", "PROGRESS", "CREATED")
_STATUSES = (*(status.value for status in TaskStatus), "dead_letter")
_SCHEMA_VERSION = 1


@click.command()
@click.argument("job", metavar="[ID]", required=False, shell_complete=tasks_in())
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds until Ctrl-C.")
@click.option("--cancel", "cancels", is_flag=True, help="End the job ID for good, whether it waits or runs.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these (repeatable)."
)
@source_option
@click.option("--limit", type=click.IntRange(1, 500), default=_LIMIT, show_default=True)
@server_options
@as_json_option
@pass_installation
def jobs(
    installation: Installation,
    *,
    job: str | None,
    watch: bool,
    cancels: bool,
    statuses: tuple[str, ...],
    source_id: str | None,
    limit: int,
    server: QueueServer | None,
    as_json: bool,
) -> int:
    """Jobs, the newest first: id, status, source, progress, created. With ID: all that is known of one."""
    if job is not None and (statuses or source_id):
        raise click.UsageError("--status and --source are for the list, not for one job")
    if cancels and (job is None or watch):
        raise click.UsageError("--cancel needs the ID of a job, and excludes --watch")
    jobs_of = _JobSource(installation, server)
    if cancels and job is not None:
        return _cancel(jobs_of, job, as_json=as_json)
    if job is not None:
        task_id = jobs_of.named(job)
        return _show(lambda: jobs_of.one(task_id), _all_of, watch=watch, as_json=as_json)
    wanted = TaskFilter(statuses, () if source_id is None else (source_id,))
    return _show(lambda: jobs_of.page(wanted, limit), _listed, watch=watch, as_json=as_json)


class _JobSource:
    """Answers about jobs, from the queue here or from that of *server*."""

    def __init__(self, installation: Installation, server: QueueServer | None) -> None:
        self._installation, self._server = installation, server

    def named(self, text: str) -> str:
        if self._server is not None:
            return self._server.task_id(text)
        from task_queue.app.task_elsewhere import task_here

        return task_here(self._installation, text)

    def page(self, wanted: TaskFilter, limit: int) -> TaskPage:
        if self._server is not None:
            from task_queue.client import task_operations

            asked = task_operations.tasks(status=wanted.statuses, source=wanted.sources, limit=limit)
            return self._server.ask(asked)
        from task_queue.app.owner import page_for_owner

        return page_for_owner(self._installation.again(), wanted, limit=limit)

    def one(self, task_id: str) -> TrackedTask:
        if self._server is not None:
            from task_queue.client import task_operations

            return self._server.ask(task_operations.task(task_id))
        from task_queue.app.owner import task_for_owner

        return task_for_owner(self._installation.again(), task_id)

    def cancel(self, task_id: str) -> TrackedTask:
        if self._server is not None:
            from task_queue.client import task_operations

            return self._server.ask(task_operations.cancel(task_id))
        from task_queue.app import changing
        from task_queue.domain.task import TaskId

        changing.cancel(self._installation, TaskId(task_id))
        return self.one(task_id)


def _cancel(jobs_of: _JobSource, job: str, *, as_json: bool) -> int:
    task = jobs_of.cancel(jobs_of.named(job))
    if as_json:
        render.say_json({**_as_json(task), "schema_version": _SCHEMA_VERSION})
    elif task.status is TaskStatus.CANCELLED:
        render.say(f"cancelled: {task.id}")
    elif task.status is TaskStatus.COMPLETED:
        render.say(f"completed: {task.id} was done before the request arrived")
    else:
        render.say(f"requested: {task.id}")
        render.note(f"see when it has ended with: task-queue jobs {task.id}")
    return FAILED if task.status is TaskStatus.COMPLETED else 0


def _show(
    look: Callable[[], TaskPage | TrackedTask],
    laid_out: Callable[..., Iterator[Listing]],
    *,
    watch: bool,
    as_json: bool,
) -> int:
    if not watch:
        view = look()
        if as_json:
            render.say_json({**_as_json(view), "schema_version": _SCHEMA_VERSION})
        else:
            screen.show(laid_out(view), whole=isinstance(view, TrackedTask), command="task-queue jobs")
        return 0
    on_screen = not as_json and render.on_terminal()
    look()  # what is wrong from the beginning is an error
    try:
        with LiveScreen() if on_screen else nullcontext() as live:
            while True:
                _draw(look, laid_out, live, as_json=as_json)
                time.sleep(_WATCH_EVERY_S)
    except KeyboardInterrupt:
        return 0


def _draw(
    look: Callable[[], TaskPage | TrackedTask],
    laid_out: Callable[..., Iterator[Listing]],
    live: LiveScreen | None,
    *,
    as_json: bool,
) -> None:
    """Goes on while a server does not answer."""
    try:
        view = look()
    except TaskQueueError as error:
        listings: Iterator[Listing] = iter([Listing([line(word("problem"), f" {error}")], 0)])
        content: dict[str, object] = {"error": str(error)}
    else:
        listings, content = laid_out(view), _as_json(view)
    if as_json:
        render.say_json({**content, "schema_version": _SCHEMA_VERSION}, on_one_line=True)
    elif live is None:
        screen.show(listings, whole=True, command="")
        render.say()
    else:
        columns, rows = render.size()
        live.draw(screen.lines_for(listings, rows=rows), columns=columns, rows=rows)


def _as_json(view: TaskPage | TrackedTask) -> dict[str, object]:
    from dataclasses import fields

    return {each.name: getattr(view, each.name) for each in fields(view)}


def _listed(page: TaskPage) -> Iterator[Listing]:
    if not page.tasks:
        yield Listing([line("No jobs.")], 0)
        return
    counts = {status: number for status, number in page.counts.items() if number}
    dead = counts.pop("dead_letter", 0)
    hidden = sum(counts.values()) - len(page.tasks)
    cells = [_row(task) for task in page.tasks]
    rows = table_rows(cells, head=_HEAD, lead=_LEAD)
    if len(rows) == len(cells):  # the terminal is too narrow for a head and five columns
        rows = table_rows([(*row[:_LEAD], f"{row[2]}, {row[3]}, {row[4]}") for row in cells], lead=_LEAD)
        head: list[Renderable] = []
    else:
        head = [rows.pop(0)]
    yield Listing(rows, 1, head=head, hidden=max(0, hidden), more="and {} more: see --limit")
    parts = [f"{number:,} {status}" for status, number in counts.items()]
    yield Listing([line(", ".join(parts) + (f"; {dead:,} used up all attempts" if dead else ""))], 0)


def _row(task: TrackedTask) -> tuple[str, Part, str, str, str]:
    return task.id, word(task.status.value), task.source, _progress(task), moment(task.created_at)


def _progress(task: TrackedTask) -> str:
    """What a person wants to know next: how far it is, when its turn comes, or how it ended."""
    match task.status:
        case TaskStatus.QUEUED:
            stopping = ["being cancelled"] if task.cancel_requested else []
            place = [f"position {task.queue_position:,}"] if task.queue_position else []
            return ", ".join([*stopping, *place]) or "-"
        case TaskStatus.RUNNING:
            far = [f"{task.progress_percent:.0f}%"] if task.progress_percent is not None else []
            step = [task.current_step] if task.current_step else []
            stopping = ["being cancelled"] if task.cancel_requested else []
            return ", ".join([*far, *step, *stopping]) or f"attempt {task.attempt}"
        case TaskStatus.COMPLETED:
            return "100%"
        case _:
            return f"{task.outcome or '-'}{', dead letter' if task.dead_letter else ''}"


def _all_of(task: TrackedTask) -> Iterator[Listing]:
    yield Listing(list(_facts(task)), 0, head=[line(strong(task.id), "  ", word(task.status.value))])
    needs = [
        item("needs", f"{need.sentence}; next: {need.command}", indent=2, column=_FIELD)
        for need in task.attention
    ]
    yield Listing(needs, 0)
    output = task.result.get("output") if task.result else None
    if isinstance(output, str) and output:
        yield Listing([line(), line(strong("output")), block(output, indent=2)], 1)


def _facts(task: TrackedTask) -> Iterator[Renderable]:
    result = task.result or {}
    facts = {
        "title": task.title,
        "source": task.source,
        "progress": _progress(task),
        "waits": task.why or "",
        "priority": str(task.priority),
        "type": task.type,
        "executor": task.executor,
        "needs of": ", ".join(task.capabilities),
        "attempt": f"{task.attempt} of {task.max_attempts}",
        "next try": _when(task.next_attempt_at),
        "created": moment(task.created_at),
        "by": task.submitted_by or "",
        "started": _when(task.started_at),
        "ended": _when(task.completed_at),
        "outcome": task.outcome or "",
        "error": task.error or "",
        "cost": money(task.cost_usd) if task.cost_usd is not None else "",
        "branch": str(result.get("branch") or ""),
        "landing": str(result.get("landed") or ""),
        "labels": json.dumps(task.labels, ensure_ascii=False) if task.labels else "",
        "can": ", ".join(task.available_actions),
    }
    for name, said in facts.items():
        if said:
            yield item(name, said, indent=2, column=_FIELD)


def _when(at: datetime | None) -> str:
    return "" if at is None else moment(at)
