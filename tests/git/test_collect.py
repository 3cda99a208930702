"""What an agent committed comes to the task's branch where that continues it; other commits are kept and named."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from task_queue.domain.task import TaskId
from task_queue.git.collect import collect, hand_over
from task_queue.git.worktree import Worktree, create
from tests.git.conftest import Scratch

TASK = TaskId("task-a")
BRANCH = "task-queue/task-a"


@dataclass(frozen=True)
class Work:
    """A task's checkout, and the agent in it."""

    owner: Scratch
    tree: Worktree
    base: str

    @property
    def agent(self) -> Scratch:
        return self.owner.at(self.tree.directory)

    def collect(self) -> tuple[str, ...]:
        return collect(self.tree.git, TASK, base=self.base, branch=BRANCH)

    def branch(self, *, of: str = BRANCH) -> list[str]:
        """Subjects of its commits in the owner's repository."""
        return self.owner.run("log", "--format=%s", f"{self.base}..{of}").splitlines()

    def uncommitted(self) -> list[str]:
        """As the queue sees it."""
        return self.tree.git.read("status", "--porcelain").text.splitlines()


@pytest.fixture
def work(scratch: Scratch, tmp_path: Path) -> Work:
    base = scratch.commit("second.txt")
    tree = create(scratch.git, TASK, directory=tmp_path / "trees" / TASK, base="main")
    return Work(scratch, tree, base)


@pytest.mark.parametrize(
    "where",
    [(), ("checkout", "-q", "-b", "mine"), ("checkout", "-q", "--detach"), ("checkout", "-q", "-B", "main")],
)
def test_commits_come_wherever_they_were_made(work: Work, where: tuple[str, ...]) -> None:
    """On the task's branch, on another, on none, on one that is called as the target is: the target stays."""
    if where:
        work.agent.run(*where)
    work.agent.commit("one.txt")
    work.agent.commit("two.txt")
    work.agent.write("half.txt")

    assert work.collect() == ()

    assert work.branch() == ["Write two.txt", "Write one.txt"]
    assert work.uncommitted() == ["?? half.txt"]
    assert work.owner.run("rev-parse", "main") == work.base
    assert work.collect() == ()


def test_commits_that_change_tracked_files(work: Work) -> None:
    """What is uncommitted in such a file stays so."""
    work.agent.write("first.txt", "committed\n")
    (work.agent.root / "second.txt").unlink()
    work.agent.run("commit", "-qam", "Change both")
    work.agent.write("first.txt", "committed\nmore\n")

    assert work.collect() == ()

    assert work.branch() == ["Change both"]
    assert work.uncommitted() == [" M first.txt"]


def test_nothing_new_changes_nothing(work: Work) -> None:
    before = work.owner.run("for-each-ref")

    assert work.collect() == ()
    assert work.owner.run("for-each-ref") == before


def test_what_the_owners_repository_lacks_is_all_there_is_to_a_fetch(work: Work) -> None:
    """The commits stand alone there: the checkout may go."""
    commit = work.agent.commit("one.txt", "x" * 100_000)
    work.collect()
    shutil.rmtree(work.tree.directory)

    work.owner.run("gc", "-q", "--prune=now")
    assert work.owner.run("show", f"{commit}:one.txt") == "x" * 100_000
    assert work.owner.run("fsck", "--connectivity-only", "--no-dangling") == ""


def test_an_agent_that_amends_its_own_commit(work: Work) -> None:
    """From one round to the next: the newer one counts."""
    work.agent.commit("one.txt")
    work.collect()
    work.agent.write("two.txt")
    work.agent.run("add", ".")
    work.agent.run("commit", "-q", "--amend", "-m", "Both")

    assert work.collect() == ()
    assert work.branch() == ["Both"]
    assert work.uncommitted() == []


def test_an_agent_that_went_back_to_the_branch_without_its_commits(work: Work) -> None:
    """They are brought there, with their files; the agent's git shows the same."""
    work.agent.run("checkout", "-q", "-b", "mine")
    work.agent.commit("one.txt")
    work.agent.run("checkout", "-q", BRANCH)

    assert work.collect() == (f"the agent's commits on mine were brought to {BRANCH}",)
    assert work.branch() == ["Write one.txt"]
    assert (work.tree.directory / "one.txt").exists()
    assert (work.agent.status(), work.uncommitted()) == ([], [])


def test_commits_on_a_branch_beside_are_kept_and_named(work: Work) -> None:
    work.agent.run("checkout", "-q", "-b", "beside")
    work.agent.commit("beside.txt")
    work.agent.run("checkout", "-q", BRANCH)
    work.agent.commit("one.txt")

    (said,) = work.collect()

    kept = "refs/task-queue/task-a/elsewhere/beside"
    assert said == f"commits on beside of the checkout are not in {BRANCH}: they are kept on {kept}"
    assert work.branch() == ["Write one.txt"]
    assert work.branch(of=kept) == ["Write beside.txt"]
    assert work.collect() == (said,)


def test_a_stash_is_kept_and_named(work: Work) -> None:
    work.agent.write("first.txt", "stashed\n")
    work.agent.run("stash")

    (said,) = work.collect()
    assert "commits on stash of the checkout" in said
    assert work.owner.run("show", "refs/task-queue/task-a/elsewhere/stash:first.txt") == "stashed"
    assert work.owner.run("stash", "list") == ""


def test_a_history_without_what_the_task_began_on(work: Work) -> None:
    """Its commits are kept; the branch does not lose what it had."""
    work.agent.run("reset", "-q", "--hard", "HEAD~1")
    (said,) = work.collect()
    at = work.agent.run("rev-parse", "HEAD")
    assert said == f"the agent took the history of the checkout back to {at[:12]}, before what it began on"
    work.agent.commit("one.txt")

    (said,) = work.collect()

    assert f"on a history without {work.base[:12]}, which the task began on" in said
    assert work.owner.run("rev-parse", BRANCH) == work.base
    assert (
        work.owner.run("log", "-1", "--format=%s", "refs/task-queue/task-a/elsewhere/HEAD") == "Write one.txt"
    )
    assert work.uncommitted() == [" D second.txt", "?? one.txt"]


@pytest.mark.parametrize("what", ["HEAD", "objects", "refs", "all"])
def test_a_repository_that_cannot_be_read_is_told(work: Work, what: str) -> None:
    """The files are there all the same."""
    work.agent.commit("one.txt")
    own = work.tree.directory / ".git"
    if what == "HEAD":
        (own / "HEAD").unlink()
    else:
        path = own if what == "all" else own / what
        path.rename(path.with_name("moved"))
        path.symlink_to(path.with_name("moved"))

    (said,) = work.collect()
    assert "could not be read" in said
    assert "?? one.txt" in work.uncommitted()


def test_an_object_that_is_not_what_its_name_says_is_refused(work: Work) -> None:
    """As from any other repository; nothing of it is on the branch."""
    commit = work.agent.commit("one.txt", "good\n")
    blob = work.agent.run("rev-parse", f"{commit}:one.txt")
    other = work.agent.run("hash-object", "-w", str(work.agent.write("evil", "evil\n")))
    objects = work.tree.directory / ".git/objects"
    target = objects / blob[:2] / blob[2:]
    target.chmod(0o644)
    target.write_bytes((objects / other[:2] / other[2:]).read_bytes())

    (said,) = work.collect()
    assert "could not be read" in said
    assert work.branch() == []


def test_what_the_queue_committed_is_shown_in_the_checkout(work: Work) -> None:
    """To a person who looks there, and to the agent of the next attempt."""
    work.agent.run("checkout", "-q", "-b", "mine")
    work.agent.write("one.txt")
    work.tree.git.change("add", "one.txt")
    work.tree.git.change("commit", "-q", "-m", "By the queue")

    hand_over(work.tree.git, BRANCH)

    assert work.agent.run("log", "-1", "--format=%s %D") == f"By the queue HEAD -> {BRANCH}"
    assert work.agent.status() == []


def test_contents_of_large_files_come_along(work: Work) -> None:
    """As Git LFS lays them out; one that is not what its name says, or is no file, stays where it is."""
    digest = hashlib.sha256(b"large").hexdigest()
    folder = work.tree.directory / ".git/lfs/objects" / digest[:2] / digest[2:4]
    folder.mkdir(parents=True)
    (folder / digest).write_bytes(b"large")
    (folder / ("0" * 64)).write_bytes(b"not this")
    (folder / ("1" * 64)).symlink_to("/etc/hostname")
    work.agent.commit("pointer.bin", f"oid sha256:{digest}\n")

    assert work.collect() == ()

    there = work.owner.root / ".git/lfs/objects"
    assert [path.name for path in there.rglob("*") if path.is_file()] == [digest]
    assert (there / digest[:2] / digest[2:4] / digest).read_bytes() == b"large"


def test_an_ignored_file_that_was_added_all_the_same_is_work(work: Work) -> None:
    (work.tree.directory / ".gitignore").write_text("build/\n")
    work.agent.write("build/made.txt")
    work.agent.write("build/forced.txt")
    work.agent.run("add", "--force", "build/forced.txt")

    assert work.collect() == ()
    assert work.uncommitted() == ["A  build/forced.txt", "?? .gitignore"]
