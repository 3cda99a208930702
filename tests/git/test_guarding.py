"""No git of the queue starts what an agent configured; the owner's own programs go on working."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import TASK_ID, TASK_QUEUE_ATTEMPT
from task_queue.git.changes import changes_between
from task_queue.git.checkpoint import checkpoint, snapshot_now
from task_queue.git.collect import collect
from task_queue.git.commit import final_commit
from task_queue.git.guarding import begin_guarding, disarmed, end_guarding, guarded
from task_queue.git.landing import Advanced, LandingPlan, land
from task_queue.git.program import Git
from task_queue.git.removal import remove
from task_queue.git.repository import facts
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.snapshot import commit_tree
from task_queue.git.worktree import create
from tests.git.conftest import Scratch

TASK = TaskId("task-a")
TRAILERS = {TASK_ID: TASK, TASK_QUEUE_ATTEMPT: "1"}
HOOKS = (
    *("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "post-merge", "pre-merge-commit"),
    *("reference-transaction", "post-index-change", "post-rewrite", "pre-auto-gc", "fsmonitor-watchman"),
)


@dataclass(frozen=True)
class Hostile:
    """A program that says that it ran, and the ways to let git start it."""

    program: Path
    said: Path

    @classmethod
    def made_in(cls, folder: Path) -> Hostile:
        folder.mkdir()
        program, said = folder / "program", folder / "said"
        program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{said}'\ncat 2>/dev/null\ntrue\n")
        program.chmod(0o755)
        return cls(program, said)

    def configure(self, kind: str, at: Scratch, *where: str) -> None:
        """*where* says which configuration, as git-config(1) is told."""
        word = str(self.program)
        for name, value in SETTINGS[kind]:
            at.run("config", *where, name, value.replace("PROGRAM", word))
        if kind == "hooks":
            folder = Path(at.run("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
            folder.mkdir(exist_ok=True)
            for name in HOOKS:
                (folder / name).unlink(missing_ok=True)
                (folder / name).symlink_to(self.program)
        if kind == "hooksPath":
            for name in HOOKS:
                (self.program.parent / name).symlink_to(self.program)
        if kind.startswith("include"):
            (self.program.parent / "included").write_text(f'[filter "evil"]\n\tclean = {word}\n\tsmudge = {word}\n')
        (at.root / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")

    @property
    def ran(self) -> str:
        return self.said.read_text() if self.said.exists() else ""


SETTINGS: dict[str, list[tuple[str, str]]] = {
    "hooks": [],
    "hooksPath": [("core.hooksPath", "PROGRAM/..")],
    "fsmonitor": [("core.fsmonitor", "PROGRAM")],
    "clean": [("filter.evil.clean", "PROGRAM"), ("filter.evil.smudge", "PROGRAM"), ("filter.evil.required", "true")],
    "process": [("filter.evil.process", "PROGRAM")],
    "textconv": [("diff.evil.textconv", "PROGRAM"), ("diff.evil.command", "PROGRAM"), ("diff.external", "PROGRAM")],
    "merge": [("merge.evil.driver", "PROGRAM"), ("merge.default", "evil")],
    "ssh": [("core.sshCommand", "PROGRAM"), ("core.gitProxy", "PROGRAM"), ("core.askPass", "PROGRAM")],
    "gpg": [
        *(("gpg.program", "PROGRAM"), ("gpg.ssh.program", "PROGRAM"), ("gpg.ssh.defaultKeyCommand", "PROGRAM")),
        *(("commit.gpgSign", "true"), ("log.showSignature", "true")),
    ],
    "alias": [(f"alias.{name}", "!PROGRAM") for name in ("status", "commit", "hook", "merge-tree", "rev-parse")],
    "include": [("include.path", "PROGRAM/../included")],
    "includeIf": [("includeIf.gitdir:**.path", "PROGRAM/../included")],
    "editor": [("core.editor", "PROGRAM"), ("sequence.editor", "PROGRAM"), ("core.pager", "PROGRAM")],
    "credential": [("credential.helper", "!PROGRAM")],
    "packs": [("remote.origin.uploadpack", "PROGRAM"), ("remote.origin.receivepack", "PROGRAM")],
    "ext": [("protocol.ext.allow", "always"), ("remote.origin.url", "ext::PROGRAM"), ("remote.origin.promisor", "true")],
    "packObjectsHook": [("uploadpack.packObjectsHook", "PROGRAM")],
    "alternates": [("core.alternateRefsCommand", "PROGRAM")],
}
KINDS = pytest.mark.parametrize("kind", SETTINGS)


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    (tmp_path / "evil").mkdir(exist_ok=True)
    return Hostile.made_in(tmp_path / "evil/bin")


def in_place(scratch: Scratch, trusted: Path, agent: Callable[[], None]) -> Git:
    """A task's whole life with git as it works in the workspace itself."""
    git = begin_guarding(scratch.git, trusted)
    repository = facts(git)
    assert repository is not None
    kept = checkpoint(git, repository, task_id=TASK, attempt=1)
    agent()
    now = snapshot_now(git, repository, since=kept)
    changes_between(git, kept.commit, now.tree)
    with scratch_checkout(
        git, commit_tree(git, now.tree, parents=[], message="x\n"), directory=scratch.root.parent / "verify"
    ):
        pass
    made = final_commit(git, repository, since=kept, subject="Work", body="", trailers=TRAILERS)
    assert made.refused is None, made.refused
    end_guarding(git)
    return git


@KINDS
@pytest.mark.parametrize("where", ["--local", "--global"])
def test_what_is_configured_in_place_never_runs(
    scratch: Scratch, tmp_path: Path, hostile: Hostile, kind: str, where: str
) -> None:
    """In this task, in the next one, and where a daemon looks between them."""
    trusted = tmp_path / "state"

    def agent() -> None:
        scratch.write("work.txt")
        hostile.configure(kind, scratch, where)

    git = in_place(scratch, trusted, agent)
    facts(guarded(scratch.git, trusted))
    in_place(scratch, trusted, lambda: scratch.write("more.txt") and None)

    assert hostile.ran == ""
    assert kind in {"alias", "fsmonitor"} or disarmed(git) or kind.startswith("include")
