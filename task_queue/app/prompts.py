"""The texts that agents are given: which apply here, and how a person gets a copy to change; the plugin for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.agents import prompts
from task_queue.agents.prompts import NAMES, SKILL, PromptFolders, Text
from task_queue.app.installation import Installation
from task_queue.domain.errors import TaskQueueError

__all__ = [
    "NAMES",
    "SESSION_PLUGIN",
    "SKILL",
    "Copies",
    "TextLine",
    "TextsView",
    "copy_packaged",
    "packaged",
    "text",
    "texts",
]

SESSION_PLUGIN = Path(__file__).parents[1] / "session_plugin"
"""A Claude Code plugin with the skill /queue, and the marketplace that offers it; agents of the queue do not get it."""

_NO_PLACE = "the configuration is in another user's folder, so there is no place for prompts beside it"


@dataclass(frozen=True, slots=True)
class TextLine:
    name: str
    origin: str
    """``project``, ``user`` or ``packaged``."""
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class TextsView:
    texts: tuple[TextLine, ...]
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class Copies:
    """``kept`` were there already and are left alone; copies apply only if ``applies``."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    applies: bool
    beside_configuration: Path | None


def text(installation: Installation, name: str) -> Text:
    """The text *name* (of NAMES) that applies to tasks of the configured workspace."""
    return prompts.which(name, _prompt_folders(installation))


def packaged(name: str) -> Text:
    """The text *name* as it comes with the program, even where another one applies."""
    return prompts.which(name, PromptFolders())


def texts(installation: Installation) -> TextsView:
    found = [text(installation, name) for name in NAMES]
    return TextsView(tuple(TextLine(each.name, each.origin, str(each.path), each.sha256) for each in found))


def copy_packaged(installation: Installation, directory: Path | None = None) -> Copies:
    """Copy the packaged texts to *directory*, by default beside the configuration. Overwrites nothing."""
    beside = _prompts_dir(installation)
    target = directory or beside
    if target is None:
        raise TaskQueueError(_NO_PLACE, hint="name one with --to: a workspace's .claude/task-queue")
    target = target.absolute()
    written, kept = prompts.eject(target)
    return Copies(tuple(written), tuple(kept), target == beside, beside)


def _prompt_folders(installation: Installation) -> PromptFolders:
    """As a task of the configured workspace has them; without a configuration, of the current directory."""
    content: dict[str, Any] = installation.content if installation.locations.config.exists() else {}
    agent: dict[str, Any] = content.get("agent") or {}
    env: dict[str, Any] = agent.get("env") or {}
    sources = agent.get("setting_sources", ["project"])
    workspace = Path(content.get("project_workspace") or Path.cwd())
    user = agent.get("config_dir") or env.get("CLAUDE_CONFIG_DIR") or "~/.claude"
    return PromptFolders(
        project=workspace / ".claude" if "project" in sources else None,
        user=Path(user).expanduser() if "user" in sources else None,
        prompts=_prompts_dir(installation),
    )


def _prompts_dir(installation: Installation) -> Path | None:
    folder = installation.locations.own_folder
    return None if folder is None else folder / "prompts"
