"""``init``: from an empty project to a queue that can be served."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import pass_installation
from task_queue.cli.sources import create_folders, create_planning
from task_queue.config import document, edit

_USUAL = {
    "ad-hoc": "Quick, spontaneous tasks from conversation",
    "planned": "Organized, sequential tasks from planning docs",
}
_WITH_PLANNING = "planned"


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@pass_installation
def init(installation: Installation, workspace: Path) -> None:
    """Make tasks/ad-hoc and tasks/planned in WORKSPACE (default: here) and register them. Safe to repeat."""
    config = installation.locations.config
    here = workspace.resolve()
    edit.set_workspace(config, here, now=installation.now())
    for source_id, description in _USUAL.items():
        source, is_new = edit.ensure_source(
            config,
            here / "tasks" / source_id,
            source_id=source_id,
            now=installation.now(),
            create_folders=create_folders,
            description=description,
        )
        if source_id == _WITH_PLANNING:
            create_planning(source.path)
        render.say(f"{'made' if is_new else 'there already'}: {source_id} in {source.queue}")
    render.say(f"configuration: {config}")
    if not any(source.queue.is_relative_to(here) for source in document.sources_of(document.read(config))):
        render.say(f"none of them works in {here}; give it a queue of its own with:")
        render.say("  task-queue sources add tasks/NAME --id NAME --project-workspace .")
        return
    render.say('next: task-queue tasks add "what is to be done", then: task-queue run --drain')
