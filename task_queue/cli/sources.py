"""``sources``: the folders that are served."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app import pausing
from task_queue.app import sources as app
from task_queue.app.installation import Installation
from task_queue.app.pausing import Draining
from task_queue.cli import completing, render
from task_queue.cli.edge import FAILED
from task_queue.cli.groups import CommandGroup
from task_queue.cli.proposing import (
    offer_commands,
    say_how_to_write,
    say_what_is_missing,
    try_commands,
    try_option,
    yes_option,
)
from task_queue.cli.render import Part, table, word
from task_queue.cli.session import as_json_option, pass_installation

_named = click.argument("source", required=False, shell_complete=completing.sources)
_id_option = click.option(
    "--source-id", metavar="ID", help="The same as SOURCE.", shell_complete=completing.sources
)
_all_option = click.option(
    "--all", "everything", is_flag=True, help="Every source that the configuration lists now."
)


@click.group(cls=CommandGroup, default="list")
def sources() -> None:
    """List, add, remove, pause, drain and resume sources."""


@sources.command("list")
@as_json_option
@pass_installation
def list_sources(installation: Installation, *, as_json: bool) -> None:
    """Every source of the configuration."""
    view = app.list_sources(installation)
    if as_json:
        render.say_json(view)
        return
    rows: list[tuple[Part, ...]] = [
        (source.id, word(source.state), _by(source), str(source.path), source.description)
        for source in view.sources
    ]
    if rows:
        render.show(table(rows, head=("SOURCE", "STATE", "SERVED BY", "FOLDER", "DESCRIPTION"), lead=2))
    else:
        render.say("No sources. Make the usual ones with: task-queue init")
    said_of_every_command = installation.unreadable
    for problem in (each for each in installation.problems if each != said_of_every_command):
        render.note(f"warning: {installation.locations.config}: {problem}")


def _by(source: app.SourceLine) -> str:
    if source.slots is None:
        return source.served_by
    return f"{source.served_by}, {source.slots} at once"


@sources.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", "source_id", required=True, metavar="ID", help="Name of the source.")
@click.option(
    "--project-workspace",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where its tasks work, if not in the configuration's.",
)
@click.option("--description", default="", help="What it is for.")
@click.option("--repository", metavar="URL", help="The repository that its tasks work on.")
@click.option("--for-workers", is_flag=True, help="Workers claim its tasks through the API.")
@click.option(
    "--slots",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="With --for-workers: how many of its tasks they may hold at once.  [default: 1]",
)
@yes_option
@try_option
@pass_installation
def add(
    installation: Installation,
    path: Path,
    *,
    source_id: str,
    project_workspace: Path | None,
    description: str,
    repository: str | None,
    for_workers: bool,
    slots: int | None,
    yes: bool,
    try_them: bool,
) -> int:
    """Serve the queue folder PATH (or its pending/); missing folders are made.

    As init does, it proposes setup and verify commands for what it finds where the tasks work, and says what is
    still missing.
    """
    if slots is not None and not for_workers:
        raise click.UsageError("--slots belongs to --for-workers")
    added = app.add_source(
        installation,
        path,
        source_id=source_id,
        project_workspace=project_workspace,
        description=description,
        repository=repository,
        for_workers=for_workers,
        slots=slots,
    )
    entry = added.entry
    render.say(f"added {entry.id}: {entry.path}")
    if entry.has_own_isolation:
        render.say(
            "its tasks work in checkouts of their own, and are merged (isolation: worktree, landing: merge)"
        )
    if added.why_in_git is not None:
        render.note(f"warning: git shows the queue's files: {added.why_in_git}")
    if added.workspace is not None:
        proposal = offer_commands(installation.again(), added.workspace, only=entry.id, yes=yes)
        if proposal is not None:
            render.say("to write them:")
            say_how_to_write(proposal)
        say_what_is_missing(
            installation.again(), to_prove=None if proposal is None else "write what is proposed, as above"
        )
        if try_them:
            return try_commands(installation.again(), added.workspace, only=entry.id)
    return 0


@sources.command()
@_named
@_id_option
@pass_installation
def rm(installation: Installation, *, source: str | None, source_id: str | None) -> None:
    """Stop serving SOURCE. Its folders and files stay."""
    entry = app.remove_source(installation, _one_of(source, source_id))
    render.say(f"removed {entry.id}; its files stay in {entry.queue}")


@sources.command()
@_named
@_id_option
@_all_option
@pass_installation
def pause(installation: Installation, *, source: str | None, source_id: str | None, everything: bool) -> None:
    """Start no new task of SOURCE; a running one goes on. Lasts until ``sources resume``, over restarts."""
    entries = pausing.sources_named(installation, _one_or_all(source, source_id, everything))
    pausing.pause(installation, entries)
    for entry in entries:
        render.say(f"paused {entry.id}: nothing new starts; what runs goes on")


@sources.command()
@_named
@_id_option
@_all_option
@click.option("--wait", is_flag=True, help="Return once nothing of it runs any more.")
@click.option("--timeout", type=click.FloatRange(min=0), help="With --wait: seconds; then exit with 1.")
@pass_installation
def drain(
    installation: Installation,
    *,
    source: str | None,
    source_id: str | None,
    everything: bool,
    wait: bool,
    timeout: float | None,
) -> int:
    """Pause SOURCE, and report once what runs of it has ended: in ``status``, and as the event source_drained."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout belongs to --wait")
    entries = pausing.sources_named(installation, _one_or_all(source, source_id, everything))
    pausing.drain(installation, entries)
    if not wait:
        for entry in entries:
            render.say(f"draining {entry.id}: nothing new starts; what runs is finished")
        return 0
    stand = pausing.wait_until_drained(installation, entries, timeout_s=timeout)
    for name, how in stand.items():
        _say_drained(name, how)
    return 0 if set(stand.values()) == {Draining.DRAINED} else FAILED


@sources.command()
@_named
@_id_option
@_all_option
@pass_installation
def resume(installation: Installation, *, source: str | None, source_id: str | None, everything: bool) -> int:
    """Start tasks of the paused SOURCE again. Exit code 1 if the configuration pauses it."""
    entries = pausing.sources_named(installation, _one_or_all(source, source_id, everything))
    answers = pausing.resume(installation, entries)
    for answer in answers:
        if answer.still_paused is None:
            render.say(f"resumed {answer.source}")
        else:
            render.note(f"{answer.source} is paused by the configuration; go on with: {answer.still_paused}")
    return FAILED if any(answer.still_paused for answer in answers) else 0


def _say_drained(source: str, how: Draining) -> None:
    match how:
        case Draining.DRAINED:
            render.say(f"drained {source}: nothing runs, and nothing new starts")
        case Draining.STILL_RUNNING:
            render.note(f"{source} still runs; nothing new starts. See: task-queue status")
        case Draining.NO_DAEMON:
            render.note(f"{source} has a claimed task, and no daemon to conclude it: task-queue daemon")


def _one_of(source: str | None, source_id: str | None) -> str:
    if (source is None) == (source_id is None):
        raise click.UsageError("name one source, such as: task-queue sources pause ad-hoc")
    return source or source_id or ""


def _one_or_all(source: str | None, source_id: str | None, everything: bool) -> str | None:
    if everything and source is None and source_id is None:
        return None
    if everything:
        raise click.UsageError("name one source or give --all, not both")
    return _one_of(source, source_id)
