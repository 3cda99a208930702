"""A submodule's commit that only a task's checkout has must not land: nobody else could check it out."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import snapshot_now
from task_queue.git.repository import facts
from task_queue.git.submodules import Pointer, only_in_submodules, pointers_nowhere_else
from task_queue.git.worktree import create
from tests.git.conftest import Scratch


def test_a_pointer_counts_once_the_commit_is_elsewhere(scratch: Scratch, tmp_path: Path) -> None:
    """On a remote branch of the submodule, or in the owner's."""
    library = tmp_path / "library.git"
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(library))
    scratch.run("submodule", "--quiet", "add", str(library), "vendor")
    scratch.run("commit", "-q", "-m", "Add the library")
    tree = create(scratch.git, TaskId("task-a"), directory=tmp_path / "trees" / "task-a", base="main")
    agent = scratch.at(tree.directory)
    agent.run("submodule", "--quiet", "update", "--init")
    inside = scratch.at(tree.directory / "vendor")
    commit = inside.commit("more.txt")
    agent.run("commit", "-q", "-a", "-m", "Use more of the library")
    tip = agent.run("rev-parse", "HEAD")
    scratch.run("fetch", "-q", "--no-recurse-submodules", str(tree.directory), tip)

    assert pointers_nowhere_else(scratch.git, tree.git, "main", tip) == (Pointer("vendor", commit),)
    assert pointers_nowhere_else(scratch.git, tree.git, "main", "main") == ()
    inside.run("push", "-q", "origin", "HEAD:main")
    assert pointers_nowhere_else(scratch.git, tree.git, "main", tip) == ()
    inside.run("update-ref", "-d", "refs/remotes/origin/main")
    scratch.at(scratch.root / "vendor").run("fetch", "-q")
    assert pointers_nowhere_else(scratch.git, tree.git, "main", tip) == ()


def test_what_the_agent_configures_in_a_submodule_starts_nothing(scratch: Scratch, tmp_path: Path) -> None:
    """Neither for a snapshot nor where it is looked for what would be lost."""
    library = tmp_path / "library.git"
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(library))
    scratch.run("submodule", "--quiet", "add", str(library), "vendor")
    scratch.run("commit", "-q", "-m", "Add the library")
    tree = create(scratch.git, TaskId("task-a"), directory=tmp_path / "trees" / "task-a", base="main")
    scratch.at(tree.directory).run("submodule", "--quiet", "update", "--init")
    inside = scratch.at(tree.directory / "vendor")
    inside.write(".gitattributes", "* filter=trap\n")
    for name in ("filter.trap.clean", "core.fsmonitor"):
        inside.run("config", name, f"touch {tmp_path}/ran; cat")
    inside.write("first.txt", "other\n")

    repository = facts(tree.git)
    assert repository is not None
    snapshot_now(tree.git, repository)

    assert only_in_submodules(tree.git) == "uncommitted: vendor/first.txt"
    assert not (tmp_path / "ran").exists()
