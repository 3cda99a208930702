"""What is said of a directory without starting git agrees with git."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.git.location import is_in_none
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from tests.git.conftest import Scratch


@pytest.mark.parametrize("below", [".", "deep/down", "through-a-link"])
def test_a_repository_is_seen_from_wherever_one_is_in_it(
    scratch: Scratch, tmp_path: Path, below: str
) -> None:
    (scratch.root / "deep" / "down").mkdir(parents=True)
    (scratch.root / "through-a-link").symlink_to(scratch.root / "deep")

    assert not is_in_none(scratch.root / below)
    assert root_of(scratch.git.at(scratch.root / below)) == scratch.root


@pytest.mark.parametrize("kind", ["linked", "bare", "in the bare one", "gone"])
def test_what_only_git_can_say_is_left_to_git(scratch: Scratch, tmp_path: Path, kind: str) -> None:
    """A worktree's file, a bare repository, a folder that is not there."""
    other = tmp_path / "other"
    if kind == "linked":
        scratch.run("worktree", "add", "-q", str(other))
    elif kind == "gone":
        other = tmp_path / "gone"
    else:
        scratch.run("init", "-q", "--bare", str(other))

    assert not is_in_none(other / "objects" if kind == "in the bare one" else other)


def test_outside_of_one_git_is_not_started(scratch: Scratch, tmp_path: Path) -> None:
    """Not even where it would fail; a link out of a repository leads out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    link = scratch.root / "link"
    link.symlink_to(outside)
    without_git = Git(link, {"PATH": "/nowhere"})

    assert is_in_none(link)
    assert root_of(without_git) is None
    with pytest.raises(GitError):
        root_of(without_git.at(scratch.root))
