"""A branch lands when that is clean; otherwise it stays, and why is said."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.git import advance as git_advance
from task_queue.git.advance import Advance, turn
from task_queue.git.collect import collect
from task_queue.git.landing import Advanced, Blocked, LandingOutcome, LandingPlan, Prove, Unproven, land
from task_queue.git.merging import Conflict
from task_queue.git.own_repository import paths_of
from task_queue.git.owner_state import OwnerPlace, changes_since, state_of
from task_queue.git.program import Git, GitOutput
from task_queue.git.worktree import create
from tests.git.conftest import Scratch
from tests.processes import runs
from tests.waiting import eventually


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


def bring(
    scratch: Scratch,
    branch: str = "side",
    env: dict[str, str] | None = None,
    *,
    within_s: float = 60,
    prove: Prove = lambda _: None,
    give_up: Callable[[], bool] = lambda: False,
    tip: str | None = None,
) -> LandingOutcome:
    """What else was told is in ``told``."""
    beside = scratch.root.parent / f"{branch}.merge"

    def add_note(text: str) -> None:
        (scratch.root.parent / "told").write_text(text)

    return land(
        replace(scratch.git, environment=env or scratch.env),
        LandingPlan(
            branch,
            "main",
            message="Land it\n",
            beside=beside,
            marker="a:task:1:session",
            tip=tip,
            prove=prove,
            give_up=give_up,
        ),
        add_note=add_note,
        within_s=within_s,
    )


def told(scratch: Scratch) -> str:
    path = scratch.root.parent / "told"
    return path.read_text() if path.exists() else ""


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
    commit = side.run("rev-parse", "side")

    assert bring(away) == Advanced(commit, "fast-forward")
    assert away.run("rev-parse", "main") == commit
    assert bring(away) == Advanced(commit, "already there")


def test_merge_into_a_branch_that_is_checked_out_nowhere(away: Scratch, side: Scratch) -> None:
    """Its hooks run all the same; the one that is for a checkout is named."""
    old = advance(away, "other.txt")
    away.hook("commit-msg", 'echo "Checked-By: hook" >> "$1"')
    away.hook("post-merge", "touch post-merged")

    landed = bring(away)

    assert isinstance(landed, Advanced)
    assert (landed.how, "post-merge did not run" in told(away)) == ("merge", True)
    assert away.run("log", "-1", "--format=%(trailers:key=Checked-By,valueonly)", "main") == "hook\n"
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

    assert isinstance(landed, Advanced)
    assert (landed.how, told(scratch)) == (how, "")
    assert (scratch.root / "side.txt").exists()
    assert scratch.status() == ["?? mine.txt"]


@pytest.mark.parametrize("staged", [True, False], ids=["staged", "not staged"])
def test_uncommitted_changes_of_a_file_that_lands_are_in_the_way(
    scratch: Scratch, side: Scratch, *, staged: bool
) -> None:
    side.commit("first.txt", "of the task\n")
    old = scratch.run("rev-parse", "HEAD")
    scratch.write("first.txt", "mine\n")
    if staged:
        scratch.run("add", "first.txt")

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert landed.why.endswith("with uncommitted changes: first.txt")
    assert scratch.run("rev-parse", "main") == old


@pytest.mark.parametrize("how", ["fast-forward", "merge"])
@pytest.mark.parametrize("change", ["edited", "staged", "deleted", "added", "renamed"])
def test_uncommitted_changes_of_other_files_are_not_in_the_way(
    scratch: Scratch, side: Scratch, change: str, how: str
) -> None:
    """They stay as they are, staged or not."""
    if how == "merge":
        scratch.commit("other.txt")
    match change:
        case "deleted":
            (scratch.root / "first.txt").unlink()
        case "added":
            scratch.write("mine.txt")
            scratch.run("add", "mine.txt")
        case "renamed":
            scratch.run("mv", "first.txt", "mine.txt")
        case _:
            scratch.write("first.txt", "mine\n")
            if change == "staged":
                scratch.run("add", "first.txt")
    before = scratch.status()

    landed = bring(scratch)

    assert isinstance(landed, Advanced)
    assert (landed.how, scratch.status()) == (how, before)
    assert (scratch.root / "side.txt").exists()


@pytest.mark.parametrize("how", ["fast-forward", "merge"])
def test_only_the_commit_that_was_judged_is_merged(scratch: Scratch, side: Scratch, how: str) -> None:
    """An agent moves the branch by its path, after the verdict."""
    judged = side.run("rev-parse", "HEAD")
    side.commit("evil.txt")
    if how == "merge":
        scratch.commit("other.txt")

    landed = bring(scratch, tip=judged)

    assert isinstance(landed, Advanced)
    assert landed.how == how
    assert scratch.run("merge-base", "main", "side") == judged
    assert not (scratch.root / "evil.txt").exists()
    assert "after the verdict" in (scratch.root.parent / "told").read_text()


def test_what_lands_is_proven_first(scratch: Scratch, side: Scratch) -> None:
    """The merge, not the branch; where it fails, nothing has moved."""
    old = scratch.commit("other.txt")
    asked: list[list[str]] = []

    def refuse(commit: str) -> str:
        asked.append(scratch.run("ls-tree", "--name-only", commit).split())
        return "they do not fit"

    landed = bring(scratch, prove=refuse)

    assert asked == [["first.txt", "other.txt", "side.txt"]]
    assert isinstance(landed, Unproven)
    assert (landed.onto, landed.findings) == (old, "they do not fit")
    assert (scratch.run("rev-parse", "main"), scratch.status()) == (old, [])


@pytest.mark.parametrize("checked_out", [True, False])
def test_a_target_that_moves_while_it_is_proven_is_proven_again(
    scratch: Scratch, side: Scratch, *, checked_out: bool
) -> None:
    if not checked_out:
        scratch.run("checkout", "-q", "--detach")
    asked: list[list[str]] = []

    def pass_but_move_once(commit: str) -> None:
        asked.append(scratch.run("ls-tree", "--name-only", commit).split())
        if len(asked) == 1:
            if checked_out:
                scratch.commit("other.txt")
            else:
                advance(scratch, "other.txt")

    landed = bring(scratch, prove=pass_but_move_once)

    assert isinstance(landed, Advanced)
    assert asked == [["first.txt", "side.txt"], ["first.txt", "other.txt", "side.txt"]]
    assert scratch.run("ls-tree", "--name-only", "main").split() == asked[-1]


def test_a_branch_that_has_merged_its_target_lands_by_a_merge(away: Scratch, side: Scratch) -> None:
    """So that every first parent of the target is a commit that it has been at."""
    old = advance(away, "other.txt")
    side.run("merge", "-q", "--no-edit", "main")

    landed = bring(away)

    assert isinstance(landed, Advanced)
    assert landed.how == "merge"
    assert away.run("rev-parse", "main^1") == old


def test_landings_in_one_branch_wait_for_each_other(away: Scratch, side: Scratch) -> None:
    """Checks included: the second is proven with the first one in it."""
    away.run("branch", "other", "main")
    first_is_proven = threading.Event()
    seen: list[str] = []

    def slowly(_: str) -> None:
        first_is_proven.set()
        eventually(lambda: waits_for_turn(away), what="the other one waits")
        seen.append(away.run("ls-tree", "--name-only", "main"))

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(bring, away, prove=slowly)
        first_is_proven.wait(timeout=30)
        tree = away.run("rev-parse", "main^{tree}")
        commit = away.run("commit-tree", tree, "-p", "main", "-m", "Another")
        away.run("update-ref", "refs/heads/other", commit)
        second = bring(away, "other")

    assert isinstance(first.result(), Advanced)
    assert isinstance(second, Advanced)
    assert (seen, second.how) == (["first.txt"], "merge")


def test_who_gives_up_waiting_for_its_turn_is_told(away: Scratch, side: Scratch) -> None:
    with turn(away.git, into="main", wait_s=1):
        landed = bring(away, give_up=lambda: True)

    assert isinstance(landed, Blocked)
    assert "another task has been landing" in landed.why


def waits_for_turn(scratch: Scratch) -> bool:
    """Two have the file of the turn open."""
    (lock,) = (scratch.root / ".git").glob("task-queue-landing-*")
    fds = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(fd) == str(lock) for fd in fds) == 2


@pytest.mark.parametrize("text", ["mine\n", "", "content\n"], ids=["another", "an empty", "the same"])
@pytest.mark.parametrize("ignored", [False, True], ids=["untracked", "ignored"])
def test_a_file_in_the_way_is_not_overwritten(
    scratch: Scratch, side: Scratch, text: str, *, ignored: bool
) -> None:
    """Nor an ignored one, which git itself would replace without a word."""
    if ignored:
        (scratch.root / ".git/info/exclude").write_text("side.txt\n")
    scratch.write("side.txt", text)
    os.utime(scratch.root / "side.txt", (1, 1))

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert "would be overwritten: side.txt" in landed.why
    assert (scratch.root / "side.txt").read_text() == text
    assert (scratch.root / "side.txt").stat().st_mtime == 1


def test_a_target_in_the_middle_of_a_merge_waits(scratch: Scratch, side: Scratch) -> None:
    scratch.run("checkout", "-q", "-b", "third")
    scratch.commit("first.txt", "third\n")
    scratch.run("checkout", "-q", "main")
    scratch.commit("first.txt", "main\n")
    scratch.run("merge", "third", check=False)

    landed = bring(scratch)

    assert isinstance(landed, Blocked)
    assert "in the middle of a merge" in landed.why


@pytest.mark.parametrize("hook", ["pre-merge-commit", "prepare-commit-msg", "commit-msg"])
def test_a_hook_that_refuses_leaves_everything_as_it_was(scratch: Scratch, side: Scratch, hook: str) -> None:
    old = scratch.commit("other.txt")
    scratch.hook(hook, "echo 'no ticket number' >&2; exit 1")

    assert bring(scratch) == Blocked(f"the hook {hook} refused: no ticket number")
    assert (scratch.run("rev-parse", "HEAD"), scratch.status(), scratch.repository.why_not) == (old, [], None)


def test_hooks_run_where_git_would_run_them(scratch: Scratch, side: Scratch) -> None:
    """Those of the commit once, in its order, away from the checkout; the one after it once, in the checkout."""
    scratch.commit("other.txt")
    log = scratch.root.parent / "hooks"
    for name in ("pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-merge"):
        scratch.hook(
            name, f'echo {name} "$(basename "$PWD")" "$(git rev-parse -q --verify MERGE_HEAD)" >> {log}'
        )
    scratch.hook("pre-merge-commit", f"echo pre-merge-commit side.merge $(cat other.txt side.txt) >> {log}")

    landed = bring(scratch)

    tip = side.run("rev-parse", "HEAD")
    assert isinstance(landed, Advanced)
    assert log.read_text().splitlines() == [
        "pre-merge-commit side.merge content content",
        f"prepare-commit-msg side.merge {tip}",
        f"commit-msg side.merge {tip}",
        f"post-merge {scratch.root.name} ",
    ]
    assert not (scratch.root.parent / "side.merge").exists()
    assert scratch.run("reflog", "-1", "--format=%gs") == "merge side: Fast-forward"


def test_what_a_hook_makes_of_the_files_is_not_in_the_merge(scratch: Scratch, side: Scratch) -> None:
    """Nothing judged it; what it makes of the message is."""
    scratch.commit("other.txt")
    scratch.hook("pre-merge-commit", "echo by the hook > hooked.txt; git add hooked.txt")
    scratch.hook("commit-msg", 'echo "Ticket: 7" >> "$1"')

    landed = bring(scratch)

    assert isinstance(landed, Advanced)
    assert not (scratch.root / "hooked.txt").exists()
    assert told(scratch) == "not in the merge, because hooks changed it and nothing judged it: hooked.txt"
    assert scratch.run("log", "-1", "--format=%s, %b") == "Land it, Ticket: 7\n"
    assert scratch.status() == []


@pytest.mark.parametrize("hook", ["pre-merge-commit", "commit-msg"])
def test_a_hook_that_never_ends_is_ended(scratch: Scratch, side: Scratch, hook: str) -> None:
    """With what it started; nothing was merged, and the branch is there for another try."""
    old = scratch.commit("other.txt")
    scratch.hook(hook, f"sleep 1000 & echo $! > {scratch.root.parent}/pid; wait")

    landed = bring(scratch, within_s=1)

    assert isinstance(landed, Blocked)
    assert f"the hook {hook} did not end within 1 s, and was ended" in landed.why
    assert (scratch.run("rev-parse", "HEAD"), scratch.status()) == (old, [])
    eventually(
        lambda: not runs(int((scratch.root.parent / "pid").read_text())), what="the hook's process has ended"
    )
    (scratch.root / ".git/hooks" / hook).unlink()
    assert isinstance(bring(scratch), Advanced)


def test_a_hook_after_the_merge_that_never_ends_does_not_undo_it(scratch: Scratch, side: Scratch) -> None:
    scratch.hook("post-merge", "sleep 1000")

    landed = bring(scratch, within_s=2)

    assert isinstance(landed, Advanced)
    assert "merged anyway" in told(scratch)
    assert "look at the hook post-merge" in told(scratch)
    assert (scratch.run("rev-parse", "HEAD"), scratch.status()) == (landed.commit, [])


@pytest.mark.parametrize("filter_", ["sleep 1000", "kill -9 $PPID"], ids=["hangs", "kills git"])
def test_a_filter_that_cuts_git_off_leaves_no_half_merge(
    scratch: Scratch, side: Scratch, filter_: str
) -> None:
    """It is in the checkout's own last step, after some files were written; they go again, and so do the locks."""
    for name in ("a.txt", "first.txt", "m.slow", "z.txt"):
        side.write(name, "of the side\n")
    side.write(".gitattributes", "*.slow filter=slow\n")
    side.run("add", ".")
    side.run("commit", "-q", "-m", "More")
    scratch.run("config", "filter.slow.smudge", filter_)
    scratch.write("mine.txt", "mine\n")
    old = scratch.run("rev-parse", "HEAD")

    landed = bring(scratch, within_s=3)

    assert isinstance(landed, Blocked)
    assert "was ended" in landed.why
    assert (scratch.run("rev-parse", "HEAD"), scratch.status()) == (old, ["?? mine.txt"])
    assert (scratch.root / "first.txt").read_text() == "first\n"
    assert list((scratch.root / ".git").rglob("*.lock")) == []
    scratch.run("config", "filter.slow.smudge", "cat")
    assert isinstance(bring(scratch), Advanced)
    assert scratch.status() == ["?? mine.txt"]


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

    assert isinstance(landed, Advanced)
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

    assert [type(landing) for landing in landings] == [Advanced] * 4
    assert scratch.run("ls-tree", "--name-only", "main").split() == [
        *(f"{name}.txt" for name in names),
        "first.txt",
    ]
    assert scratch.status() == []


def test_a_branch_that_is_not_there(scratch: Scratch) -> None:
    assert bring(scratch, "nothing") == Blocked("there is no branch nothing")


@pytest.mark.parametrize("kind", ["submodule", "core.worktree"])
def test_a_workspace_whose_repository_is_elsewhere(scratch: Scratch, tmp_path: Path, kind: str) -> None:
    """Its files are where its configuration says; they follow like any others."""
    if kind == "submodule":
        scratch.run("clone", "-q", "--bare", str(scratch.root), str(tmp_path / "library.git"))
        scratch.run("submodule", "--quiet", "add", str(tmp_path / "library.git"), "vendor")
        place = scratch.at(scratch.root / "vendor")
    else:
        place = scratch.at(tmp_path / "files")
        place.root.mkdir()
        scratch.run("clone", "-q", "--no-checkout", str(scratch.root), str(tmp_path / "clone"))
        (tmp_path / "clone/.git").rename(tmp_path / "store")
        (place.root / ".git").write_text(f"gitdir: {tmp_path}/store\n")
        place.run("config", "core.worktree", str(place.root))
        place.run("reset", "-q", "--hard")
    tree = create(place.git, TaskId("task-a"), directory=tmp_path / "trees" / "task-a", base="main")
    agent = place.at(tree.directory)
    agent.commit("side.txt")
    collect(tree.git, TaskId("task-a"), base=tree.head, branch=tree.branch)
    place.commit("other.txt")

    landed = bring(place, tree.branch)

    assert isinstance(landed, Advanced)
    assert (landed.how, (place.root / "side.txt").exists(), place.status()) == ("merge", True, [])


def test_relative_hooks_of_the_main_checkout_run_for_a_merge(scratch: Scratch, side: Scratch) -> None:
    """Also where a fresh checkout lacks their folder."""
    folder = scratch.root / ".husky/_"
    folder.mkdir(parents=True)
    (scratch.root / ".git/info/exclude").write_text(".husky\n")
    (folder / "commit-msg").write_text("#!/bin/sh\necho no ticket number; exit 1\n")
    (folder / "commit-msg").chmod(0o755)
    scratch.run("config", "core.hooksPath", ".husky/_")
    scratch.run("commit", "-q", "--no-verify", "--allow-empty", "-m", "Other")

    assert bring(scratch) == Blocked("the hook commit-msg refused: no ticket number")


def test_a_merge_made_by_hooks_that_run_git_changes_nothing_else(scratch: Scratch, side: Scratch) -> None:
    """What a hook starts is in the throw-away checkout: its git does not reach the owner's repository by itself."""
    scratch.commit("other.txt")
    scratch.hook(
        "pre-merge-commit", "git config user.name Forged; git tag forged; git update-ref refs/heads/x HEAD"
    )
    refs = scratch.run("for-each-ref", "--format=%(refname)")

    assert isinstance(bring(scratch), Advanced)
    assert scratch.run("for-each-ref", "--format=%(refname)") == refs
    assert scratch.run("config", "user.name") == "Person"


def test_landings_are_no_changes_of_the_owners_repository(scratch: Scratch, side: Scratch) -> None:
    """A fast-forward and then a merge; what a person commits on top is one."""
    where = paths_of(scratch.git)
    place = OwnerPlace(scratch.git, where.common_dir, where.hooks)
    scratch.run("branch", "second")
    before = state_of(place)
    bring(scratch)
    other = scratch.at(scratch.root.parent / "second")
    scratch.run("worktree", "add", "-q", str(other.root), "second")
    other.commit("second.txt")
    bring(scratch, "second")

    named = [change.sentence for change in changes_since(place, before)]
    scratch.commit("mine.txt")

    assert [sentence for sentence in named if "refs/heads/main" in sentence] == []
    assert any("refs/heads/main went from" in change.sentence for change in changes_since(place, before))


def test_a_commit_of_the_owner_in_the_middle_of_the_step_leaves_nothing_of_it(
    scratch: Scratch, side: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git had put the files there and not moved the branch yet: the next try is not in its own way."""
    in_checkout = git_advance._in_checkout
    raced: list[str] = []

    def race(git: Git, planned: Advance, within_s: float) -> GitOutput:
        if not raced:
            scratch.run("read-tree", "-m", "-u", planned.old, planned.new)
            scratch.write("mine.txt")
            scratch.run("add", "mine.txt")
            scratch.run("commit", "-qm", "By hand", "--", "mine.txt")
            raced.append(scratch.run("rev-parse", "main"))
        return in_checkout(git, planned, within_s)

    monkeypatch.setattr(git_advance, "_in_checkout", race)

    landed = bring(scratch)

    assert isinstance(landed, Advanced), landed
    assert scratch.run("status", "--porcelain") == ""
    assert scratch.run("ls-tree", "--name-only", "main", "mine.txt", "side.txt").split() == [
        "mine.txt",
        "side.txt",
    ]
    assert scratch.run("merge-base", "--is-ancestor", raced[0], "main") == ""
