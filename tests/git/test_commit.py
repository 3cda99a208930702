"""The final commit: only what the task changed, once, through the repository's hooks."""

from __future__ import annotations

import os

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.text import without_invisible
from task_queue.domain.work.commits import Signature
from task_queue.git.changes import changes_between
from task_queue.git.checkpoint import Checkpoint, checkpoint, snapshot_now
from task_queue.git.commit import CommitResult, doubts_about_agents, final_commit, why_no_signature
from task_queue.git.commit_begun import forget_begun_commit
from task_queue.git.own_repository import paths_of
from task_queue.git.owner_state import OwnerPlace, changes_since, state_of
from tests.git.conftest import Scratch
from tests.git.test_repository import ODD_NAMES

TASK = TaskId("task-a")
TRAILERS = {"Task-Id": "task-a", "Task-Queue-Attempt": "1", "Task-Queue-Cost": "$0.12"}


def begin(scratch: Scratch) -> Checkpoint:
    return checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=1)


def finish(scratch: Scratch, since: Checkpoint, signature: Signature | None = None) -> CommitResult:
    return final_commit(
        scratch.git,
        scratch.repository,
        since=since,
        subject="Fix it",
        body="As asked.",
        trailers=TRAILERS,
        signature=signature,
    )


def files_of(scratch: Scratch, commit: str | None) -> list[str]:
    assert commit is not None
    return scratch.run("show", "--format=", "--name-only", "-z", commit).split("\0")[:-1]


def test_what_the_task_changed_is_committed(scratch: Scratch) -> None:
    """New, changed and deleted files; nothing is left uncommitted, and the message names the task."""
    scratch.commit("old.txt")
    since = begin(scratch)
    scratch.write("first.txt", "changed\n")
    scratch.write("new/file.txt")
    (scratch.root / "old.txt").unlink()

    done = finish(scratch, since)

    assert done.paths == ("first.txt", "new/file.txt", "old.txt")
    assert (scratch.status(), done.head, done.branch) == ([], done.ours, "main")
    message = scratch.run("show", "--no-patch", "--format=%B", done.ours or "")
    assert message.splitlines() == [
        "Fix it",
        "",
        "As asked.",
        "",
        *(f"{k}: {v}" for k, v in TRAILERS.items()),
    ]


def test_what_was_uncommitted_before_stays_so(scratch: Scratch) -> None:
    """Staged things stay staged; what was changed by both is named and left out."""
    scratch.commit("shared.txt")
    scratch.write("mine.txt", "mine\n")
    scratch.write("staged.txt", "staged\n")
    scratch.run("add", "staged.txt")
    scratch.write("shared.txt", "mine\n")
    since = begin(scratch)
    scratch.write("first.txt", "of the task\n")
    scratch.write("shared.txt", "mine\nand of the task\n")

    done = finish(scratch, since)

    assert (files_of(scratch, done.ours), done.overlap) == (["first.txt"], ("shared.txt",))
    assert sorted(scratch.status()) == [" M shared.txt", "?? mine.txt", "A  staged.txt"]


def test_it_is_made_once(scratch: Scratch) -> None:
    """Asked again after a crash, it is found; also when a person went on working."""
    since = begin(scratch)
    scratch.write("first.txt", "changed\n")
    first = finish(scratch, since)
    scratch.write("later.txt")

    again = finish(scratch, since)

    assert (again.ours, again.paths, again.by_agent) == (first.ours, first.paths, ())
    assert scratch.status() == ["?? later.txt"]


def test_a_forged_commit_is_not_taken_for_the_queues(scratch: Scratch) -> None:
    """Whatever trailers an agent writes, before the queue's commit and after a round of its own."""
    since = begin(scratch)
    scratch.write("forged.txt")
    scratch.run("add", ".")
    scratch.run("commit", "-qm", "Mine\n\n" + "\n".join(f"{k}: {v}" for k, v in TRAILERS.items()))
    forged = scratch.run("rev-parse", "HEAD")
    scratch.write("rest.txt")

    done = finish(scratch, since)
    again = finish(scratch, since)

    assert done.by_agent == again.by_agent == (forged,)
    assert done.ours == again.ours == scratch.run("rev-parse", "HEAD") != forged
    assert files_of(scratch, done.ours) == ["rest.txt"]


def test_what_was_begun_counts_no_more_once_an_agent_ran(scratch: Scratch) -> None:
    """The queue was killed before its commit, and the work went on: a forged one in its place is the agent's."""
    since = begin(scratch)
    scratch.hook("pre-commit", "exit 1")
    scratch.write("work.txt")
    assert finish(scratch, since).refused is not None
    forget_begun_commit(scratch.repository)
    (scratch.root / ".git/hooks/pre-commit").unlink()
    scratch.run("add", ".")
    scratch.run("commit", "-qm", "Mine\n\n" + "\n".join(f"{k}: {v}" for k, v in TRAILERS.items()))

    done = finish(scratch, since)

    assert (done.ours, done.by_agent) == (None, (scratch.run("rev-parse", "HEAD"),))


def test_authors_that_are_not_configured_are_named(scratch: Scratch) -> None:
    """Those of the queue's signature may be used, too; commits of the target are others'."""
    base = scratch.run("rev-parse", "HEAD")
    signature = Signature("Bot", "bot@example.org", "Bot", "bot@example.org")
    scratch.run("-c", "user.name=Other", "commit", "-q", "--allow-empty", "-m", "Of the target")
    target = scratch.run("rev-parse", "HEAD")
    scratch.run("commit", "-q", "--allow-empty", "-m", "Fine")
    scratch.run(
        *("-c", "user.name=Bot", "-c", "user.email=bot@example.org"),
        *("commit", "-q", "--allow-empty", "-m", "Fine, too"),
    )
    scratch.run("commit", "-q", "--allow-empty", "--author=Forged <f@example.org>", "-m", "Forged")
    commits = scratch.run("rev-list", f"{base}..HEAD").split()

    doubts = doubts_about_agents(scratch.git, commits, signature=signature, but=[target])

    assert doubts == (
        f"the agent's commit {commits[0][:12]} has another author than configured: Forged <f@example.org>",
    )


def test_a_crash_before_the_index_followed_is_repaired(scratch: Scratch) -> None:
    since = begin(scratch)
    index = (scratch.root / ".git/index").read_bytes()
    scratch.write("first.txt", "changed\n")
    scratch.write("new.txt")
    finish(scratch, since)
    (scratch.root / ".git/index").write_bytes(index)
    assert scratch.status() != []

    finish(scratch, since)

    assert scratch.status() == []


def test_nothing_changed_makes_no_commit(scratch: Scratch) -> None:
    scratch.write("mine.txt")
    since = begin(scratch)

    done = finish(scratch, since)

    assert (done.ours, done.by_agent, done.refused) == (None, (), None)


def test_commits_of_the_agent_are_listed(scratch: Scratch) -> None:
    """What is left is committed on top; what a person had not committed, and the agent did, is told."""
    scratch.write("mine.txt")
    since = begin(scratch)
    scratch.run("add", "mine.txt")
    by_agent = scratch.commit("step.txt")
    scratch.write("rest.txt")

    done = finish(scratch, since)

    assert (done.by_agent, files_of(scratch, done.ours)) == ((by_agent,), ["rest.txt"])
    assert (done.taken_along, done.rewritten) == (("mine.txt",), False)


def test_a_rewritten_history_is_told(scratch: Scratch) -> None:
    since = begin(scratch)
    scratch.run("commit", "-q", "--amend", "-m", "Other words")

    assert finish(scratch, since).rewritten


def test_a_hook_that_refuses_is_heard(scratch: Scratch) -> None:
    """Nothing is committed and nothing is lost; when the hook agrees, the same call succeeds."""
    since = begin(scratch)
    scratch.hook("pre-commit", "echo 'line 3 is too long'; exit 1")
    scratch.write("first.txt", "changed\n")
    before = scratch.status()

    done = finish(scratch, since)

    assert (done.ours, scratch.status()) == (None, before)
    assert "line 3 is too long" in (done.refused or "")
    scratch.hook("pre-commit", "exit 0")
    assert finish(scratch, since).ours is not None


def test_hooks_see_what_is_committed_and_may_add_to_it(scratch: Scratch) -> None:
    """A formatter that stages its result, and a commit-msg hook that appends a trailer."""
    scratch.write("mine.txt")
    scratch.run("add", "mine.txt")
    since = begin(scratch)
    scratch.hook(
        "pre-commit",
        "git diff --cached --name-only > .git/seen; echo formatted > first.txt; git add first.txt",
    )
    scratch.hook("commit-msg", 'printf "\\nChange-Id: I123\\n" >> "$1"')
    scratch.write("first.txt", "changed\n")

    done = finish(scratch, since)

    assert (scratch.root / ".git/seen").read_text() == "first.txt\n"
    assert scratch.run("show", "HEAD:first.txt") == "formatted"
    assert scratch.status() == ["A  mine.txt"]
    assert finish(scratch, since).ours == done.ours


def test_what_the_agent_staged_and_then_changed_leaves_nothing_staged(scratch: Scratch) -> None:
    """Or a person's next commit would bring the earlier version back."""
    since = begin(scratch)
    for text in ("early\n", "late\n"):
        scratch.write("new.txt", text)
        scratch.write("first.txt", text)
        if text == "early\n":
            scratch.run("add", ".")

    finish(scratch, since)

    assert scratch.status() == []
    assert scratch.run("show", "HEAD:new.txt") == "late"


def test_a_detached_head_moves_along(scratch: Scratch) -> None:
    scratch.run("checkout", "-q", "--detach")
    since = begin(scratch)
    scratch.write("new.txt")

    done = finish(scratch, since)

    assert (done.branch, scratch.run("rev-parse", "HEAD")) == (None, done.ours)
    assert scratch.run("log", "--format=%s", "main") == "Write first.txt"


def test_the_first_commit_of_a_repository(empty: Scratch) -> None:
    empty.write("mine.txt")
    since = begin(empty)
    empty.write("new.txt")

    done = finish(empty, since)

    assert (files_of(empty, done.ours), empty.status()) == (["new.txt"], ["?? mine.txt"])
    assert finish(empty, since).ours == done.ours


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_every_kind_are_committed(scratch: Scratch, name: str) -> None:
    since = begin(scratch)
    scratch.write(name)

    assert files_of(scratch, finish(scratch, since).ours) == [name]
    assert scratch.status() == []


def test_a_file_that_became_a_directory_is_committed(scratch: Scratch) -> None:
    since = begin(scratch)
    (scratch.root / "first.txt").unlink()
    scratch.write("first.txt/inside")

    finish(scratch, since)

    assert (scratch.status(), scratch.run("ls-files")) == ([], "first.txt/inside")


def test_author_and_committer_can_be_chosen(scratch: Scratch) -> None:
    since = begin(scratch)
    scratch.write("new.txt")
    signature = Signature(author_name="Queue", author_email="q@example.org")

    done = finish(scratch, since, signature)

    who = scratch.run("show", "--no-patch", "--format=%an %ae, %cn", done.ours or "")
    assert who == "Queue q@example.org, Person"


def test_a_missing_name_is_told_beforehand(scratch: Scratch) -> None:
    (scratch.root.parent / "home" / ".gitconfig").unlink()

    assert "user.name" in (why_no_signature(scratch.git, Signature()) or "")
    everybody = Signature("a", "a@example.org", "b", "b@example.org")
    assert why_no_signature(scratch.git, everybody) is None


def test_a_lock_that_goes_away_is_waited_for(scratch: Scratch) -> None:
    """A person's git that runs at the same moment does not fail the task."""
    since = begin(scratch)
    scratch.write("first.txt", "changed\n")
    scratch.hook("post-commit", "touch .git/index.lock; (sleep 0.3; rm .git/index.lock) >/dev/null 2>&1 &")

    done = finish(scratch, since)

    assert (done.refused, scratch.status()) == (None, [])


def test_changes_are_told_with_figures_and_a_patch(scratch: Scratch) -> None:
    """Against the checkpoint, uncommitted work of a person not included."""
    scratch.write("mine.txt")
    since = begin(scratch)
    scratch.write("first.txt", "first\nsecond\n")
    scratch.write("sp ace\n.bin", b"\0\1\2")

    now = snapshot_now(scratch.git, scratch.repository)
    changes = changes_between(scratch.git, since.commit, now.tree)

    told = [(path.path, path.added, path.deleted) for path in changes.paths]
    assert told == [("first.txt", 1, 0), ("sp ace\n.bin", None, None)]
    assert changes.summary == "2 files changed, 1 insertions(+), 0 deletions(-), 1 binary or very large"
    assert "+second" in changes.patch
    assert not changes.cut


def test_a_change_of_the_same_size_in_the_same_second_is_seen(scratch: Scratch) -> None:
    """Git compares whole seconds, and content only where the index is not newer than the file."""
    scratch.run("config", "core.trustctime", "false")  # the time of the change cannot be set
    same = (1_700_000_000, 1_700_000_000)
    os.utime(scratch.write("first.txt", "first\n"), same)
    scratch.run("update-index", "--refresh")
    os.utime(scratch.root / ".git" / "index", same)
    os.utime(scratch.write("first.txt", "other\n"), same)

    now = snapshot_now(scratch.git, scratch.repository)

    assert scratch.run("cat-file", "blob", f"{now.tree}:first.txt") == "other"


def test_a_huge_diff_is_cut_and_says_so(scratch: Scratch) -> None:
    since = begin(scratch)
    scratch.write("huge.bin", bytes(range(256)) * 20_000)
    scratch.write("huge.txt", "a line\n" * 300_000)
    scratch.write("long.txt", "another line\n" * 50_000)

    now = snapshot_now(scratch.git, scratch.repository)
    changes = changes_between(scratch.git, since.commit, now.tree, max_patch_bytes=10_000)

    assert len(changes.patch) < 10_200
    assert changes.cut
    assert "Binary files /dev/null and b/huge.bin differ" in changes.patch
    assert "Binary files /dev/null and b/huge.txt differ" in changes.patch
    assert changes.patch.endswith("[cut here: only the first 10,000 bytes of the patch are shown]\n")


def test_a_repository_whose_commits_have_another_encoding(scratch: Scratch) -> None:
    """The message is readable there, and the commit is found again."""
    scratch.run("config", "i18n.commitEncoding", "ISO-8859-1")
    since = begin(scratch)
    scratch.write("first.txt", "changed\n")
    odd = {**TRAILERS, "Task-Id": "task-\u00fc"}

    def done() -> CommitResult:
        return final_commit(
            scratch.git, scratch.repository, since=since, subject="Grün \u2713", body="", trailers=odd
        )

    first = done()
    assert scratch.run("-c", "i18n.logOutputEncoding=UTF-8", "log", "-1", "--format=%s") == "Grün \u2713"
    assert (first.ours, first.by_agent) == (done().ours, ())


def test_a_commit_of_the_queue_is_no_change_by_another_task(scratch: Scratch) -> None:
    where = paths_of(scratch.git)
    place = OwnerPlace(scratch.git, where.common_dir, where.hooks)
    since, before = begin(scratch), state_of(place)
    scratch.write("work.txt")

    finish(scratch, since)

    assert changes_since(place, before) == ()


LOOKS_LIKE_OURS = [
    "Task-Id: task-victim",
    "Fix it\n\nTask-Id: task-victim",
    "Fix it\r\rTask-Id: task-victim",
    "Fix it\u2028Task-Id: task-victim",
    "x Task-Id: task-victim",
    "Task-\u200bId: task-victim",
    "task-id : task-victim",
    "\u202eTask-Id: task-victim\u202c",
]


@pytest.mark.parametrize("title", LOOKS_LIKE_OURS)
def test_a_title_cannot_pass_for_a_trailer(scratch: Scratch, title: str) -> None:
    """Neither for who asks git for trailers, as the documentation says, nor for who searches for the words."""
    since = begin(scratch)
    scratch.write("made")
    done = final_commit(
        scratch.git, scratch.repository, since=since, subject=title, body=title, trailers=TRAILERS
    )

    asked = ("log", "-1", "--format=%(trailers:key=Task-Id,valueonly,separator=%x2C)")
    subject = scratch.run("log", "-1", "--format=%s")
    assert done.ours
    assert scratch.run(*asked) == "task-a"
    assert scratch.run("log", "--grep", "Task-Id: task-victim", "--format=%h", "-i") == ""
    assert subject.isprintable()
    assert without_invisible(subject) == subject
