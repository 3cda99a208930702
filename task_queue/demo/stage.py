"""The scratch folder that the demo plays in: a git workspace, two sources, a configuration, a home.

Nothing of the person's own is used: every environment is built, and the agent's model is on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from task_queue.config.locations import locate
from task_queue.demo.cast import DEMO_TASKS, DemoTask
from task_queue.demo.scripted_model import ScriptedModel, child_environment
from task_queue.domain.errors import TaskQueueError
from task_queue.store.folder.layout import Layout

SOURCES = tuple(dict.fromkeys(part.source for part in DEMO_TASKS))
_README = """\
# Convert

Converts temperatures between scales.
"""
_CONVERT = '''\
"""Temperatures."""


def to_celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) / 1.8
'''


@dataclass(frozen=True, slots=True)
class Stage:
    root: Path
    git: str

    @property
    def workspace(self) -> Path:
        return self.root / "project"

    @property
    def config(self) -> Path:
        # In a folder of its own: agents may not touch the one that holds the configuration.
        return self.root / "config" / "config.json"

    @property
    def daemon_errors(self) -> Path:
        return self.root / "daemon.err"

    def layout(self, source: str) -> Layout:
        return Layout(self.root / "tasks" / source / "pending")

    @property
    def worktree(self) -> Path:
        """Where the task that writes code works, away from the workspace."""
        part = DEMO_TASKS[0]
        locations = locate(self.config, environ=self.environment)
        return locations.worktrees / part.source / part.task_id

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the daemon."""
        return {
            "PATH": self._path,
            "HOME": str(self.root / "home"),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.root / "run"),
        }

    def build(self, model: ScriptedModel) -> None:
        """Everything but the tasks."""
        for folder in (self.workspace, self.config.parent, self.root / "home", self.root / "run"):
            folder.mkdir(mode=0o700)
        for source in SOURCES:
            self.layout(source).create()
        (self.workspace / "README.md").write_text(_README)
        (self.workspace / "convert.py").write_text(_CONVERT)
        (self.workspace / ".gitignore").write_text("__pycache__/\n")
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("config", "user.name", "task-queue demo")
        self._git("config", "user.email", "demo@localhost")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message=Start")
        self._git("tag", "start")
        self.config.write_text(json.dumps(self._configuration(model), indent=2) + "\n")
        self.config.chmod(0o600)

    def drop(self, part: DemoTask) -> None:
        """Hand in a task as a careful producer does: write it elsewhere, rename it into ``pending/``."""
        layout = self.layout(part.source)
        draft = layout.staging / f"{part.task_id}.md"
        draft.write_bytes(part.document)
        draft.rename(layout.pending / draft.name)

    def changes(self) -> list[str]:
        """What became of the workspace, as git sums it up; uncommitted files included."""
        self._git("add", "--intent-to-add", ".")
        return self._git("diff", "--stat=76", "start").splitlines()

    def commits(self) -> list[str]:
        return self._git("log", "--format=%h %s", "start..").splitlines()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.git, "-C", str(self.workspace), *arguments],
            env={**self.environment, "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TaskQueueError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def _configuration(self, model: ScriptedModel) -> dict[str, object]:
        return {
            "version": "2.1",
            "project_workspace": str(self.workspace),
            "task_source_directories": [
                {"id": source, "path": str(self.layout(source).pending)} for source in SOURCES
            ],
            "agent": {"env": child_environment(self.root / "home", model, path=self._path)},
            "limits": {"min_free_mb": 50},
            "settle_seconds": 0.2,
        }

    @property
    def _path(self) -> str:
        """Where git and a Python for the agent's test are found; nothing else of the person's PATH."""
        own = [str(Path(self.git).parent), str(Path(sys.executable).parent)]
        return os.pathsep.join(dict.fromkeys([*own, "/usr/local/bin", "/usr/bin", "/bin"]))


def find_git() -> str:
    """Raises TaskQueueError where there is none."""
    git = shutil.which("git")
    if git is None:
        raise TaskQueueError(
            "the demo needs git, which is not installed", hint="install it, for example: apt install git"
        )
    return git
