"""What is read of a repository, in every state that it can be found in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.git.program import Git
from task_queue.git.repository import facts
from task_queue.platform.identity import identity_of
from tests.git.conftest import Scratch
from tests.waiting import eventually

ODD_NAMES = ["with space", "new\nline", "ünïcode→", "-rf", 'quo"te', "*.py", ":/top", "tab\there"]


def test_a_plain_directory_is_no_repository(tmp_path: Path, env: dict[str, str]) -> None:
    assert facts(Git(tmp_path, env)) is None


def test_a_clean_repository(scratch: Scratch) -> None:
    found = scratch.repository

    assert (found.root, found.branch, found.head) == (scratch.root, "main", scratch.run("rev-parse", "HEAD"))
    assert (found.why_not, found.dirty) == (None, ())


def test_a_subfolder_tells_of_the_whole_repository(scratch: Scratch) -> None:
    scratch.write("sub/new.txt")

    found = facts(scratch.git.at(scratch.root / "sub"))

    assert found is not None
    assert (found.root, [dirty.path for dirty in found.dirty]) == (scratch.root, ["sub/new.txt"])


def test_without_commits_there_is_a_branch_and_no_head(empty: Scratch) -> None:
    assert (empty.repository.head, empty.repository.branch, empty.repository.why_not) == (None, "main", None)


def test_a_detached_head_has_no_branch(scratch: Scratch) -> None:
    scratch.run("checkout", "-q", "--detach")

    assert (scratch.repository.branch, scratch.repository.why_not) == (None, None)


def test_a_bare_repository_is_refused(scratch: Scratch, tmp_path: Path) -> None:
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(tmp_path / "bare"))

    found = facts(scratch.git.at(tmp_path / "bare"))

    assert found is not None
    assert "bare repository" in (found.why_not or "")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_every_kind_are_told_as_they_are(scratch: Scratch, name: str) -> None:
    scratch.write(name)

    (dirty,) = scratch.repository.dirty
    assert (dirty.path, dirty.change, dirty.staged) == (name, "untracked", False)


def test_a_name_that_is_not_utf8_survives(scratch: Scratch) -> None:
    (scratch.root / os.fsdecode(b"caf\xe9")).touch()

    assert [os.fsencode(dirty.path) for dirty in scratch.repository.dirty] == [b"caf\xe9"]


def test_staged_unstaged_and_deleted_are_told_apart(scratch: Scratch) -> None:
    scratch.commit("second.txt")
    scratch.write("staged.txt")
    scratch.run("add", "staged.txt")
    scratch.write("first.txt", "changed\n")
    (scratch.root / "second.txt").unlink()

    found = {dirty.path: (dirty.change, dirty.staged, dirty.unstaged) for dirty in scratch.repository.dirty}

    assert found == {
        "first.txt": ("changed", False, True),
        "second.txt": ("deleted", False, True),
        "staged.txt": ("added", True, False),
    }


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick", "revert", "bisect"])
def test_in_the_middle_of_something_it_is_refused(scratch: Scratch, operation: str) -> None:
    """And the operation is named."""
    scratch.run("checkout", "-q", "-b", "side")
    scratch.commit("first.txt", "side\n")
    scratch.run("checkout", "-q", "main")
    scratch.commit("first.txt", "main\n")
    scratch.commit("first.txt", "later\n")
    begin = {
        "merge": ["merge", "side"],
        "rebase": ["rebase", "side"],
        "cherry-pick": ["cherry-pick", "side"],
        "revert": ["revert", "--no-edit", "HEAD~1"],
        "bisect": ["bisect", "start"],
    }
    scratch.run(*begin[operation], check=False)

    assert f"in the middle of a {operation}" in (scratch.repository.why_not or "")


def test_a_locked_index_tells_who_holds_it(scratch: Scratch) -> None:
    """A live process is named; a lock that nobody holds is told with its age and what to do."""
    lock = scratch.root / ".git" / "index.lock"
    lock.touch()
    assert "by no process that can be seen" in (scratch.repository.why_not or "")

    with lock.open() as held, subprocess.Popen(["sleep", "60"], stdin=held) as holder:
        try:
            assert "is locked by process" in (scratch.repository.why_not or "")
        finally:
            holder.kill()


def test_a_git_that_only_reads_holds_no_lock(scratch: Scratch) -> None:
    """Editors keep one running."""
    lock = scratch.root / ".git" / "index.lock"
    lock.touch()
    reader = subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=scratch.root, env=scratch.env, stdin=subprocess.PIPE
    )
    with reader:
        assert "by no process that can be seen" in (scratch.repository.why_not or "")


def test_a_change_inside_a_submodule_is_marked(scratch: Scratch, tmp_path: Path) -> None:
    scratch.run("clone", "-q", str(scratch.root), str(tmp_path / "library"))
    scratch.run("submodule", "--quiet", "add", str(tmp_path / "library"), "vendor/my library")
    scratch.run("commit", "-q", "-m", "Add the library")
    scratch.write("vendor/my library/first.txt", "changed inside\n")

    found = scratch.repository

    assert [(dirty.path, dirty.in_submodule) for dirty in found.dirty] == [("vendor/my library", True)]


def test_variables_of_git_are_not_inherited(scratch: Scratch, tmp_path: Path) -> None:
    """They could point to another repository."""
    git = Git(
        scratch.root, {**scratch.env, "GIT_DIR": str(tmp_path / "elsewhere"), "GIT_INDEX_FILE": "/dev/null"}
    )

    found = facts(git)

    assert found is not None
    assert found.root == scratch.root


def test_git_that_hangs_is_ended(scratch: Scratch) -> None:
    """With everything that it started."""
    scratch.hook("pre-commit", "sleep 60 & echo $! > pid; wait")

    with pytest.raises(GitError, match="did not end within"):
        scratch.git.within(0.5).attempt("commit", "--allow-empty", "-m", "x")
    pid = int((scratch.root / "pid").read_text())
    eventually(lambda: identity_of(pid) is None)


def test_without_the_program_the_hint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="was not found") as caught:
        facts(Git(tmp_path, {"PATH": str(tmp_path)}))
    assert "install git" in (caught.value.hint or "")
