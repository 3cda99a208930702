"""``init``: from an empty project to a queue that can be served."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from task_queue.app.installation import Installation
from task_queue.app.sources import initialize
from task_queue.cli import render
from task_queue.cli.proposing import offer_commands, say_what_is_missing, try_commands, try_option, yes_option
from task_queue.cli.session import pass_installation


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@yes_option
@try_option
@pass_installation
def init(installation: Installation, workspace: Path, *, yes: bool, try_them: bool) -> int:
    """Make tasks/ad-hoc and tasks/planned in WORKSPACE (default: here) and register them. Safe to repeat.

    It proposes setup and verify commands for what it finds there, and writes them with --yes, or if you agree. It ends
    with what is still missing: a login, a verify command, the service.
    """
    done = initialize(installation, workspace)
    for source in done.sources:
        render.say(f"{'made' if source.is_new else 'there already'}: {source.id} in {source.queue}")
    render.say(f"configuration: {done.config}")
    if done.why_in_git is not None:
        render.note(f"warning: git shows the queue's files: {done.why_in_git}")
    if not done.served:
        render.say(f"none of them works in {workspace.resolve()}; give it a queue of its own with:")
        render.say("  task-queue sources add tasks/NAME --id NAME --project-workspace .")
        return 0
    render.say(
        "agents use your login with claude; if a key is to pay, put it into agent.env_file, not into agent.env"
    )
    proposal = offer_commands(installation.again(), done.workspace, yes=yes)
    write = shlex.join(["task-queue", "init", "--yes", *([] if str(workspace) == "." else [str(workspace)])])
    here = installation.again()
    say_what_is_missing(here, to_prove=None if proposal is None else f"write what is proposed: {write}")
    render.say('next: task-queue tasks add "what is to be done", then: task-queue run --drain')
    return try_commands(here, done.workspace) if try_them else 0
