"""``tasks add``, ``cancel``, ``retry`` and ``land``: what a person changes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from task_queue.app import adding, changing
from task_queue.app.adding import Added
from task_queue.app.changing import Cancelling
from task_queue.app.finding import task_named
from task_queue.app.installation import Installation
from task_queue.app.source_here import source_here
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.spelling import from_home, ordinal
from task_queue.cli.tasks import await_end
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import TaskQueueError

_SCHEMA_VERSION = 1
_TEMPLATE = "\n\n<!-- Write what is to be done above. An empty document adds nothing. -->\n"


@click.command()
@click.argument("text", required=False)
@click.option(
    "--file", "-f", "path", type=click.Path(path_type=Path), help="Take the document from this file."
)
@click.option(
    "--source",
    "source_id",
    metavar="ID",
    help="The source that gets it, else the one that works in the present folder.",
)
@click.option("--name", help="Words for the file name, instead of the title.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit code 1 if it did not succeed.")
@as_json_option
@pass_installation
def add(
    installation: Installation,
    *,
    text: str | None,
    path: Path | None,
    source_id: str | None,
    name: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Add TEXT as a task ("-": standard input; without TEXT: what is piped in, else your editor)."""
    installation.demand_trust()
    # Asked before a person writes.
    source = installation.entry(source_id) if source_id else source_here(installation, Path.cwd())
    document = _document(text, path)
    added = adding.add(
        installation, document, source=source, name=name or (adding.kept_name(path) if path else None)
    )
    if as_json:
        answer = {"task_id": added.task_id, "source": added.source, "schema_version": _SCHEMA_VERSION}
        render.say_json(answer)
    else:
        render.say(added.task_id)
    render.note(_queued(added))
    if not added.daemon_runs:
        render.note("the daemon does not run; start it with: task-queue daemon, or: task-queue run --drain")
    return await_end(installation, [added.task_id], timeout_s=None) if wait else 0


@click.command()
@click.argument("task")
@pass_installation
def cancel(installation: Installation, *, task: str) -> int:
    """End the waiting or running TASK for good, its whole process tree included."""
    installation.demand_trust()
    cancelled = changing.cancel(installation, task_named(task, installation.sources()))
    task_id = cancelled.task_id
    match cancelled.how:
        case Cancelling.REQUESTED:
            render.say(f"requested: {task_id}")
            goes_on = "its agent goes on until the daemon starts, which ends it"
            later = goes_on if cancelled.agent_goes_on else "the task is cancelled when it starts"
            render.note(f"the daemon does not run: {later}")
        case Cancelling.STILL_RUNNING:
            render.note(f"task {task_id} has not ended yet; the request stands. See: task-queue status")
            return FAILED
        case Cancelling.COMPLETED_BEFORE:
            render.say(f"completed: {task_id} was done before the request arrived")
        case Cancelling.CANCELLED:
            render.say(f"cancelled: {task_id}{'; its processes are gone' if cancelled.ran else ''}")
    return 0


@click.command()
@click.argument("task")
@click.option(
    "--fresh", is_flag=True, help="Begin anew, in a new session and checkout; the earlier work is kept."
)
@pass_installation
def retry(installation: Installation, *, task: str, fresh: bool) -> None:
    """Try the failed TASK again; the numbers of its attempts go on."""
    installation.demand_trust()
    retried = changing.retry(installation, task_named(task, installation.sources()), fresh=fresh)
    render.say(f"pending: {retried.task_id}")


@click.command()
@click.argument("task")
@as_json_option
@pass_installation
def land(installation: Installation, *, task: str, as_json: bool) -> int:
    """Merge the branch of the completed TASK, if its checks pass on the merge; exit code 1 if it is not merged."""
    from task_queue.app.landing import (
        land as land_task,  # git and the runner's parts, which no other verb needs
    )

    landed = land_task(installation, task_named(task, installation.sources()))
    if as_json:
        render.say_json(
            {
                "task_id": landed.task_id,
                "source": landed.source,
                "landed": landed.is_in_target,
                "said": landed.said,
                "schema_version": _SCHEMA_VERSION,
            }
        )
    else:
        render.say(f"{'landed' if landed.is_in_target else 'not landed'}: {landed.said}")
    return 0 if landed.is_in_target else FAILED


def _queued(added: Added) -> str:
    where = f"queued in {added.source} ({from_home(added.directory)})"
    if added.standing is None:
        return where
    place, of, why = added.standing.place, added.standing.of, added.standing.why
    return f"{where}, {ordinal(place)} of {of}: {why}"


def _document(text: str | None, path: Path | None) -> str:
    if text is not None and path is not None:
        raise click.UsageError("TEXT and --file exclude each other")
    if path is not None:
        return adding.read_document(path)
    if text == "-" or (text is None and not sys.stdin.isatty()):
        return adding.decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
    if text is not None:
        adding.demand_no_file_name(text)
        return text
    written = click.edit(_TEMPLATE, extension=".md")
    if written is None or not written.replace(_TEMPLATE.strip(), "").strip():
        raise TaskQueueError("nothing was written, so nothing is added")
    return written.replace(_TEMPLATE.strip(), "").rstrip() + "\n"
