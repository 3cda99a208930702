"""No git of the queue starts what an agent configured; the owner's own programs go on working."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.changes import changes_between
from task_queue.git.checkpoint import checkpoint, snapshot_now
from task_queue.git.collect import collect
from task_queue.git.guarding import begin_guarding, disarmed, end_guarding, guarded
from task_queue.git.landing import Advanced, LandingPlan, land
from task_queue.git.program import Git
from task_queue.git.removal import remove, why_kept
from task_queue.git.repository import facts
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.snapshot import commit_tree
from task_queue.git.worktree import create
from tests.git.conftest import Scratch, commit_now
from tests.sampling import short_and_long

TASK = TaskId("task-a")
HOOKS = (
    *(
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-merge",
        "pre-merge-commit",
    ),
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
            at.run(
                "config",
                *where,
                name,
                value.replace("PROGRAM", word).replace("FOLDER", str(self.program.parent)),
            )
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
            (self.program.parent / "included").write_text(
                f'[filter "evil"]\n\tclean = {word}\n\tsmudge = {word}\n'
            )
        (at.root / ".gitattributes").write_text(attributes_for(kind))

    @property
    def ran(self) -> str:
        return self.said.read_text() if self.said.exists() else ""


SETTINGS: dict[str, list[tuple[str, str]]] = {
    "hooks": [],
    "hooksPath": [("core.hooksPath", "FOLDER")],
    "fsmonitor": [("core.fsmonitor", "PROGRAM")],
    "clean": [
        ("filter.evil.clean", "PROGRAM"),
        ("filter.evil.smudge", "PROGRAM"),
        ("filter.evil.required", "true"),
    ],
    "equals": [("filter.evil=x.clean", "PROGRAM"), ("filter.evil=x.smudge", "PROGRAM")],
    "process": [("filter.evil.process", "PROGRAM")],
    "textconv": [
        ("diff.evil.textconv", "PROGRAM"),
        ("diff.evil.command", "PROGRAM"),
        ("diff.external", "PROGRAM"),
    ],
    "merge": [("merge.evil.driver", "PROGRAM"), ("merge.default", "evil")],
    "ssh": [("core.sshCommand", "PROGRAM"), ("core.gitProxy", "PROGRAM"), ("core.askPass", "PROGRAM")],
    "gpg": [
        *(
            ("gpg.program", "PROGRAM"),
            ("gpg.ssh.program", "PROGRAM"),
            ("gpg.ssh.defaultKeyCommand", "PROGRAM"),
        ),
        *(("commit.gpgSign", "true"), ("log.showSignature", "true")),
    ],
    "alias": [
        (f"alias.{name}", "!PROGRAM") for name in ("status", "commit", "hook", "merge-tree", "rev-parse")
    ],
    "include": [("include.path", "FOLDER/included")],
    "includeIf": [("includeIf.gitdir:**.path", "FOLDER/included")],
    "editor": [("core.editor", "PROGRAM"), ("sequence.editor", "PROGRAM"), ("core.pager", "PROGRAM")],
    "credential": [("credential.helper", "!PROGRAM")],
    "packs": [("remote.origin.uploadpack", "PROGRAM"), ("remote.origin.receivepack", "PROGRAM")],
    "ext": [
        ("protocol.ext.allow", "always"),
        ("remote.origin.url", "ext::PROGRAM"),
        ("remote.origin.promisor", "true"),
    ],
    "packObjectsHook": [("uploadpack.packObjectsHook", "PROGRAM")],
    "alternates": [("core.alternateRefsCommand", "PROGRAM")],
}


def attributes_for(kind: str) -> str:
    return f"* filter={'evil=x' if kind == 'equals' else 'evil'} diff=evil merge=evil\n"


WITNESSES = ("hooks", "clean", "include", "ssh")
KINDS = pytest.mark.parametrize(
    "kind", short_and_long(WITNESSES, [kind for kind in SETTINGS if kind not in WITNESSES])
)


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    (tmp_path / "evil").mkdir(exist_ok=True)
    return Hostile.made_in(tmp_path / "evil/bin")


def in_place(scratch: Scratch, trusted: Path, agent: Callable[[], object]) -> Git:
    """A task's whole life with git as it works in the workspace itself."""
    task_id = TaskId(f"task-{uuid.uuid4()}")
    git = begin_guarding(scratch.git, trusted)
    repository = facts(git)
    assert repository is not None
    kept = checkpoint(git, repository, task_id=task_id, attempt=1)
    agent()
    now = snapshot_now(git, repository, since=kept)
    changes_between(git, kept.commit, now.tree)
    with scratch_checkout(
        git, commit_tree(git, now.tree, parents=[], message="x\n"), directory=scratch.root.parent / "verify"
    ):
        pass
    made = commit_now(git, repository, kept, task_id)
    assert made.refused is None, made.refused
    end_guarding(git)
    return git


@KINDS
@pytest.mark.parametrize("where", ["--local", pytest.param("--global", marks=pytest.mark.long)])
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
    in_place(scratch, trusted, lambda: scratch.write("more.txt"))

    assert hostile.ran == ""
    assert kind in {"alias", "fsmonitor"} or disarmed(git) or kind.startswith("include")


@KINDS
@pytest.mark.parametrize(
    "where", ["own", *(pytest.param(scope, marks=pytest.mark.long) for scope in ("--local", "--global"))]
)
def test_what_is_configured_from_a_checkout_never_runs(
    scratch: Scratch, tmp_path: Path, hostile: Hostile, kind: str, where: str
) -> None:
    """In the checkout's own repository, or by the path of the owner's; through commit, landing and removal."""
    git = begin_guarding(scratch.git, tmp_path / "state")
    tree = create(git, TASK, directory=tmp_path / "task-a", base="HEAD")
    there = facts(tree.git)
    assert there is not None
    kept = checkpoint(tree.git, there, task_id=TASK, attempt=1)
    checkout = scratch.at(tree.directory)
    checkout.commit("by-agent.txt")
    checkout.write("work.txt")
    hostile.configure(kind, checkout if where == "own" else scratch, *(() if where == "own" else (where,)))
    checkout.write(".gitattributes", attributes_for(kind))
    (scratch.root / ".gitattributes").unlink(missing_ok=True)

    assert collect(tree.git, TASK, base=tree.head, branch=tree.branch) == ()
    changes_between(tree.git, kept.commit, snapshot_now(tree.git, there, since=kept).tree)
    made = commit_now(tree.git, there, kept, TASK)
    guarded(scratch.git, tmp_path / "state").read("status")
    other = commit_tree(git, f"{tree.head}^{{tree}}", parents=[tree.head], message="Other work\n")
    git.change("update-ref", "refs/heads/main", other)  # so that there is something to merge
    plan = LandingPlan(tree.branch, "main", message="Merge\n", beside=tmp_path / "merge", marker="m")
    landed = land(git, plan, add_note=lambda _: None)
    left = remove(git, tree.directory)
    end_guarding(git)

    assert made.ours is not None
    assert len(made.by_agent) == 1
    assert isinstance(landed, Advanced)
    assert left is None
    assert hostile.ran == ""


def nested_in(scratch: Scratch, hostile: Hostile, *, as_submodule: bool) -> None:
    """A repository below, whose configuration names a program for its only file, which is changed."""
    nested = scratch.at(scratch.root / "nested")
    nested.root.mkdir()
    nested.run("init", "-q")
    nested.write(".gitattributes", "*.txt filter=evil\n")
    nested.run("add", ".")
    nested.commit("a.txt")
    if as_submodule:
        scratch.run("add", "nested")
        scratch.run("commit", "-qm", "Nested")
    nested.write("a.txt", "other!!\n")
    for name in ("filter.evil.clean", "filter.evil.process", "core.fsmonitor", "diff.external"):
        nested.run("config", name, str(hostile.program))


@pytest.mark.parametrize("as_submodule", [False, True])
@pytest.mark.parametrize("isolation", ["none", "worktree"])
def test_no_repository_below_is_entered(
    scratch: Scratch, tmp_path: Path, hostile: Hostile, as_submodule: bool, isolation: str
) -> None:
    if isolation == "none":
        in_place(scratch, tmp_path / "state", lambda: nested_in(scratch, hostile, as_submodule=as_submodule))
        assert hostile.ran == ""
        return
    git = begin_guarding(scratch.git, tmp_path / "state")
    tree = create(git, TASK, directory=tmp_path / "task-a", base="HEAD")
    there = facts(tree.git)
    assert there is not None
    kept = checkpoint(tree.git, there, task_id=TASK, attempt=1)
    nested_in(scratch.at(tree.directory), hostile, as_submodule=as_submodule)

    collect(tree.git, TASK, base=tree.head, branch=tree.branch)
    commit_now(tree.git, there, kept, TASK)

    assert remove(git, tree.directory) is not None  # it has what nothing else has
    assert hostile.ran == ""


def test_a_change_in_a_submodule_is_seen_without_its_configuration(
    scratch: Scratch, tmp_path: Path, hostile: Hostile
) -> None:
    """Also one level down."""
    inner = scratch.at(tmp_path / "inner")
    inner.root.mkdir()
    inner.run("init", "-q")
    inner.commit("deep.txt")
    scratch.run("submodule", "--quiet", "add", str(inner.root), "lib")
    scratch.run("commit", "-qm", "Add lib")
    before = facts(scratch.git)
    scratch.write("lib/deep.txt", "other!\n")
    lib = scratch.at(scratch.root / "lib")
    lib.write(".gitattributes", "* filter=evil\n")
    lib.run("config", "filter.evil.clean", str(hostile.program))

    after = facts(scratch.git)

    assert before is not None
    assert before.dirty == ()
    assert after is not None
    assert [(dirty.path, dirty.in_submodule) for dirty in after.dirty] == [("lib", True)]
    assert hostile.ran == ""


def test_the_owners_programs_go_on_working(scratch: Scratch, tmp_path: Path, hostile: Hostile) -> None:
    """Hooks and filters from before the task run, also while others were planted, and after one was taken out."""
    ran = tmp_path / "owners"
    scratch.hook("pre-commit", f"echo hook >> '{ran}'")
    scratch.run("config", "filter.own.clean", f"echo filter >> '{ran}'; cat")
    scratch.write(".gitattributes", "*.txt filter=own\n")
    scratch.run("add", ".")
    scratch.run("commit", "-qm", "Mine")
    ran.unlink()

    def agent() -> None:
        scratch.write("work.txt")
        scratch.run("config", "--unset", "filter.own.clean")
        (scratch.root / ".git/hooks/post-commit").symlink_to(hostile.program)

    in_place(scratch, tmp_path / "state", agent)

    assert hostile.ran == ""
    assert {"hook", "filter"} <= set(ran.read_text().split())


def test_the_owners_own_change_counts_once_no_task_is_at_work(scratch: Scratch, tmp_path: Path) -> None:
    ran = tmp_path / "owners"
    in_place(scratch, tmp_path / "state", lambda: None)
    scratch.hook("pre-commit", f"echo hook >> '{ran}'")

    git = in_place(scratch, tmp_path / "state", lambda: scratch.write("work.txt"))

    assert ran.read_text().startswith("hook")
    assert disarmed(git) is None


def test_what_a_task_left_counts_once_its_owner_accepts_it(scratch: Scratch, tmp_path: Path) -> None:
    ran = tmp_path / "owners"
    git = in_place(scratch, tmp_path / "state", lambda: scratch.hook("pre-commit", f"echo hook >> '{ran}'"))
    left = disarmed(git)
    in_place(scratch, tmp_path / "state", lambda: scratch.write("one.txt"))
    assert not ran.exists()

    assert left is not None
    assert "pre-commit" in left
    Path(left.rpartition("rm ")[2]).unlink()
    in_place(scratch, tmp_path / "state", lambda: scratch.write("two.txt"))

    assert ran.exists()


def test_what_a_killed_runner_left_is_not_trusted(scratch: Scratch, tmp_path: Path, hostile: Hostile) -> None:
    """It did not come to look; the next one finds that it died at work."""
    done = dead_runner_at_work(scratch, tmp_path / "state", lambda: hostile.configure("hooks", scratch))
    assert done == 0

    in_place(scratch, tmp_path / "state", lambda: scratch.write("work.txt"))

    assert hostile.ran == ""


def dead_runner_at_work(scratch: Scratch, trusted: Path, agent: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(GitError):
            begin_guarding(scratch.git, trusted)
            agent()
            os._exit(0)
        os._exit(1)
    return os.waitpid(pid, 0)[1]


def test_files_elsewhere_are_not_taken_for_the_workspace(scratch: Scratch, tmp_path: Path) -> None:
    """An agent that sets ``core.worktree`` would let the queue commit what is there."""
    git = begin_guarding(scratch.git, tmp_path / "state")
    scratch.run("config", "core.worktree", str(tmp_path / "home"))

    with pytest.raises(GitError, match=r"core\.worktree was changed"):
        facts(git)


def test_a_link_to_another_repository_is_not_followed(
    scratch: Scratch, tmp_path: Path, hostile: Hostile
) -> None:
    """In the place of the checkout's own repository, as a linked working tree has one."""
    git = begin_guarding(scratch.git, tmp_path / "state")
    tree = create(git, TASK, directory=tmp_path / "task-a", base="HEAD")
    checkout = scratch.at(tree.directory)
    for kind in ("clean", "fsmonitor", "hooks"):
        hostile.configure(kind, checkout)
    (tree.directory / ".git").rename(tree.directory / "evil")
    (tree.directory / ".git").write_text("gitdir: evil\n")
    checkout.write("first.txt", "other\n")

    assert why_kept(git, tree.directory) is not None
    assert remove(git, tree.directory) is not None
    assert hostile.ran == ""


def another_by_link(scratch: Scratch) -> None:
    (scratch.root / ".git").rename(scratch.root / ".elsewhere")
    (scratch.root / ".git").symlink_to(".elsewhere")


def another_by_a_file(scratch: Scratch) -> None:
    (scratch.root / ".git").rename(scratch.root / ".elsewhere")
    (scratch.root / ".git").write_text("gitdir: .elsewhere\n")


def another_by_its_common_folder(scratch: Scratch) -> None:
    shutil.copytree(scratch.root / ".git", scratch.root / ".elsewhere", symlinks=True)
    (scratch.root / ".git/commondir").write_text("../.elsewhere\n")


@pytest.mark.parametrize("put", [another_by_link, another_by_a_file, another_by_its_common_folder])
@pytest.mark.parametrize("kind", ["clean", "hooks"])
def test_another_repository_in_the_place_of_the_owners_is_refused(
    scratch: Scratch, tmp_path: Path, hostile: Hostile, put: Callable[[Scratch], None], kind: str
) -> None:
    """In the same task, and in the next: its programs would count as seen for the first time."""
    trusted = tmp_path / "state"

    def agent() -> None:
        scratch.write("work.txt")
        put(scratch)
        hostile.configure(kind, scratch)

    for act in (agent, lambda: scratch.write("more.txt")):
        with pytest.raises(GitError, match="repository"):
            in_place(scratch, trusted, act)

    assert hostile.ran == ""


@pytest.mark.parametrize("kind", ["clean", "hooks", "hooksPath", "fsmonitor"])
def test_a_repository_that_a_task_made_where_there_was_none_is_not_trusted(
    scratch: Scratch, tmp_path: Path, hostile: Hostile, kind: str
) -> None:
    """Until the owner accepts it; what the account names goes on working."""
    trusted, workspace = tmp_path / "state", scratch.at(tmp_path / "workspace")
    workspace.root.mkdir()
    end_guarding(begin_guarding(workspace.git, trusted))
    workspace.run("init", "-q")
    workspace.commit("first.txt")
    hostile.configure(kind, workspace)

    facts(guarded(workspace.git, trusted))
    git = in_place(workspace, trusted, lambda: workspace.write("work.txt"))
    git = in_place(workspace, trusted, lambda: workspace.write("more.txt"))

    assert hostile.ran == ""
    left = disarmed(git)
    if kind == "fsmonitor":
        return
    assert left is not None
    Path(left.rpartition("rm ")[2]).unlink()
    in_place(workspace, trusted, lambda: workspace.write("again.txt"))
    assert hostile.ran
