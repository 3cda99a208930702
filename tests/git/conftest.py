"""Real repositories in scratch folders, read and written by the real git with a configuration of their own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import TASK_ID, TASK_QUEUE_ATTEMPT
from task_queue.git.checkpoint import Checkpoint, snapshot_now
from task_queue.git.commit import CommitResult, Judged, final_commit
from task_queue.git.program import Git
from task_queue.git.repository import Repository, facts, head_of


@dataclass(frozen=True)
class Scratch:
    """A repository and the person who works in it."""

    root: Path
    env: dict[str, str]

    @property
    def git(self) -> Git:
        return Git(self.root, self.env)

    @property
    def repository(self) -> Repository:
        found = facts(self.git)
        assert found is not None
        return found

    def run(self, *arguments: str, check: bool = True) -> str:
        """What a person does."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {arguments}: {done.stderr.decode(errors='replace')}")
        return os.fsdecode(done.stdout).removesuffix("\n")

    def write(self, name: str, text: str | bytes = "content\n") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def commit(self, name: str, text: str = "content\n") -> str:
        """A person's commit of one file."""
        self.write(name, text)
        self.run("add", "--", name)
        self.run("commit", "-q", "-m", f"Write {name.splitlines()[0]}")
        return self.run("rev-parse", "HEAD")

    def hook(self, name: str, script: str) -> None:
        path = self.root / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def status(self) -> list[str]:
        return self.run("status", "--porcelain", "--untracked-files=all").splitlines()

    def at(self, root: Path) -> Scratch:
        return Scratch(root, self.env)


def commit_now(git: Git, repository: Repository, since: Checkpoint, task_id: TaskId) -> CommitResult:
    """As if what is there now had passed."""
    there = git.at(repository.root)
    now = snapshot_now(there, repository, since=since)
    return final_commit(
        git,
        repository,
        since=since,
        judged=Judged(now.tree, head_of(there), now.left_out),
        subject="Work",
        body="",
        trailers={TASK_ID: task_id, TASK_QUEUE_ATTEMPT: "1"},
    )


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Person\n\temail = person@example.org\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n[merge]\n\tconflictStyle = merge\n'
    )
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@pytest.fixture
def empty(tmp_path: Path, env: dict[str, str]) -> Scratch:
    """A repository without a commit."""
    root = tmp_path / "work"
    root.mkdir()
    scratch = Scratch(root, env)
    scratch.run("init", "-q")
    return scratch


@pytest.fixture
def scratch(empty: Scratch) -> Scratch:
    """A repository with one commit, of ``first.txt``."""
    empty.commit("first.txt", "first\n")
    return empty
