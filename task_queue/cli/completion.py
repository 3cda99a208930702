"""``completion``: prints the script that makes a shell complete the words of ``task-queue``."""

from __future__ import annotations

import click

from task_queue.app.completion import SHELLS
from task_queue.cli import render
from task_queue.cli.completing import script_for


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print the script that completes commands, options, ids, sources and templates in SHELL: bash, zsh or fish.

    ``service install`` installs it for bash and fish. By hand, in the start-up file of bash or zsh:
    eval "$(task-queue completion bash)"; for zsh also as _task-queue in a folder of its fpath.
    """
    render.say_block(script_for(shell).strip("\n"))
