"""What a task landed is taken back: by moving its branch back where that is safe, else by a commit; or it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.work.repository_changes import RefMove
from task_queue.domain.work.undoing import CannotUndo, Undoing, Undone, UndoWay
from task_queue.git.landed_work import WorkToUndo
from task_queue.git.landing import Advanced, LandingPlan, Prove, Unproven, land
from task_queue.git.landings import announce_landing
from task_queue.git.undoing import UndoOutcome, UndoPlan, foreseen, undo
from tests.git.conftest import Scratch

TASK = TaskId("task-a")
BRANCH = "task-queue/task-a"


class Landed:
    """A task's branch, of one commit to ``work.txt``, that has landed in ``main``."""

    def __init__(self, scratch: Scratch, directory: Path, *, with_merge: bool = False) -> None:
        self.scratch = scratch
        self.base = scratch.run("rev-parse", "main")
        scratch.run("worktree", "add", "-q", "-b", BRANCH, str(directory))
        self.tip = scratch.at(directory).commit("work.txt")
        if with_merge:
            scratch.commit("other.txt")
        self.before = self.now
        landed = land(
            scratch.git,
            LandingPlan(BRANCH, "main", message="Land it\n", beside=directory.parent / "m", marker="a:b:1:c"),
            add_note=lambda _: None,
        )
        assert isinstance(landed, Advanced)
        self.after = landed.commit

    @property
    def now(self) -> str:
        return self.scratch.run("rev-parse", "main")

    @property
    def work(self) -> WorkToUndo:
        return WorkToUndo(TASK, "main", BRANCH, (self.tip,), self.base)

    def files(self) -> list[str]:
        """Of ``main``; those of its checkout are the same."""
        assert self.scratch.status() == []
        return self.scratch.run("ls-tree", "-r", "--name-only", "main").split()

    def undo(self, prove: Prove = lambda _: None, give_up: Callable[[], bool] = lambda: False) -> UndoOutcome:
        return undo(
            self.scratch.git,
            UndoPlan(
                self.work,
                lambda undoing: f"Undo it\n\nTask-Queue-Undoes: {undoing.after}\n",
                beside=self.scratch.root.parent / "undo",
                marker="a:task:1:session",
                prove=prove,
                give_up=give_up,
            ),
            add_note=lambda _: None,
            within_s=60,
            wait_s=60,
        )


@pytest.fixture
def landed(scratch: Scratch, tmp_path: Path) -> Landed:
    return Landed(scratch, tmp_path / "side")


@pytest.fixture
def merged(scratch: Scratch, tmp_path: Path) -> Landed:
    return Landed(scratch, tmp_path / "side", with_merge=True)


@pytest.mark.parametrize("how", ["landed", "merged"])
def test_what_came_last_and_nothing_else_has_moves_back(how: str, request: pytest.FixtureRequest) -> None:
    """Its branch keeps it, so that it can land again."""
    landed: Landed = request.getfixturevalue(how)
    planned = foreseen(landed.scratch.git, landed.work)

    outcome = landed.undo()

    assert isinstance(planned, Undoing)
    assert planned.way is UndoWay.MOVE_BACK
    assert outcome == Undone(f"main was moved back to {landed.before[:12]}", UndoWay.MOVE_BACK)
    assert landed.now == landed.before
    assert "work.txt" not in landed.files()
    assert landed.scratch.run("rev-parse", BRANCH) == landed.tip
    assert landed.undo() == Undone("main was moved back to before it", UndoWay.MOVE_BACK)


def test_a_target_that_is_checked_out_nowhere_moves_back(landed: Landed) -> None:
    landed.scratch.run("checkout", "-q", "--detach", "main~1")

    assert isinstance(landed.undo(), Undone)
    assert landed.now == landed.before


@pytest.mark.parametrize("how", ["landed", "merged"])
def test_what_others_built_on_is_reverted(how: str, request: pytest.FixtureRequest) -> None:
    """Once; their commits stay, and the owner's hooks see the message."""
    landed: Landed = request.getfixturevalue(how)
    later = landed.scratch.commit("later.txt")
    landed.scratch.hook("commit-msg", 'echo "Checked-By: hook" >> "$1"')
    planned = foreseen(landed.scratch.git, landed.work)

    outcome = landed.undo()

    assert isinstance(planned, Undoing)
    assert (planned.way, "1 commit came after it" in planned.said) == (UndoWay.REVERT, True)
    assert outcome == Undone(f"{landed.now[:12]} reverts it in main", UndoWay.REVERT, landed.now)
    assert landed.scratch.run("rev-parse", "main~1") == later
    assert "work.txt" not in landed.files()
    assert "Checked-By: hook" in landed.scratch.run("log", "-1", "--format=%B", "main")
    again = landed.undo()
    assert isinstance(again, Undone)
    assert (again.reverted_by, landed.now) == (outcome.reverted_by, outcome.reverted_by)


@pytest.mark.parametrize(
    ("command", "holder"),
    [
        (("update-ref", "refs/remotes/origin/main", "main"), "origin/main has it, too"),
        (("tag", "v1"), "v1 has it, too"),
        (("branch", "task-queue/task-b"), "task-queue/task-b has it, too"),
        (("update-ref", "refs/task-queue/task-b/borrowed", "main"), "refs/task-queue/task-b/borrowed has it"),
    ],
)
def test_what_something_else_has_is_reverted(landed: Landed, command: tuple[str, ...], holder: str) -> None:
    """A remote, a tag, and the work of another task that began on it."""
    landed.scratch.run(*command)
    planned = foreseen(landed.scratch.git, landed.work)

    assert isinstance(planned, Undoing)
    assert (planned.way, holder in planned.said) == (UndoWay.REVERT, True)
    assert isinstance(landed.undo(), Undone)
    assert landed.scratch.run("rev-parse", "main~1") == landed.after


def test_what_no_branch_would_keep_is_reverted(landed: Landed) -> None:
    landed.scratch.run("update-ref", "-d", f"refs/heads/{BRANCH}")

    assert isinstance(landed.undo(), Undone)
    assert landed.scratch.run("rev-parse", "main~1") == landed.after


def test_a_merge_that_the_queue_did_not_make_is_reverted_without_the_rest(
    scratch: Scratch, tmp_path: Path
) -> None:
    """Only what the task's commits changed goes; a task that worked in the target itself has no branch."""
    base = scratch.run("rev-parse", "main")
    tip = scratch.commit("work.txt")
    scratch.commit("later.txt")

    outcome = undo(
        scratch.git,
        UndoPlan(
            WorkToUndo(TASK, "main", None, (tip,), base),
            lambda _: "Undo it\n",
            beside=tmp_path / "undo",
            marker="a:task:1:session",
        ),
        add_note=lambda _: None,
        within_s=60,
        wait_s=60,
    )

    assert isinstance(outcome, Undone)
    assert scratch.run("ls-tree", "-r", "--name-only", "main").split() == ["first.txt", "later.txt"]
    assert scratch.status() == []


def test_a_revert_by_hand_counts(landed: Landed) -> None:
    landed.scratch.run("revert", "--no-edit", "main")
    tip = landed.now

    assert landed.undo() == Undone("nothing of what it changed is in main any more")
    assert landed.now == tip


def is_behind(landed: Landed) -> None:
    """What a fetch brought is not in ``main`` yet."""
    scratch = landed.scratch
    newer = scratch.run("commit-tree", "main^{tree}", "-p", "main", "-m", "Newer")
    scratch.run("update-ref", "refs/remotes/origin/main", newer)
    for key, value in {
        "branch.main.remote": "origin",
        "branch.main.merge": "refs/heads/main",
        "remote.origin.url": "nowhere",
        "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
    }.items():
        scratch.run("config", key, value)


REFUSALS: dict[str, tuple[Callable[[Landed], object], str]] = {
    "others changed the same": (
        lambda landed: landed.scratch.commit("work.txt", "changed since\n"),
        "changed the same: it conflicts in work.txt",
    ),
    "uncommitted changes": (
        lambda landed: landed.scratch.write("work.txt", "mine\n"),
        "with uncommitted changes: work.txt",
    ),
    "an operation": (
        lambda landed: landed.scratch.write(".git/MERGE_HEAD", landed.tip + "\n"),
        "in the middle of a merge",
    ),
    "a newer remote": (is_behind, "origin/main has commits that main does not have"),
    "rewritten": (
        lambda landed: landed.scratch.run("commit", "-q", "--amend", "-m", "Rewritten"),
        "1 of its 1 commit is not in main",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_it_stays_where_that_is_not_safe(landed: Landed, case: str) -> None:
    do, why = REFUSALS[case]
    do(landed)
    tip, status = landed.now, landed.scratch.status()
    planned = foreseen(landed.scratch.git, landed.work)

    outcome = landed.undo()

    assert isinstance(outcome, CannotUndo)
    assert why in outcome.why
    assert planned == outcome
    assert (landed.now, landed.scratch.status()) == (tip, status)


def test_what_the_checks_fail_on_stays(landed: Landed) -> None:
    landed.scratch.commit("later.txt")
    tip, tried = landed.now, list[str]()

    def fails(commit: str) -> str:
        tried.append(commit)
        return "it needs the work"

    assert landed.undo(prove=fails) == Unproven(tried[0], tip, "it needs the work")
    assert landed.now == tip
    assert landed.scratch.run("ls-tree", "-r", "--name-only", tried[0]).split() == ["first.txt", "later.txt"]


def test_a_commit_that_comes_while_it_is_checked_is_kept(landed: Landed) -> None:
    """It was to move back; now there is something after it."""
    came: list[str] = []

    def prove(_: str) -> None:
        if not came:
            came.append(landed.scratch.commit("later.txt"))

    assert isinstance(landed.undo(prove=prove), Undone)
    assert landed.scratch.run("rev-parse", "main~1") == came[0]
    assert landed.files() == ["first.txt", "later.txt"]


def test_a_commit_that_comes_in_the_last_moment_is_kept(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our last look at the branch and that of git, which would take it away."""
    came: list[str] = []

    def announce(common_dir: Path, move: RefMove) -> None:
        announce_landing(common_dir, move)
        if not came:
            came.append(landed.scratch.commit("later.txt"))

    monkeypatch.setattr("task_queue.git.advance.announce_landing", announce)

    assert isinstance(landed.undo(), Undone)
    assert landed.scratch.run("rev-parse", "main~1") == came[0]
    assert landed.files() == ["first.txt", "later.txt"]
