"""A branch lands when that is clean; otherwise it stays, and why is said."""

from __future__ import annotations

import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.adapters.git.landing import Blocked, Conflict, Landed, Landing, land
from tests.git.conftest import Scratch


@pytest.fixture
def side(scratch: Scratch, tmp_path: Path) -> Scratch:
    """A working tree on the branch ``side``, one commit ahead of ``main``."""
    directory = tmp_path / "side"
    scratch.run("worktree", "add", "-q", "-b", "side", str(directory))
    side = scratch.at(directory)
    side.commit("side.txt")
    return side


@pytest.fixture
def away(scratch: Scratch) -> Scratch:
    """The repository with ``main`` checked out nowhere."""
    scratch.run("checkout", "-q", "--detach")
    return scratch


def bring(scratch: Scratch, branch: str = "side", env: dict[str, str] | None = None) -> Landing:
    return land(
        replace(scratch.git, environment=env or scratch.env),
        branch=branch,
        target="main",
        message="Land it\n",
    )


def advance(scratch: Scratch, name: str, text: str = "content\n") -> str:
    """A person's commit on ``main``, whatever is checked out."""
    blob = scratch.write("../blob", text)
    oid = scratch.run("hash-object", "-w", str(blob))
    index = {**scratch.env, "GIT_INDEX_FILE": str(scratch.root.parent / "other-index")}
    other = Scratch(scratch.root, index)
    other.run("read-tree", "main")
    other.run("update-index", "--add", "--cacheinfo", f"100644,{oid},{name}")
    commit = other.run("commit-tree", other.run("write-tree"), "-p", "main", "-m", f"Advance {name}")
    scratch.run("update-ref", "refs/heads/main", commit)
    return commit


def test_fast_forward_of_a_branch_that_is_checked_out_nowhere(away: Scratch, side: Scratch) -> None:
    landed = bring(away)

    assert landed == Landed(side.run("rev-parse", "side"), "fast-forward")
    assert away.run("rev-parse", "main") == landed.commit
    assert bring(away) == Landed(landed.commit, "already there")


def test_merge_into_a_branch_that_is_checked_out_nowhere(away: Scratch, side: Scratch) -> None:
    """Hooks that git would have run in a working tree are named."""
    old = advance(away, "other.txt")
    away.hook("commit-msg", "exit 1")

    landed = bring(away)

    assert isinstance(landed, Landed)
    assert (landed.how, landed.unrun_hooks) == ("merge", ("commit-msg",))
    assert away.run("log", "-1", "--format=%P %s", "main") == f"{old} {side.run('rev-parse', 'side')} Land it"
    assert away.run("ls-tree", "--name-only", "main").split() == ["first.txt", "other.txt", "side.txt"]


def test_a_conflict_names_the_files_and_moves_nothing(away: Scratch, side: Scratch) -> None:
    side.commit("na me\n.txt", "side\n")
    advance(away, "side.txt", "of main\n")
    old = advance(away, "na me\n.txt", "of main\n")

    assert bring(away) == Conflict(("na me\n.txt", "side.txt"))
    assert away.run("rev-parse", "main") == old
    assert away.status() == []


@pytest.mark.parametrize("how", ["fast-forward", "merge"])
def test_where_the_target_is_checked_out_its_files_follow(scratch: Scratch, side: Scratch, how: str) -> None:
    """Untracked files of a person stay."""
    if how == "merge":
        scratch.commit("other.txt")
    scratch.write("mine.txt")

    landed = bring(scratch)

    assert isinstance(landed, Landed)
    assert (landed.how, landed.unrun_hooks) == (how, ())
    assert (scratch.root / "side.txt").exists()
    assert scratch.status() == ["?? mine.txt"]


@pytest.mark.parametrize("staged", [True, False], ids=["staged", "not staged"])
def test_a_target_with_uncommitted_changes_waits(scratch: Scratch, side: Scratch, *, staged: bool) -> None:
    old = scratch.run("rev-parse", "HEAD")
    scratch.write("first.txt", "mine\n")
    if staged:
        scratch.run("add", "first.txt")

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert landed.why.endswith("with uncommitted changes: first.txt")
    assert scratch.run("rev-parse", "main") == old


def test_an_untracked_file_is_not_overwritten(scratch: Scratch, side: Scratch) -> None:
    scratch.write("side.txt", "mine\n")

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert "would be overwritten" in landed.why
    assert (scratch.root / "side.txt").read_text() == "mine\n"


def test_a_target_in_the_middle_of_a_merge_waits(scratch: Scratch, side: Scratch) -> None:
    scratch.run("checkout", "-q", "-b", "third")
    scratch.commit("first.txt", "third\n")
    scratch.run("checkout", "-q", "main")
    scratch.commit("first.txt", "main\n")
    scratch.run("merge", "third", check=False)

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert "in the middle of a merge" in landed.why


def test_a_hook_that_refuses_leaves_everything_as_it_was(scratch: Scratch, side: Scratch) -> None:
    old = scratch.commit("other.txt")
    scratch.hook("commit-msg", "echo 'no ticket number' >&2; exit 1")

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert "no ticket number" in landed.why
    assert (scratch.run("rev-parse", "HEAD"), scratch.status(), scratch.repository.why_not) == (old, [], None)


def test_a_target_that_moves_meanwhile_is_decided_again(away: Scratch, side: Scratch, tmp_path: Path) -> None:
    """Between the decision and the move; the other's commit is not lost."""
    away.run("branch", "theirs")
    theirs = advance(away, "theirs.txt")
    away.run("update-ref", "refs/heads/main", "theirs")
    real = shutil.which("git", path=away.env["PATH"])
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(
        f"#!/bin/sh\nfor word; do case $word in update-ref)\n"
        f"  [ -e {shlex.quote(str(folder))}/moved ] || {{ touch {shlex.quote(str(folder))}/moved;"
        f' {real} update-ref refs/heads/main {theirs}; }};;\nesac; done\nexec {real} "$@"\n'
    )
    (folder / "git").chmod(0o755)

    landed = bring(away, env={**away.env, "PATH": f"{folder}:{away.env['PATH']}"})

    assert isinstance(landed, Landed)
    assert landed.how == "merge"
    assert away.run("ls-tree", "--name-only", "main").split() == ["first.txt", "side.txt", "theirs.txt"]


@pytest.mark.parametrize("checked_out", [True, False], ids=["checked out", "checked out nowhere"])
def test_many_land_at_once(scratch: Scratch, *, checked_out: bool) -> None:
    """Every branch is in the target afterwards."""
    names = [f"b{number}" for number in range(4)]
    for name in names:
        scratch.run("checkout", "-q", "-b", name, "main")
        scratch.commit(f"{name}.txt")
    scratch.run("checkout", "-q", *(["main"] if checked_out else ["--detach", "main"]))

    with ThreadPoolExecutor() as pool:
        landings = list(pool.map(lambda name: bring(scratch, name), names))

    assert [type(landing) for landing in landings] == [Landed] * 4
    assert scratch.run("ls-tree", "--name-only", "main").split() == [
        *(f"{name}.txt" for name in names),
        "first.txt",
    ]
    assert scratch.status() == []


def test_a_branch_that_is_not_there(scratch: Scratch) -> None:
    assert bring(scratch, "nothing") == Blocked("there is no branch nothing")
