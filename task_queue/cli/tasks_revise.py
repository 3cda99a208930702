"""``tasks edit``, ``priority``, ``move`` and ``rm``: what a person changes of a task that waits, or takes away."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from task_queue.app import adding, revising
from task_queue.app.installation import Installation
from task_queue.app.revising import Revised
from task_queue.app.spelling import ordinal
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import completing, render
from task_queue.cli.completing import task_argument
from task_queue.cli.editing import Purpose, edited
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.document.readers import Whole
from task_queue.domain.document.settings import KEYS
from task_queue.domain.task import TaskState
from task_queue.domain.text import printable

_SCHEMA_VERSION = 1
_PRIORITIES = next(key.read for key in KEYS if key.name == "priority" and isinstance(key.read, Whole))


@click.command()
@task_argument(TaskState.PENDING)
@click.option(
    "--file", "path", metavar="PATH", help="Begin with the text of this file, such as a kept draft."
)
@as_json_option
@pass_installation
def edit(installation: Installation, *, task: str, path: str | None, as_json: bool) -> None:
    """Change the document of the waiting TASK in your editor; checked before it takes the place of the earlier text."""
    installation.demand_trust()
    before = revising.opened(installation, task_here(installation, task))
    text = before.text if path is None else adding.read_document(Path(path))
    again = f"task-queue tasks edit {shlex.quote(before.task_id)} --file"
    with edited(
        installation,
        text,
        source_id=before.source,
        may_stay=path is not None,
        continues=path or "",
        purpose=Purpose("changed", again, keeps_remarks=True),
    ) as final:
        revised = revising.edit(installation, before, final)
    _say(revised, f"changed: {revised.task_id}", as_json=as_json)


@click.command()
@task_argument(TaskState.PENDING)
@click.argument("priority", metavar="N", type=click.IntRange(_PRIORITIES.low, _PRIORITIES.high))
@as_json_option
@pass_installation
def priority(installation: Installation, *, task: str, priority: int, as_json: bool) -> None:
    """Give the waiting TASK the priority N: 1 to 10, higher goes first. The rest of its document stays as it is."""
    installation.demand_trust()
    revised = revising.prioritize(installation, task_here(installation, task), priority)
    _say(revised, f"priority {priority}: {revised.task_id}", as_json=as_json, priority=priority)


@click.command()
@task_argument(TaskState.PENDING)
@click.argument("source", shell_complete=completing.sources)
@as_json_option
@pass_installation
def move(installation: Installation, *, task: str, source: str, as_json: bool) -> None:
    """Let the waiting TASK, which was not tried yet, wait in SOURCE."""
    installation.demand_trust()
    revised = revising.move(installation, task_here(installation, task), source)
    _say(revised, f"moved: {revised.task_id}", as_json=as_json)


@click.command()
@task_argument(TaskState.PENDING, TaskState.COMPLETED, TaskState.FAILED)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json_option
@pass_installation
def rm(installation: Installation, *, task: str, yes: bool, as_json: bool) -> None:
    """Take TASK, which waits or has ended, out of the queue; its document, result, report and logs are kept."""
    installation.demand_trust()
    task_id = task_here(installation, task)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError(f"this asks on a terminal only; to remove {task_id}, say --yes")
        click.confirm(printable(f"remove {task_id}?"), abort=True, err=True)
    removed = revising.remove(installation, task_id)
    if as_json:
        render.say_json(
            {
                "task_id": removed.task_id,
                "source": removed.source,
                "was": removed.state,
                "kept": removed.kept,
                "dependents": removed.dependents,
                "schema_version": _SCHEMA_VERSION,
            }
        )
        return
    render.say(f"removed: {removed.task_id}; its document is kept as {removed.kept}")
    if removed.dependents:
        render.note(f"these go on waiting for it: {', '.join(removed.dependents)}")


def _say(revised: Revised, sentence: str, *, as_json: bool, **more: Any) -> None:
    standing = revised.standing
    if as_json:
        where = {name: getattr(standing, name, None) for name in ("place", "of", "why")}
        render.say_json(
            {
                "task_id": revised.task_id,
                "source": revised.source,
                **more,
                **where,
                "schema_version": _SCHEMA_VERSION,
            }
        )
        return
    render.say(sentence)
    if standing is not None:
        render.note(f"in {revised.source}, {ordinal(standing.place)} of {standing.of}: {standing.why}")
