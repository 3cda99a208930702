"""``tasks open``: the report of a task to read, or where its checkout is."""

from __future__ import annotations

import click

from task_queue.app.finding import NotThereError, found
from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.session import pass_installation
from task_queue.domain.text import printable


@click.command("open")
@task_argument()
@click.option("--checkout", is_flag=True, help="Print the directory of its checkout instead.")
@pass_installation
def open_task(installation: Installation, *, task: str, checkout: bool) -> None:
    """Read the report of TASK in your pager; where there is no terminal, print its path."""
    task_id = task_here(installation, task)
    if checkout:
        from task_queue.app.worktrees import path_of_worktree

        render.say(path_of_worktree(installation, task_id))
        return
    listed, state = found(installation.sources(), task_id)
    report = listed.folders.report(task_id)
    if not report.exists():
        raise NotThereError(f"task {task_id} is {state}, and has no report", hint="see: tasks show")
    if render.on_terminal():
        click.echo_via_pager(printable(report.read_text(errors="replace"), keep_lines=True))
    else:
        render.say(report)
