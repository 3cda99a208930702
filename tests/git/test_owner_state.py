"""What is seen of the owner's repository: each way in which an agent can change it by path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.work.repository_changes import RefMove, RepositoryState
from task_queue.git.landings import announce_landing, landings_in
from task_queue.git.own_repository import paths_of
from task_queue.git.owner_state import (
    OwnerPlace,
    OwnerRecord,
    changes_since,
    keep_owner_record,
    owner_record,
    state_of,
)
from tests.git.conftest import Scratch


def place_of(scratch: Scratch, *leave_out: Path) -> OwnerPlace:
    where = paths_of(scratch.git)
    return OwnerPlace(scratch.git, where.common_dir, where.hooks, leave_out)


@pytest.fixture
def owner(scratch: Scratch) -> Scratch:
    scratch.commit("second.txt")
    scratch.run("tag", "v1")
    scratch.write("first.txt", "mine\n")
    scratch.run("stash")
    return scratch


@pytest.mark.parametrize(
    ("command", "urgent", "sentence"),
    [
        (("update-ref", "refs/heads/main", "main~1"), True, "refs/heads/main is no longer at or after"),
        (("tag", "-d", "v1"), True, "refs/tags/v1, which was at"),
        (("tag", "-f", "v1", "main~1"), True, "refs/tags/v1 is no longer at or after"),
        (("config", "user.name", "Forged"), True, "configuration of git was changed: user.name"),
        (("config", "--global", "user.name", "Forged"), True, "user.name (global)"),
        (("config", "--add", "x.y", "z"), True, "configuration of git was changed: x.y"),
        (("stash", "drop"), True, "the stash was changed"),
        (("stash", "store", "stash@{0}"), False, ""),  # the same commit again: git adds nothing
        (("commit", "--allow-empty", "-qm", "x"), False, "refs/heads/main went from"),
        (("branch", "new"), False, "refs are new: refs/heads/new"),
        (("checkout", "-q", "--detach"), False, "it was at main"),
        (("rm", "-q", "--cached", "first.txt"), False, "uncommitted files: first.txt"),
        (("update-ref", "refs/task-queue/task-a/x", "main"), False, ""),
        (("branch", "task-queue/task-a"), False, ""),
        (("gc", "-q", "--prune=now"), False, ""),
        (("pack-refs", "--all"), False, ""),
    ],
)
def test_what_a_command_changes_is_seen(
    owner: Scratch, command: tuple[str, ...], urgent: bool, sentence: str
) -> None:
    place = place_of(owner)
    before = state_of(place)
    assert changes_since(place, before) == ()

    owner.run(*command)

    found = changes_since(place, before)
    assert any(change.is_urgent for change in found) == urgent
    assert sentence in "; ".join(change.sentence for change in found)
    assert bool(found) == bool(sentence)


def test_hooks_are_seen_and_samples_are_not(owner: Scratch) -> None:
    owner.hook("pre-commit", "exit 0")
    place = place_of(owner)
    before = state_of(place)
    owner.hook("x.sample", "exit 1")
    assert changes_since(place, before) == ()

    (owner.root / ".git/hooks/pre-commit").chmod(0o644)
    owner.hook("post-merge", "exit 0")

    assert [change.sentence for change in changes_since(place, before)] == [
        "hooks were changed: post-merge, pre-commit"
    ]


def test_tracked_hooks_come_with_commits(owner: Scratch) -> None:
    owner.commit(".husky/pre-commit", "exit 0\n")
    owner.run("config", "core.hooksPath", ".husky")
    place = place_of(owner)
    assert state_of(place).hooks == {}

    owner.write(".husky/commit-msg", "exit 1\n")

    assert list(state_of(place).hooks) == ["commit-msg"]


@pytest.mark.parametrize("where", [".git/info/exclude", "home/.config/git/ignore", "named"])
def test_what_hides_files_from_git_is_seen(owner: Scratch, where: str) -> None:
    """Also made anew, and where it names itself."""
    place = place_of(owner)
    path = owner.root / where if where.startswith(".git") else owner.root.parent / where
    if where == "named":
        owner.run("config", "core.excludesFile", str(path))
    before = state_of(place)

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("evil.txt\n")

    (change,) = changes_since(place, before)
    assert (change.is_urgent, change.sentence) == (
        True,
        f"what hides files from git was changed, so that the diff may lack some: {path}",
    )


def test_a_file_that_hides_nothing_is_no_change(owner: Scratch) -> None:
    """Nor one that hides only what the CLI keeps for itself, which it writes there of its own accord."""
    place = place_of(owner)
    before = state_of(place)

    path = owner.root.parent / "home/.config/git/ignore"
    path.parent.mkdir(parents=True)
    path.write_text("# nothing\n\n**/.claude/.cc-writes/\n")

    assert changes_since(place, before) == ()


def test_folders_of_the_queue_are_left_out(owner: Scratch) -> None:
    place = place_of(owner, owner.root / "tasks")
    before = state_of(place)

    owner.write("tasks/pending/task-a.md")

    assert changes_since(place, before) == ()


def test_a_repository_that_is_gone_is_a_change(owner: Scratch) -> None:
    place = place_of(owner)
    before = state_of(place)

    (owner.root / ".git/HEAD").unlink()

    (change,) = changes_since(place, before)
    assert (change.is_urgent, "cannot be read" in change.sentence) == (True, True)


def test_a_record_comes_back_as_it_was(owner: Scratch) -> None:
    """Also with names that are not UTF-8; an empty one leaves no file."""
    owner.run("branch", "caf\udce9")
    owner.write("na\udcefve.txt")
    place = place_of(owner)
    record = OwnerRecord(state_of(place))

    keep_owner_record(place, "task-a.1", record)

    assert owner_record(place, "task-a.1") == record
    assert changes_since(place, owner_record(place, "task-a.1").before or RepositoryState()) == ()
    keep_owner_record(place, "task-a.1", OwnerRecord())
    assert owner_record(place, "task-a.1") == OwnerRecord()
    assert list((place.common_dir / "task-queue-before").iterdir()) == []


def test_landings_are_kept_up_to_a_number(owner: Scratch) -> None:
    folder = owner.root / ".git"
    for number in range(3):
        announce_landing(folder, RefMove("refs/heads/main", str(number), str(number + 1)))
    assert [move.old for move in landings_in(folder)] == ["0", "1", "2"]

    (folder / "task-queue-landings.json").write_text("{torn")

    assert landings_in(folder) == ()


def test_a_repository_without_commits(empty: Scratch) -> None:
    place = place_of(empty)
    before = state_of(place)
    empty.commit("first.txt")

    assert [change.is_urgent for change in changes_since(place, before)] == [False]


def test_it_takes_few_calls(owner: Scratch, tmp_path: Path) -> None:
    """Four, one more for a stash, and one for each ref that moved."""
    log, shim = tmp_path / "calls", tmp_path / "bin" / "git"
    shim.parent.mkdir()
    program = shutil.which("git")
    shim.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {program} "$@"\n')
    shim.chmod(0o755)
    counted = replace(owner.git, environment={**owner.env, "PATH": f"{shim.parent}:{owner.env['PATH']}"})
    place = replace(place_of(owner), git=counted)

    def calls_of(look: Callable[[], object]) -> int:
        log.write_text("")
        look()
        return len(log.read_text().splitlines())

    assert calls_of(lambda: state_of(place)) == 5
    before = state_of(place)
    owner.run("stash", "drop")
    owner.run("tag", "-f", "v1", "main~1")

    assert calls_of(lambda: changes_since(place, before)) == 5
