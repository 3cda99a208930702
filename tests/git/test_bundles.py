"""Bundles from elsewhere, honest and hostile: what they bring to the task's branch, and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git import bundles
from task_queue.git.bundles import BadBundle, bring_bundle
from task_queue.ports.finishing import CommitBundle
from tests.git.conftest import Scratch

TASK = TaskId("task-a")
BRANCH = "task-queue/task-a"


@pytest.fixture
def owner(scratch: Scratch) -> Scratch:
    """Whose repository it is."""
    return scratch


@pytest.fixture
def clone(owner: Scratch, tmp_path: Path) -> Scratch:
    """Where a worker on another machine works."""
    owner.run("clone", "-q", str(owner.root), str(tmp_path / "clone"))
    return owner.at(tmp_path / "clone")


def bundled(clone: Scratch, *revisions: str) -> CommitBundle:
    base, tip = clone.run("rev-parse", "origin/main"), clone.run("rev-parse", "HEAD")
    path = clone.root.parent / "work.bundle"
    clone.run("bundle", "create", "-q", str(path), *(revisions or ("HEAD", "^origin/main")))
    return CommitBundle(path, tip, base)


def brought(owner: Scratch, bundle: CommitBundle) -> str:
    return bring_bundle(owner.git, bundle, TASK, beside=owner.root.parent / "apart")


def refs(owner: Scratch) -> dict[str, str]:
    lines = owner.run("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def test_its_commits_are_on_the_branch_and_nowhere_else(owner: Scratch, clone: Scratch) -> None:
    clone.run("tag", "v1")
    clone.run("branch", "other")
    clone.commit("second.txt")
    bundle = bundled(clone)
    before, head = refs(owner), owner.run("rev-parse", "HEAD")

    assert brought(owner, bundle) == BRANCH
    assert brought(owner, bundle) == BRANCH
    assert refs(owner) == before | {f"refs/heads/{BRANCH}": bundle.tip}
    assert owner.run("rev-parse", "HEAD") == head
    assert owner.status() == []
    assert not (owner.root.parent / "apart").exists()


def test_what_else_is_in_it_stays_out(owner: Scratch, clone: Scratch) -> None:
    """Another branch and a tag, whose objects are in the same pack."""
    clone.run("checkout", "-q", "-b", "main2")
    secret = clone.commit("other.txt", "of another branch\n")
    clone.run("tag", "-a", "-m", "x", "v9")
    clone.run("checkout", "-q", "main")
    clone.commit("second.txt")
    before = refs(owner)
    brought(owner, bundled(clone, "HEAD", "main", "main2", "v9", "^origin/main"))

    assert refs(owner).keys() == before.keys() | {f"refs/heads/{BRANCH}"}
    assert owner.git.ask("cat-file", "-e", secret).code != 0


def test_later_work_goes_on_with_the_branch_and_other_work_gets_a_number(
    owner: Scratch, clone: Scratch
) -> None:
    clone.commit("second.txt")
    first = bundled(clone)
    assert brought(owner, first) == BRANCH
    clone.commit("third.txt")
    assert brought(owner, bundled(clone)) == BRANCH
    clone.run("reset", "-q", "--hard", "origin/main")
    clone.commit("fourth.txt")
    other = bundled(clone)
    assert brought(owner, other) == f"{BRANCH}-2"
    assert brought(owner, other) == f"{BRANCH}-2"
    owner.run("checkout", "-q", f"{BRANCH}-2")
    clone.commit("fifth.txt")
    assert brought(owner, bundled(clone)) == f"{BRANCH}-3"
    assert owner.status() == []


def rewritten(clone: Scratch) -> CommitBundle:
    clone.run("checkout", "-q", "--orphan", "fresh")
    clone.run("commit", "-q", "-m", "From nothing")
    return bundled(clone, "HEAD")


def of_another_tip(clone: Scratch) -> CommitBundle:
    clone.commit("second.txt")
    made = bundled(clone)
    return CommitBundle(made.path, "1" * 40, made.base_commit)


def on_an_unknown_base(clone: Scratch) -> CommitBundle:
    clone.commit("second.txt")
    made = bundled(clone)
    return CommitBundle(made.path, made.tip, "2" * 40)


def corrupt(clone: Scratch) -> CommitBundle:
    clone.write("second.txt", os.urandom(20_000))
    clone.run("add", ".")
    clone.run("commit", "-qm", "Work")
    made = bundled(clone)
    data = bytearray(made.path.read_bytes())
    data[-9000] ^= 255
    made.path.write_bytes(data)
    return made


def cut(clone: Scratch) -> CommitBundle:
    clone.commit("second.txt")
    made = bundled(clone)
    made.path.write_bytes(made.path.read_bytes()[:-30])
    return made


def no_bundle(clone: Scratch) -> CommitBundle:
    clone.commit("second.txt")
    made = bundled(clone)
    made.path.write_bytes(b"[core]\n\tfsmonitor = touch /tmp/ran\n")
    return made


def needs_what_nobody_has(clone: Scratch) -> CommitBundle:
    clone.commit("second.txt")
    clone.commit("third.txt")
    return bundled(clone, "HEAD", "^HEAD~1")


def with_tree(clone: Scratch, *entries: str) -> CommitBundle:
    """A commit whose files no git would take into an index."""
    listing = "".join(f"{entry}\0" for entry in entries).encode()
    tree = subprocess.run(
        ["git", "mktree", "-z", "--missing"],
        input=listing,
        cwd=clone.root,
        env=clone.env,
        capture_output=True,
        check=True,
    ).stdout.decode()
    commit = clone.run("commit-tree", "-p", "HEAD", "-m", "Work", tree.strip())
    clone.run("update-ref", "refs/heads/main", commit)
    return bundled(clone)


def blob(clone: Scratch, text: str) -> str:
    clone.write("blob", text)
    return clone.run("hash-object", "-w", "blob")


def with_dot_git(clone: Scratch) -> CommitBundle:
    inner = clone.run("rev-parse", "HEAD^{tree}")
    return with_tree(clone, f"040000 tree {inner}\t.git")


def with_dot_dot(clone: Scratch) -> CommitBundle:
    inner = clone.run("rev-parse", "HEAD^{tree}")
    return with_tree(clone, f"040000 tree {inner}\t..")


def with_linked_modules(clone: Scratch) -> CommitBundle:
    return with_tree(clone, f"120000 blob {blob(clone, '/etc/passwd')}\t.gitmodules")


def with_an_option_as_url(clone: Scratch) -> CommitBundle:
    modules = '[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch /tmp/ran\n'
    return with_tree(clone, f"100644 blob {blob(clone, modules)}\t.gitmodules")


def bomb(clone: Scratch) -> CommitBundle:
    """Ten billion files from a few hundred bytes."""
    oid, kind = blob(clone, "x\n"), "100644 blob"
    for _ in range(10):
        listing = "".join(f"{kind} {oid}\tf{number}\0" for number in range(10)).encode()
        made = subprocess.run(
            ["git", "mktree", "-z"],
            input=listing,
            cwd=clone.root,
            env=clone.env,
            capture_output=True,
            check=True,
        )
        oid, kind = made.stdout.decode().strip(), "040000 tree"
    commit = clone.run("commit-tree", "-p", "HEAD", "-m", "Work", oid)
    clone.run("update-ref", "refs/heads/main", commit)
    return bundled(clone)


def deep(clone: Scratch) -> CommitBundle:
    oid, kind = blob(clone, "x\n"), "100644 blob"
    for _ in range(300):
        made = subprocess.run(
            ["git", "mktree"],
            input=f"{kind} {oid}\td\n".encode(),
            cwd=clone.root,
            env=clone.env,
            capture_output=True,
            check=True,
        )
        oid, kind = made.stdout.decode().strip(), "040000 tree"
    commit = clone.run("commit-tree", "-p", "HEAD", "-m", "Work", oid)
    clone.run("update-ref", "refs/heads/main", commit)
    return bundled(clone)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (rewritten, "does not continue"),
        (of_another_tip, "has no ref at 111111111111"),
        (on_an_unknown_base, "which the repository does not have"),
        (corrupt, "cannot be unpacked"),
        (cut, "cannot be unpacked"),
        (no_bundle, "is not a git bundle"),
        (needs_what_nobody_has, "cannot be unpacked"),
        (with_dot_git, "holds what git refuses"),
        (with_dot_dot, "holds what git refuses"),
        (with_linked_modules, "holds what git refuses"),
        (with_an_option_as_url, "holds what git refuses"),
        (bomb, "more than 1,000,000 files"),
        (deep, "nested more than 250 deep"),
    ],
)
def test_what_cannot_be_taken_changes_nothing(
    owner: Scratch, clone: Scratch, made: Callable[[Scratch], CommitBundle], why: str
) -> None:
    bundle = made(clone)
    before = refs(owner)

    with pytest.raises(BadBundle, match=why):
        brought(owner, bundle)
    assert refs(owner) == before
    assert owner.git.ask("cat-file", "-e", bundle.tip).code != 0
    assert owner.status() == []
    assert not (owner.root.parent / "apart").exists()


def test_huge_work_is_refused(owner: Scratch, clone: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "_MOST_NEW_BYTES", 100_000)
    clone.commit("large.txt", "x" * 200_000)

    with pytest.raises(BadBundle, match="adds more than"):
        brought(owner, bundled(clone))


def test_a_submodule_is_a_name_only(owner: Scratch, clone: Scratch) -> None:
    """The commit that it names is not fetched from anywhere."""
    modules = '[submodule "x"]\n\tpath = x\n\turl = https://example.invalid/x.git\n'
    bundle = with_tree(
        clone, f"100644 blob {blob(clone, modules)}\t.gitmodules", f"160000 commit {'3' * 40}\tx"
    )

    assert brought(owner, bundle) == BRANCH


def test_no_hook_of_the_files_runs(owner: Scratch, clone: Scratch, tmp_path: Path) -> None:
    """Where the repository's hooks are among its files, the bundle brings other hooks."""
    owner.run("config", "core.hooksPath", ".hooks")
    for name in ("reference-transaction", "post-checkout", "post-merge", "pre-commit"):
        clone.write(f".hooks/{name}", f"#!/bin/sh\ntouch {tmp_path}/ran\n").chmod(0o755)
    clone.run("add", ".")
    clone.run("commit", "-qm", "Hooks")

    assert brought(owner, bundled(clone)) == BRANCH
    assert not (tmp_path / "ran").exists()


def test_a_try_that_was_killed_is_repeated(owner: Scratch, clone: Scratch) -> None:
    """What it left beside is removed; a ref that it left leads nowhere."""
    clone.commit("second.txt")
    bundle = bundled(clone)
    (owner.root.parent / "apart/objects").mkdir(parents=True)
    owner.run("update-ref", "refs/task-queue/task-a/handed-in", "HEAD")

    assert brought(owner, bundle) == BRANCH
    assert "refs/task-queue/task-a/handed-in" not in refs(owner)


def test_a_branch_of_that_name_in_the_way_is_said(owner: Scratch, clone: Scratch) -> None:
    clone.commit("second.txt")
    owner.run("branch", "task-queue")

    with pytest.raises(GitError) as said:
        brought(owner, bundled(clone))
    assert not isinstance(said.value, BadBundle)
