"""The scratch folder that a rehearsal plays in: copies of workspaces, one source a task, a configuration.

What the owner's tasks could reach and these must not is left out here: keys and logins, notifications, MCP servers,
what projects' own settings start, remotes to push to, and every executor but the agent.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.config.environment import agent_environment
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.demo.scripted_model import ScriptedModel, child_environment
from task_queue.domain.document import frontmatter, writing
from task_queue.domain.document.choices import Isolation, Landing, Workflow
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.repository import head_of, root_of
from task_queue.store.folder.layout import Layout

TASK = TaskId("task-rehearsed")
"""Each source has one task, so that none waits for another."""
_COPIED_MOST = 2**30
_CLONE_TIMEOUT_S = 600.0
_HAS_NO_PART = (
    *(
        "depends_on",
        "on_dependency_failure",
        "not_before",
        "dedupe_key",
        "touches",
        "capabilities",
        "priority",
    ),
    *(
        "title",
        "labels",
        "submitted_by",
        "workspace",
        "landing",
        "workflow",
        "max_iterations",
        "on_lost_session",
    ),
    *("max_attempts", "retry_delay", "max_turns", "max_budget_usd", "model", "fallback_model", "effort"),
)
"""Keys of documents that say when a task starts, what it may cost, and what follows."""
_LOGINS = ("ANTHROPIC_", "CLAUDE", "AWS_", "GOOGLE_", "GCLOUD_", "CLOUD_ML_", "AZURE_", "VERTEX_")
_LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class PlayedTask:
    """One task as it is played."""

    source: Source
    text: str
    """The document."""
    settings: Settings
    workspace: Path
    marker: str
    """What the model knows it by."""

    @property
    def is_in_place(self) -> bool:
        return self.settings.isolation is Isolation.NONE


class RehearsalStage:
    """Everything below *root*, which is the caller's to remove."""

    def __init__(self, root: Path, config: Config) -> None:
        self._root = root
        self._owners = config
        self._copies: dict[tuple[Path, bool], Path] = {}
        self._plain = without_secrets(agent_environment(config.agent, os.environ), config.checks.env)

    @property
    def config(self) -> Path:
        return self._root / "config" / "config.json"

    @property
    def errors(self) -> Path:
        return self._root / "queue.err"

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the queue. Its home is the owner's, where set-up and checks find their tools."""
        folders = {
            f"XDG_{name}_HOME": str(self._root / name.lower())
            for name in ("STATE", "DATA", "CONFIG", "CACHE")
        }
        named = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return {**named, **folders, "XDG_RUNTIME_DIR": str(self._root / "run")}

    def layout(self, marker: str) -> Layout:
        return Layout(self._root / "tasks" / marker / "pending")

    def build(self, parts: Iterable[PlayedTask], model: ScriptedModel) -> None:
        """Raises TaskQueueError or OSError."""
        for folder in (self.config.parent, self._root / "run", self._root / "agent"):
            folder.mkdir(mode=0o700)
        sources: list[dict[str, Any]] = []
        for part in parts:
            layout = self.layout(part.marker)
            layout.create()
            draft = layout.staging / f"{TASK}.md"
            draft.write_text(_document_of(part))
            draft.rename(layout.pending / draft.name)
            sources.append(
                {
                    "id": part.marker,
                    "path": str(layout.pending),
                    "project_workspace": str(self.copy_of(part)),
                    "defaults": _without_part(part.source.defaults),
                    "setup": list(part.source.setup),
                }
            )
        self.config.write_text(json.dumps(self._configuration(sources, model), indent=2) + "\n")
        self.config.chmod(0o600)

    def copy_of(self, part: PlayedTask) -> Path:
        """Where the task works instead of its workspace: a clone, in place with what is not committed, too.

        Raises TaskQueueError or OSError.
        """
        git = Git(part.workspace, self._plain, timeout_s=_CLONE_TIMEOUT_S, extra={"GIT_NO_LAZY_FETCH": "1"})
        root = root_of(git)
        top = part.workspace if root is None else root
        key = top, part.is_in_place
        if key not in self._copies:
            copy = self._root / "workspaces" / str(len(self._copies)) / (top.name or "workspace")
            copy.parent.mkdir(mode=0o700, parents=True)
            if root is not None and head_of(git) is not None:
                _clone(git.at(root), copy, with_files=not part.is_in_place)
            if root is None or part.is_in_place:
                _copy_files(top, copy)
            if root is not None and part.is_in_place and head_of(git) is not None:
                git.plain(copy).change("reset", "--quiet")
            self._copies[key] = copy
        return self._copies[key] / part.workspace.relative_to(top)

    def _configuration(self, sources: list[dict[str, Any]], model: ScriptedModel) -> dict[str, Any]:
        owners = self._owners
        agent = owners.agent
        return {
            "version": owners.version,
            "task_source_directories": sources,
            "defaults": _without_part(owners.defaults),
            "executors": {
                name: {"kind": "command", "argv": [shutil.which("true") or "/bin/true"]}
                for name in owners.executors
            },
            "agent": {
                "env": self._agent_variables(model),
                "setting_sources": [],
                **({} if agent.cli_path is None else {"cli_path": str(agent.cli_path)}),
            },
            "limits": {
                "running": min(owners.limits.running, max(1, (os.cpu_count() or 2) - 1)),
                "per_workspace": 1,
                "memory_mb": owners.limits.memory_mb,
                "min_free_mb": 50,
            },
            "settle_seconds": 0,
        }

    def _agent_variables(self, model: ScriptedModel) -> dict[str, str]:
        kept = {name: value for name, value in self._plain.items() if not name.startswith(_LOGINS)}
        scripted = child_environment(self._root / "agent", model)
        for general in ("PATH", "HOME", "LANG"):
            scripted.pop(general)
        proxied = {
            name: ",".join(part for part in (kept.get(name), _LOOPBACK) if part)
            for name in ("no_proxy", "NO_PROXY")
        }
        return {**kept, **proxied, **scripted}


def _document_of(part: PlayedTask) -> str:
    text = writing.without_keys(part.text, _HAS_NO_PART)
    front, body = frontmatter.split(text)
    opening = text.removesuffix(body) if front is not None else ""
    replaced = f"{opening}# Rehearsal {part.marker}\n\nNothing is to be done.\n"
    keys = {
        "workflow": Workflow.SINGLE.value,
        "landing": Landing.BRANCH.value,
        "max_attempts": "1",
        "max_iterations": "1",
    }
    return writing.with_keys(replaced, keys)


def _without_part(defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in defaults.items() if key not in _HAS_NO_PART}


def _clone(git: Git, copy: Path, *, with_files: bool) -> None:
    """It reads the owner's objects where they are, and knows no repository to push to. Raises GitError."""
    files = () if with_files else ("--no-checkout",)
    git.read("clone", "--quiet", "--shared", "--template=", *files, "--", str(git.directory), str(copy))
    own = git.plain(copy)
    own.change("remote", "remove", "origin")
    settings = {
        "user.name": "task-queue rehearsal",
        "user.email": "rehearsal@localhost",
        "commit.gpgsign": "false",
        "core.hooksPath": os.devnull,
    }
    for name, value in settings.items():
        own.change("config", name, value)


def _copy_files(top: Path, copy: Path) -> None:
    """All but git's own; raises TaskQueueError where that is too much, or where a file cannot be read."""
    size = sum(_sizes(top))
    if size > _COPIED_MOST:
        raise TaskQueueError(
            f"{top} has {size / 2**30:.1f} GiB, too much to rehearse a task that works in place there",
            hint="with isolation: worktree its commits are enough",
        )

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name == ".git" or not _is_copied(Path(folder) / name)}

    try:
        shutil.copytree(top, copy, symlinks=True, ignore=left_out, dirs_exist_ok=True)
    except shutil.Error as error:
        first = error.args[0][0]
        raise TaskQueueError(f"{first[0]} cannot be copied: {first[2]}") from error


def _sizes(top: Path) -> Iterator[int]:
    for folder, folders, names in os.walk(top):
        if ".git" in folders:
            folders.remove(".git")
        for name in names:
            try:
                yield (Path(folder) / name).lstat().st_size
            except OSError:
                continue


def _is_copied(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
