"""``skill``: the texts that agents are given, which of them apply, and how to have your own; the plugin with /queue."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app import prompts
from task_queue.app.installation import Installation
from task_queue.app.prompts import NAMES, SESSION_PLUGIN, SKILL
from task_queue.cli import render
from task_queue.cli.groups import CommandGroup
from task_queue.cli.session import as_json_option, pass_installation

_name = click.argument("name", type=click.Choice(NAMES), default=SKILL)


@click.group(cls=CommandGroup)
def skill() -> None:
    """The /task-worker skill and the prompts: show them, say which apply, copy them to change them."""


@skill.command()
@_name
@click.option("--packaged", is_flag=True, help="The packaged text, even where another one applies.")
@pass_installation
def show(installation: Installation, *, name: str, packaged: bool) -> None:
    """Print the text NAME (default: the skill) that applies here."""
    found = prompts.packaged(name) if packaged else prompts.text(installation, name)
    render.say_block(found.content.rstrip("\n"))


@skill.command()
@as_json_option
@pass_installation
def which(installation: Installation, *, as_json: bool) -> None:
    """Say which texts apply here: the project's, the user's or the packaged ones."""
    found = prompts.texts(installation)
    if as_json:
        render.say_json(found)
        return
    rows = [(text.name, text.origin, text.sha256[:12], text.path) for text in found.texts]
    render.show(render.table(rows, head=("TEXT", "OF", "SHA256", "PATH"), lead=3))


@skill.command()
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Another folder.")
@pass_installation
def eject(installation: Installation, *, directory: Path | None) -> None:
    """Copy the packaged prompts beside the configuration, so that you can change them. Overwrites nothing."""
    copies = prompts.copy_packaged(installation, directory)
    for path in copies.written:
        render.say(f"made: {path}")
    for path in copies.kept:
        render.say(f"there already, left alone: {path}")
    if not copies.applies:
        beside = f" and in {copies.beside_configuration}" if copies.beside_configuration else ""
        render.note(f"texts apply in a workspace's .claude/task-queue{beside}")


@skill.command()
def plugin() -> None:
    """Print the folder of the plugin that brings /queue into your own Claude Code sessions."""
    render.say(SESSION_PLUGIN)
