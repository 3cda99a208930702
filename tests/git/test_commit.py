"""The final commit: only what the task changed, once, through the repository's hooks."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Any

import pytest

from task_queue.domain.task import TaskId
from task_queue.domain.text import without_invisible
from task_queue.domain.work.commits import Signature
from task_queue.git.changes import changes_between
from task_queue.git.checkpoint import Checkpoint, checkpoint, snapshot_now
from task_queue.git.commit import CommitResult, Judged, doubts_about_agents, final_commit, why_no_signature
from task_queue.git.own_repository import paths_of
from task_queue.git.owner_state import OwnerPlace, changes_since, state_of
from task_queue.git.repository import head_of
from tests.git.conftest import Scratch
from tests.git.test_repository import ODD_NAMES
from tests.waiting import eventually

TASK = TaskId("task-a")
TRAILERS = {"Task-Id": "task-a", "Task-Queue-Attempt": "1", "Task-Queue-Cost": "$0.12"}


def begin(scratch: Scratch) -> Checkpoint:
    return checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=1)


def judge(scratch: Scratch, since: Checkpoint) -> Judged:
    """What is there now has passed."""
    now = snapshot_now(scratch.git, scratch.repository, since=since)
    return Judged(now.tree, head_of(scratch.git), now.left_out)


def finish(
    scratch: Scratch,
    since: Checkpoint,
    signature: Signature | None = None,
    *,
    judged: Judged | None = None,
    **more: Any,
) -> CommitResult:
    """Commit what was *judged*, or what is there now."""
    return final_commit(
        scratch.git,
        scratch.repository,
        since=since,
        judged=judged or judge(scratch, since),
        subject="Fix it",
        body="As asked.",
        trailers=TRAILERS,
        signature=signature,
        **more,
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
    judged = judge(scratch, since)
    first = finish(scratch, since, judged=judged)
    scratch.write("later.txt")

    again = finish(scratch, since, judged=judged)

    assert (again.ours, again.paths, again.by_agent) == (first.ours, first.paths, ())
    assert scratch.status() == ["?? later.txt"]


def test_cut_off_before_its_branch_has_it_the_same_commit_follows(scratch: Scratch) -> None:
    """Also one of which a hook made something else than what was judged."""
    since = begin(scratch)
    scratch.hook("pre-commit", "echo formatted > first.txt; git add first.txt")
    scratch.write("first.txt", "changed\n")
    judged = judge(scratch, since)
    announced: list[str] = []

    def killed(commit: str) -> None:
        announced.append(commit)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(scratch, since, judged=judged, announce=killed)
    assert scratch.run("rev-parse", "HEAD") == since.base
    for _ in range(2):
        done = finish(scratch, since, judged=judged, made=announced[0])

        assert done.ours == scratch.run("rev-parse", "HEAD") == announced[0]
        assert done.by_agent == ()


def forge(scratch: Scratch) -> str:
    scratch.run("add", "--all")
    scratch.run("commit", "-qm", "Mine\n\n" + "\n".join(f"{k}: {v}" for k, v in TRAILERS.items()))
    return scratch.run("rev-parse", "HEAD")


def test_a_forged_commit_is_not_taken_for_the_queues(scratch: Scratch) -> None:
    """Whatever trailers an agent writes before the verdict: the file that it then removes is not there."""
    since = begin(scratch)
    scratch.write("forged.txt", "planted\n")
    forged = forge(scratch)
    (scratch.root / "forged.txt").unlink()
    scratch.write("rest.txt")
    judged = judge(scratch, since)

    done = finish(scratch, since, judged=judged)
    again = finish(scratch, since, judged=judged)

    assert done.by_agent == again.by_agent == (forged,)
    assert done.ours == again.ours == scratch.run("rev-parse", "HEAD") != forged
    assert files_of(scratch, done.ours) == ["forged.txt", "rest.txt"]
    assert scratch.run("ls-tree", "--name-only", "HEAD").split() == ["first.txt", "rest.txt"]


def test_a_version_that_was_committed_and_put_back_is_in_no_file(scratch: Scratch) -> None:
    """Of a file with a person's uncommitted changes: the auditor sees no difference there."""
    scratch.write("first.txt", "mine\n")
    since = begin(scratch)
    scratch.write("first.txt", "planted\n")
    forge(scratch)
    scratch.write("first.txt", "mine\n")

    finish(scratch, since)

    assert (scratch.run("show", "HEAD:first.txt"), scratch.status()) == ("first", [" M first.txt"])


def test_a_commit_after_the_verdict_is_not_taken_for_the_queues(scratch: Scratch) -> None:
    """In place it cannot be taken away: it is named, and the work is committed without what it overtook."""
    since = begin(scratch)
    scratch.write("work.txt")
    scratch.write("both.txt")
    judged = judge(scratch, since)
    scratch.write("evil.txt")
    scratch.write("both.txt", "other\n")
    scratch.run("add", "both.txt", "evil.txt")
    forged = forge(scratch)
    scratch.run("rm", "-q", "--cached", "work.txt")
    scratch.run("commit", "-q", "--amend", "--no-edit")
    forged = scratch.run("rev-parse", "HEAD")

    done = finish(scratch, since, judged=judged)

    assert (done.late, done.overtaken) == ((forged,), ("both.txt",))
    assert files_of(scratch, done.ours) == ["work.txt"]
    assert done.ours not in (None, forged)


def test_what_is_written_after_the_verdict_is_in_no_commit(scratch: Scratch) -> None:
    """Neither files nor what is staged, also where a hook adds all there is."""
    scratch.hook("pre-commit", "git add --all")
    since = begin(scratch)
    scratch.write("work.txt", "judged\n")
    judged = judge(scratch, since)
    scratch.write("work.txt", "other\n")
    scratch.write("evil.txt")
    scratch.run("add", "evil.txt")
    late = Judged(judged.tree, judged.head, changed_since=frozenset({"work.txt", "evil.txt"}))

    asked: list[str] = []

    def goes_back(paths: Collection[str]) -> bool:
        asked.extend(paths)
        return True

    done = finish(scratch, since, judged=late, goes_back=goes_back)

    assert (files_of(scratch, done.ours), asked) == (["work.txt"], [])
    assert scratch.run("show", "HEAD:work.txt") == "judged"


@pytest.mark.parametrize("hook", ["pre-commit", "prepare-commit-msg", "commit-msg"])
def test_what_a_hook_makes_of_the_files_goes_back_or_is_left_out(scratch: Scratch, hook: str) -> None:
    since = begin(scratch)
    scratch.hook(hook, "echo planted > evil.txt; git add evil.txt")
    scratch.write("work.txt")
    judged = judge(scratch, since)
    asked: list[tuple[str, ...]] = []

    def goes_back(paths: Collection[str]) -> bool:
        asked.append(tuple(paths))
        return len(asked) == 1

    sent_back = finish(scratch, since, judged=judged, goes_back=goes_back)
    done = finish(scratch, since, judged=judged, goes_back=goes_back)

    assert (sent_back.ours, sent_back.to_judge, asked) == (None, True, [("evil.txt",)] * 2)
    assert (done.by_hooks, files_of(scratch, done.ours)) == (("evil.txt",), ["work.txt"])
    assert scratch.status() == ["?? evil.txt"]


def test_what_a_hook_adds_once_more_is_left_out(scratch: Scratch) -> None:
    """Judged with what it had made before, a commit has that and nothing later; also where nobody sees it in a file."""
    since = begin(scratch)
    scratch.hook("pre-commit", "echo x >> count; git add count; git update-index --chmod=+x work.txt")
    scratch.write("work.txt")

    assert finish(scratch, since, goes_back=lambda _: True).to_judge
    done = finish(scratch, since)

    assert (scratch.run("show", "HEAD:count"), done.by_hooks) == ("x", ("count", "work.txt"))


def test_a_commit_that_a_hook_makes_after_it_is_named(scratch: Scratch) -> None:
    """In the place of the queue's, or on it."""
    since = begin(scratch)
    amend = "echo planted > evil.txt; git add evil.txt; git commit -q --amend --no-edit"
    scratch.hook("post-commit", f"rm -f .git/hooks/post-commit; {amend}")
    scratch.write("work.txt")

    done = finish(scratch, since)

    assert (done.head, done.late) == (head := scratch.run("rev-parse", "HEAD"), (head,))
    assert files_of(scratch, done.ours) == ["work.txt"]


def test_a_replaced_object_stays_what_its_name_says(scratch: Scratch) -> None:
    """An agent lets git show another file, or another history, for the name that was judged."""
    since = begin(scratch)
    scratch.write("work.txt", "judged\n")
    judged = judge(scratch, since)
    other = scratch.write("other.txt", "planted\n")
    planted = scratch.run("hash-object", "-w", str(other))
    other.unlink()
    scratch.run("replace", scratch.run("rev-parse", f"{judged.tree}:work.txt"), planted)
    (scratch.root / ".git/info/grafts").write_text(f"{since.base}\n")

    done = finish(scratch, since, judged=judged)

    env = {**scratch.env, "GIT_NO_REPLACE_OBJECTS": "1"}
    assert Scratch(scratch.root, env).run("show", "HEAD:work.txt") == "judged"
    changes = changes_between(scratch.git, since.commit, done.ours or "")
    assert "+judged" in changes.patch


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
    judged = judge(scratch, since)
    finish(scratch, since, judged=judged)
    (scratch.root / ".git/index").write_bytes(index)
    assert scratch.status() != []

    finish(scratch, since, judged=judged)

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
    """A formatter that stages its result, which is judged, and a commit-msg hook that appends a trailer."""
    scratch.write("mine.txt")
    scratch.run("add", "mine.txt")
    since = begin(scratch)
    scratch.hook(
        "pre-commit",
        "git diff --cached --name-only > .git/seen; echo formatted > first.txt; git add first.txt",
    )
    scratch.hook("commit-msg", 'printf "\\nChange-Id: I123\\n" >> "$1"')
    scratch.write("first.txt", "changed\n")

    assert finish(scratch, since, goes_back=lambda _: True).by_hooks == ("first.txt",)
    done = finish(scratch, since, goes_back=lambda _: True)

    assert (scratch.root / ".git/seen").read_text() == "first.txt\n"
    assert scratch.run("show", "HEAD:first.txt") == "formatted"
    assert (scratch.status(), done.by_hooks) == (["A  mine.txt"], ())


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
    judged = judge(empty, since)

    done = finish(empty, since, judged=judged)

    assert (files_of(empty, done.ours), empty.status()) == (["new.txt"], ["?? mine.txt"])
    assert finish(empty, since, judged=judged).ours == done.ours


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


def test_attributes_hide_nothing_from_the_patch(scratch: Scratch) -> None:
    """Those of the files, of the repository and of a person: an agent can write the first two."""
    since = begin(scratch)
    scratch.write(".gitattributes", "*.py -diff\n")
    scratch.write("sub/.gitattributes", "*.py binary\n")
    (scratch.root / ".git/info/attributes").write_text("*.sh -diff\n")
    for name in ("evil.py", "sub/evil.py", "evil.sh"):
        scratch.write(name, f"planted in {name}\n")

    changes = changes_between(scratch.git, since.commit, judge(scratch, since).tree)

    for name in ("evil.py", "sub/evil.py", "evil.sh"):
        assert f"+planted in {name}" in changes.patch
    assert changes.added == 5


@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
def test_what_git_is_told_to_skip_is_seen(scratch: Scratch, how: str) -> None:
    """Changed and deleted files; those that a person hides are that person's uncommitted changes."""
    for name in ("local.txt", "gone.txt"):
        scratch.commit(name)
    scratch.run("update-index", how, "local.txt")
    scratch.write("local.txt", "mine\n")
    since = begin(scratch)
    scratch.run("update-index", how, "first.txt", "gone.txt")
    scratch.write("first.txt", "planted\n")
    (scratch.root / "gone.txt").unlink()

    done = finish(scratch, since)

    assert files_of(scratch, done.ours) == ["first.txt", "gone.txt"]
    assert set(since.dirty) == {"local.txt"}
    assert (scratch.root / "local.txt").read_text() == "mine\n"


@pytest.mark.parametrize(
    "setting", ["core.trustctime=false", "core.checkStat=minimal", "core.ignoreStat=true"]
)
def test_settings_of_an_agent_hide_no_change(scratch: Scratch, setting: str) -> None:
    """The file has its earlier size and time."""
    path = scratch.write("first.txt", "first\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    scratch.run("update-index", "--refresh")
    since = begin(scratch)
    scratch.run("config", *setting.split("="))
    written_at = int(path.stat().st_ctime)
    eventually(lambda: int(time.time()) > written_at, what="git, which counts seconds, can tell them apart")
    scratch.write("first.txt", "other\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))

    assert files_of(scratch, finish(scratch, since).ours) == ["first.txt"]


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
    judged = judge(scratch, since)

    def done() -> CommitResult:
        return final_commit(
            scratch.git,
            scratch.repository,
            since=since,
            judged=judged,
            subject="Grün \u2713",
            body="",
            trailers=odd,
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
        scratch.git,
        scratch.repository,
        since=since,
        judged=judge(scratch, since),
        subject=title,
        body=title,
        trailers=TRAILERS,
    )

    asked = ("log", "-1", "--format=%(trailers:key=Task-Id,valueonly,separator=%x2C)")
    subject = scratch.run("log", "-1", "--format=%s")
    assert done.ours
    assert scratch.run(*asked) == "task-a"
    assert scratch.run("log", "--grep", "Task-Id: task-victim", "--format=%h", "-i") == ""
    assert subject.isprintable()
    assert without_invisible(subject) == subject
