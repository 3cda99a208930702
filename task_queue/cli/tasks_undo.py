"""``tasks undo``: what a task has landed is taken back."""

from __future__ import annotations

from dataclasses import asdict

import click

from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.asking import is_agreed
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import FAILED
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.task import TaskState

_SCHEMA_VERSION = 1


@click.command()
@task_argument(TaskState.COMPLETED)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@pass_installation
def undo(installation: Installation, *, task: str, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Take back what the completed TASK has landed: its branch moves back where that is safe, else a commit reverts it.

    Nothing moves before the checks of the task pass without it. Exit code 1 if it is not taken back.
    """
    from task_queue.app import undoing as app  # git and the runner's parts, which no other verb needs

    task_id = task_here(installation, task)
    view = app.what_undo_does(installation, task_id)
    if view.way is not None:
        render.note(view.said)
        for check in view.checks:
            render.note(f"first this has to pass without it: {check}")
    possible = view.way is not None or view.is_undone
    if dry_run:
        if as_json:
            render.say_json({**asdict(view), "schema_version": _SCHEMA_VERSION})
        elif view.way is None:
            render.say(f"{'undone already' if view.is_undone else 'cannot be undone'}: {view.said}")
        return 0 if possible else FAILED
    if view.way is not None and not yes and not is_agreed(f"undo {task_id}?"):
        return 0
    # Also where it is undone already: the result may not say so yet.
    done = (
        app.undo(installation, task_id)
        if possible
        else app.UndoneTask(task_id, view.source, is_undone=False, said=view.said)
    )
    if as_json:
        answer = {"task_id": done.task_id, "source": done.source, "undone": done.is_undone, "said": done.said}
        render.say_json({**answer, "schema_version": _SCHEMA_VERSION})
    else:
        render.say(f"{'undone' if done.is_undone else 'not undone'}: {done.said}")
    return 0 if done.is_undone else FAILED
