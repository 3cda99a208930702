"""Ignored files of the owner's checkout that come into a new one."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from task_queue.git.worktree_include import Included, include_ignored
from tests.git.conftest import Scratch


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


def included(scratch: Scratch, target: Path, closed: Collection[Path] = ()) -> Included:
    return include_ignored(scratch.git, target, there=None, closed=closed)


def reasons(found: Included) -> dict[str, str]:
    return dict(line.removesuffix(")").split(" (", 1) for line in found.left)


def test_only_ignored_files_that_match_are_copied(scratch: Scratch, target: Path) -> None:
    """By the patterns of gitignore(5); tracked and untracked files are none of them."""
    scratch.commit(".gitignore", ".env*\nlocal/\n*.log\n")
    scratch.commit(
        ".worktreeinclude", "# what tests need\n.env*\n!.env.old\nlocal/*.json\ntracked.env\nnew.txt\n"
    )
    scratch.commit("tracked.env")
    for name in (".env", ".env.old", "local/a.json", "local/a.key", "noise.log", "new.txt"):
        scratch.write(name, name)
    (scratch.root / ".env").chmod(0o640)

    found = included(scratch, target)

    assert found == Included((".env", "local/a.json"), ())
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == [".env", "a.json"]
    assert (target / ".env").read_text() == ".env"
    assert (target / ".env").stat().st_mode & 0o777 == 0o640


def test_links_are_followed_on_neither_side(scratch: Scratch, target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    scratch.commit(".gitignore", "*.env\n")
    scratch.commit(".worktreeinclude", "*.env\n../outside/*\n/etc/*\n")
    (scratch.root / "link.env").symlink_to(outside / "secret")
    os.mkfifo(scratch.root / "pipe.env")
    scratch.write("config/a.env", "mine")
    (target / "config").symlink_to(outside)

    found = included(scratch, target)

    assert found.there == ()
    assert {"link.env", "config/a.env"} <= set(reasons(found))
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert [path.name for path in target.iterdir()] == ["config"]


def test_what_is_there_is_not_overwritten(scratch: Scratch, target: Path) -> None:
    scratch.commit(".gitignore", ".env\n")
    scratch.commit(".worktreeinclude", ".env\n")
    scratch.write(".env", "the owner's")
    (target / ".env").write_text("from an attempt that was cut off")

    assert included(scratch, target).there == (".env",)
    assert (target / ".env").read_text() == "from an attempt that was cut off"


def test_what_the_queue_closes_to_agents_is_not_copied(scratch: Scratch, target: Path) -> None:
    """Its folders, and a file with a key, also by a second name."""
    scratch.commit(".gitignore", "tasks/\n*.key\n")
    scratch.commit(".worktreeinclude", "tasks/\n*.key\n")
    scratch.write("tasks/pending/task-a.md")
    key = scratch.write("login.key", "secret")
    (scratch.root / "second.key").hardlink_to(key)

    found = included(scratch, target, closed=(scratch.root / "tasks", key))

    assert found.there == ()
    assert set(reasons(found)) == {"tasks/pending/task-a.md", "login.key", "second.key"}
    assert list(target.rglob("*.key")) == []


def test_a_list_that_is_a_link_is_not_read(scratch: Scratch, target: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("*\n")
    (scratch.root / ".worktreeinclude").symlink_to(tmp_path / "list")

    assert len(included(scratch, target).left) == 1


def test_a_file_that_the_checkout_does_not_ignore_stays_away(scratch: Scratch, target: Path) -> None:
    """The owner's .gitignore may not be committed yet: then the agent would commit the copy."""
    scratch.commit(".worktreeinclude", ".env\n")
    scratch.write(".env", "secret")
    scratch.write(".gitignore", ".env\n")
    scratch.run("worktree", "add", "-q", "--detach", str(target / "tree"))
    there = scratch.git.at(target / "tree")

    found = include_ignored(scratch.git, target / "tree", there=there, closed=())

    assert found.there == ()
    assert "does not ignore" in reasons(found)[".env"]
