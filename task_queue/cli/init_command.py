"""``init``: from an empty project to a queue that can be served."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.adapters.config import document, edit
from task_queue.cli import render
from task_queue.cli.session import Session, pass_session
from task_queue.cli.sources import create_folders

_USUAL = {
    "ad-hoc": "Quick, spontaneous tasks from conversation",
    "planned": "Organized, sequential tasks from planning docs",
}


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@pass_session
def init(session: Session, workspace: Path) -> None:
    """Make tasks/ad-hoc and tasks/planned in WORKSPACE (default: here) and register them. Safe to repeat."""
    config = session.locations.config
    edit.set_workspace(config, workspace, now=session.now())
    for source_id, description in _USUAL.items():
        folder = workspace.resolve() / "tasks" / source_id
        registered = {entry.id: entry for entry in document.sources_of(document.read(config))}
        if source_id in registered:
            create_folders(registered[source_id].path)
            render.say(f"there already: {source_id} in {registered[source_id].queue}")
            continue
        edit.add_source(
            config,
            folder,
            source_id=source_id,
            now=session.now(),
            create_folders=create_folders,
            description=description,
        )
        render.say(f"made: {source_id} in {folder}")
    render.say(f"configuration: {config}")
    render.say('next: task-queue tasks add "what is to be done", then: task-queue run --drain')
