"""``tasks tree``: which tasks wait for which others."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.app.tree import TreeTask, lines_of, tree_of
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.session import as_json_option, pass_installation

_LIMIT = 100
_DEPTH = 12
_NAMED = 5


@click.command()
@task_argument(required=False)
@click.option("--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Lines.")
@as_json_option
@pass_installation
def tree(installation: Installation, *, task: str | None, limit: int, as_json: bool) -> None:
    """Draw which tasks wait for which others, over all sources; with TASK what that one depends on, and what needs it.

    A task stands above those that it depends on. What was drawn before is named again, but not drawn again.
    """
    task_id = None if task is None else task_here(installation, task)
    view = tree_of(installation.circumstances(), task_id)
    if as_json:
        render.say_json(view)
        return
    if not view.tasks:
        render.say("No task depends on another.")
        return
    lines, left_out = lines_of(view, most=limit, depth=_DEPTH)
    for lead, each, again in lines:
        render.say(f"{lead}{_about(each, again=again)}")
    if left_out:
        render.say(f"and {left_out:,} more; see them with --limit {limit + left_out}, or --json")
    for each in view.tasks:
        if each.task_id == task_id and each.needed_by:
            more = len(each.needed_by) - _NAMED
            shown = ", ".join(each.needed_by[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            render.say(f"needed by: {shown}")


def _about(task: TreeTask, *, again: bool) -> str:
    source = f" ({task.source})" if task.source else ""
    why = f": {task.why}" if task.why else ""
    return f"{task.task_id}{source} {task.state}{why}{' (above)' if again else ''}"
