"""``tasks add``, ``cancel`` and ``retry``: what a person changes."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from pathlib import Path

import click

from task_queue.app.answers import ListedSource, RunningView
from task_queue.app.daemon_state import daemon_from
from task_queue.app.installation import Installation
from task_queue.app.listing import show_of, state_of
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.session import (
    as_json_option,
    pass_installation,
    source_option,
    task_named,
    unknown_task,
)
from task_queue.cli.tasks import await_end
from task_queue.domain.document import naming
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable, identity

_SCHEMA_VERSION = 1
_MAX_BYTES = 2**20
_CANCEL_TAKES_S = 90.0
_POLL_S = 0.1
_TEMPLATE = "\n\n<!-- Write what is to be done above. An empty document adds nothing. -->\n"


@click.command()
@click.argument("text", required=False)
@click.option(
    "--file", "-f", "path", type=click.Path(path_type=Path), help="Take the document from this file."
)
@source_option
@click.option("--name", help="Words for the file name, instead of the title.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit code 1 if it did not succeed.")
@as_json_option
@pass_installation
@click.pass_context
def add(
    context: click.Context,
    installation: Installation,
    *,
    text: str | None,
    path: Path | None,
    source_id: str | None,
    name: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Hand in TEXT as a task ("-": standard input; without TEXT: what is piped in, else your editor)."""
    from task_queue.domain.document.taskfile import parse
    from task_queue.store.folder.intake import drop

    installation.demand_trust()
    entry = installation.entry(source_id)
    document = _document(text, path)
    task = parse(document.encode(), TaskId("task-new"))
    kept = path.name if path and naming.why_not_a_task(path.name) is None else None
    task_id = drop(
        entry.path,
        document,
        name=name or kept or task.title,
        now=installation.now(),
        max_pending=installation.max_pending,
    )
    if as_json:
        answer = {"task_id": task_id, "source": entry.id, "schema_version": _SCHEMA_VERSION}
        render.say_json(answer)
    else:
        render.say(task_id)
    if not daemon_from(installation.locations.daemon_state)[0].running:
        render.note("the daemon does not run; start it with: task-queue daemon, or: task-queue run --drain")
    if wait:
        context.exit(await_end(installation, [task_id], timeout_s=None))


@click.command()
@click.argument("task")
@pass_installation
@click.pass_context
def cancel(context: click.Context, installation: Installation, *, task: str) -> None:
    """End the waiting or running TASK for good, its whole process tree included."""
    from task_queue.store.folder.engine import FolderEngine

    installation.demand_trust()
    sources = installation.sources()
    task_id = task_named(task, sources)
    listed, state = _found(sources, task_id)
    view = show_of(installation.circumstances(), task_id)
    running = view.running if view else None
    if state.ended:
        raise TaskQueueError(f"task {task_id} has ended already ({state})")
    FolderEngine(listed.folders.pending).requests.request_cancel(task_id)
    if not daemon_from(installation.locations.daemon_state)[0].running:
        render.say(f"requested: {task_id}")
        render.note(_without_daemon(running))
        return
    if not _ends(sources, task_id, running):
        render.note(f"task {task_id} has not ended yet; the request stands. See: task-queue status")
        context.exit(FAILED)
    ended = _found(sources, task_id)[1]
    if ended is TaskState.COMPLETED:
        render.say(f"completed: {task_id} was done before the request arrived")
    else:
        processes = "; its processes are gone" if running else ""
        render.say(f"cancelled: {task_id}{processes}")


@click.command()
@click.argument("task")
@pass_installation
def retry(installation: Installation, *, task: str) -> None:
    """Give the failed TASK another try; its attempts' numbers go on."""
    from task_queue.store.folder.engine import FolderEngine

    installation.demand_trust()
    sources = installation.sources()
    task_id = task_named(task, sources)
    listed, state = _found(sources, task_id)
    if state is not TaskState.FAILED:
        raise TaskQueueError(
            f"task {task_id} is {state}, not failed", hint="only failed tasks can be retried"
        )
    FolderEngine(listed.folders.pending).requests.requeue(task_id)
    render.say(f"pending: {task_id}")


def _document(text: str | None, path: Path | None) -> str:
    if text is not None and path is not None:
        raise click.UsageError("TEXT and --file exclude each other")
    if path is not None:
        return _file(path)
    if text == "-" or (text is None and not sys.stdin.isatty()):
        return _decoded(sys.stdin.buffer.read(_MAX_BYTES + 1), "standard input")
    if text is not None:
        _demand_no_file_name(text)
        return text
    written = click.edit(_TEMPLATE, extension=".md")
    if written is None or not written.replace(_TEMPLATE.strip(), "").strip():
        raise TaskQueueError("nothing was written, so nothing is added")
    return written.replace(_TEMPLATE.strip(), "").rstrip() + "\n"


def _demand_no_file_name(text: str) -> None:
    """An agent that is given nothing but a path would guess what is to be done with it."""
    with contextlib.suppress(OSError, ValueError):  # a text is seldom a possible name
        if Path(text).is_file():
            raise TaskQueueError(
                f"{text} is a file, and would be the whole text of the task",
                hint=f"to hand in what it says: task-queue tasks add --file {shlex.quote(text)}",
            )


def _file(path: Path) -> str:
    try:
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_MAX_BYTES)
    except OSError as error:
        raise TaskQueueError(f"{path}: {error.strerror}") from error
    return _decoded(data, str(path))


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskQueueError(f"{where}: byte {error.start} is not UTF-8", hint="save it as UTF-8") from None


def _found(sources: tuple[ListedSource, ...], task_id: TaskId) -> tuple[ListedSource, TaskState]:
    found = state_of(sources, task_id)
    if found is None:
        raise unknown_task(task_id)
    return found


def _without_daemon(running: RunningView | None) -> str:
    if running and running.runner == "alive":
        return "the daemon does not run: its agent goes on until the daemon starts, which ends it"
    return "the daemon does not run: the task is cancelled when it starts"


def _ends(sources: tuple[ListedSource, ...], task_id: TaskId, running: RunningView | None) -> bool:
    """Whether the task has ended in time, and nothing that it started is left."""
    deadline = time.monotonic() + _CANCEL_TAKES_S
    while time.monotonic() < deadline:
        ended = _found(sources, task_id)[1].ended
        if ended and not (running and identity.bearers(running.marker)):
            return True
        time.sleep(_POLL_S)
    return False
