"""``sources``: the folders that are served."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app import sources as app
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.groups import CommandGroup
from task_queue.cli.render import Part, table, word
from task_queue.cli.session import as_json_option, pass_installation

_named = click.argument("source", required=False)
_id_option = click.option("--source-id", metavar="ID", help="The same as SOURCE.")


@click.group(cls=CommandGroup, default="list")
def sources() -> None:
    """List, add, remove, pause and resume sources."""


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
        (source.id, word("paused" if source.paused else "open"), str(source.path), source.description)
        for source in view.sources
    ]
    if rows:
        render.show(table(rows, head=("SOURCE", "STATE", "FOLDER", "DESCRIPTION"), lead=2))
    else:
        render.say("No sources. Make the usual ones with: task-queue init")
    said_of_every_command = installation.unreadable
    for problem in (each for each in installation.problems if each != said_of_every_command):
        render.note(f"warning: {installation.locations.config}: {problem}")


@sources.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", "source_id", required=True, metavar="ID", help="Name of the source.")
@click.option(
    "--project-workspace",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where its tasks work, if not in the configuration's.",
)
@click.option("--description", default="", help="What it is for.")
@pass_installation
def add(
    installation: Installation,
    path: Path,
    *,
    source_id: str,
    project_workspace: Path | None,
    description: str,
) -> None:
    """Serve the queue folder PATH (or its pending/); missing folders are made."""
    entry = app.add_source(
        installation,
        path,
        source_id=source_id,
        project_workspace=project_workspace,
        description=description,
    )
    render.say(f"added {entry.id}: {entry.path}")
    if entry.has_own_isolation:
        render.say(
            "its tasks work in checkouts of their own, and are merged (isolation: worktree, landing: merge)"
        )


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
@pass_installation
def pause(installation: Installation, *, source: str | None, source_id: str | None) -> None:
    """Start no new task of SOURCE; a running one goes on."""
    entry = app.pause_source(installation, _one_of(source, source_id))
    render.say(f"paused {entry.id}: nothing new starts; what runs goes on")


@sources.command()
@_named
@_id_option
@pass_installation
def resume(installation: Installation, *, source: str | None, source_id: str | None) -> None:
    """Start tasks of the paused SOURCE again."""
    entry = app.resume_source(installation, _one_of(source, source_id))
    render.say(f"resumed {entry.id}")


def _one_of(source: str | None, source_id: str | None) -> str:
    if (source is None) == (source_id is None):
        raise click.UsageError("name one source, such as: task-queue sources pause ad-hoc")
    return source or source_id or ""
