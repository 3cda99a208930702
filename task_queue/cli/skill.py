"""``skill``: the texts that agents are given, which of them apply, and how to have your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from task_queue.agents import prompts as texts
from task_queue.agents.prompts import NAMES, SKILL, Places, Text
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.errors import TaskQueueError

_SCHEMA_VERSION = 1
_NO_PLACE = (
    "the configuration lies in a folder of somebody else's, so there is no place for prompts beside it"
)
_name = click.argument("name", type=click.Choice(NAMES), default=SKILL)


@click.group()
def skill() -> None:
    """The /task-worker skill and the prompts: show them, say which apply, copy them to change them."""


@skill.command()
@_name
@click.option("--packaged", is_flag=True, help="Ours, even where another one applies.")
@pass_installation
def show(installation: Installation, *, name: str, packaged: bool) -> None:
    """Print the text NAME (default: the skill) that applies here."""
    places = Places() if packaged else _places(installation)
    render.say_block(texts.which(name, places).content.rstrip("\n"))


@skill.command()
@as_json_option
@pass_installation
def which(installation: Installation, *, as_json: bool) -> None:
    """Say which texts apply here: the project's, the user's or the packaged ones."""
    found = [texts.which(name, _places(installation)) for name in NAMES]
    if as_json:
        listed = [_as_json(text) for text in found]
        render.say_json({"texts": listed, "schema_version": _SCHEMA_VERSION})
        return
    rows = [(text.name, text.origin, text.sha256[:12], str(text.path)) for text in found]
    render.show(render.table(rows, head=("TEXT", "OF", "SHA256", "PATH"), lead=3))


@skill.command()
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Another folder.")
@pass_installation
def eject(installation: Installation, *, directory: Path | None) -> None:
    """Copy the packaged prompts beside the configuration, to be changed there. Overwrites nothing."""
    prompts_dir = _prompts_dir(installation)
    target = directory or prompts_dir
    if target is None:
        raise TaskQueueError(_NO_PLACE, hint="name one with --to: a workspace's .claude/task-queue")
    target = target.absolute()
    written, kept = texts.eject(target)
    for path in written:
        render.say(f"made: {path}")
    for path in kept:
        render.say(f"there already, left alone: {path}")
    if target != prompts_dir:
        beside = f" and in {prompts_dir}" if prompts_dir else ""
        render.note(f"texts apply in a workspace's .claude/task-queue{beside}")


def _places(installation: Installation) -> Places:
    """As a task of the configured workspace has them; without a configuration, of the current directory."""
    content: dict[str, Any] = installation.content if installation.locations.config.exists() else {}
    agent: dict[str, Any] = content.get("agent") or {}
    env: dict[str, Any] = agent.get("env") or {}
    sources = agent.get("setting_sources", ["project"])
    workspace = Path(content.get("project_workspace") or Path.cwd())
    user = agent.get("config_dir") or env.get("CLAUDE_CONFIG_DIR") or "~/.claude"
    return Places(
        project=workspace / ".claude" if "project" in sources else None,
        user=Path(user).expanduser() if "user" in sources else None,
        prompts=_prompts_dir(installation),
    )


def _prompts_dir(installation: Installation) -> Path | None:
    """None where the configuration lies in a folder that is not ours: agents may write there."""
    folder = installation.locations.private[0]
    return None if folder == installation.locations.config else folder / "prompts"


def _as_json(text: Text) -> dict[str, str]:
    return {"name": text.name, "origin": text.origin, "path": str(text.path), "sha256": text.sha256}
