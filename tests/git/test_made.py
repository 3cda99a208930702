"""Which uncommitted files are the work of no agent."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import Checkpoint, checkpoint, snapshot_now
from task_queue.git.exclude import hide_made
from task_queue.git.made import begin_making, dirty_work, end_making, finish_cut_off, forget_made
from task_queue.git.snapshot import steps_between
from tests.git.conftest import Scratch, commit_now
from tests.git.test_repository import ODD_NAMES

TASK = TaskId("task-a")
Command = Callable[[], object]


def begin(scratch: Scratch) -> Checkpoint:
    return checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=1)


def run(scratch: Scratch, since: Checkpoint, command: Command) -> None:
    """A command of the owner's, as the runner surrounds it."""
    now = snapshot_now(scratch.git, scratch.repository, since=since)
    begin_making(scratch.repository, TASK, before=now.tree, since=since.commit)
    command()
    end_making(scratch.git, scratch.repository, TASK)


def changed(scratch: Scratch, since: Checkpoint) -> list[str]:
    now = snapshot_now(scratch.git, scratch.repository, since=since)
    return [step.path for step in steps_between(scratch.git, since.commit, now.tree)]


def test_what_a_command_makes_changes_and_deletes_is_not_work(scratch: Scratch) -> None:
    """Links, executables, an empty file, odd names and a repository, too."""
    scratch.commit("old.txt")
    scratch.commit("kept.txt")
    since = begin(scratch)

    def command() -> None:
        scratch.write("made/file.txt")
        scratch.write("made/empty", "")
        scratch.write("made/run").chmod(0o755)
        (scratch.root / "made/link").symlink_to("file.txt")
        (scratch.root / "made/dangling").symlink_to("/nowhere")
        for name in ODD_NAMES:
            scratch.write(f"odd-{name}")
        scratch.run("init", "-q", "inner")
        scratch.write("inner/file")
        scratch.write("first.txt", "changed\n")
        (scratch.root / "old.txt").unlink()

    run(scratch, since, command)

    assert changed(scratch, since) == []
    assert dirty_work(scratch.git, scratch.repository.git_dir) == ()
    scratch.write("work.txt")
    scratch.write("made/mine.txt")
    (scratch.root / "kept.txt").unlink()
    assert changed(scratch, since) == ["kept.txt", "made/mine.txt", "work.txt"]


def test_an_agent_that_commits_everything_commits_none_of_it(scratch: Scratch) -> None:
    """A tracked file that was changed, one that was deleted: the queue's commit takes them back. Its own stay."""
    scratch.commit("old.txt")
    scratch.commit("touched.txt")
    scratch.commit("mine.txt")
    since = begin(scratch)

    def command() -> None:
        scratch.write("first.txt", "changed\n")
        scratch.write("touched.txt", "changed\n")
        (scratch.root / "old.txt").unlink()

    run(scratch, since, command)
    scratch.write("mine.txt", "mine\n")
    scratch.write("touched.txt", "changed\nmine\n")
    scratch.run("commit", "-qam", "Everything")
    own = changed(scratch, since)
    scratch.write("late.txt")
    made = commit_now(scratch.git, scratch.repository, since, TASK)

    assert own == ["mine.txt", "touched.txt"]
    assert sorted(made.paths) == ["first.txt", "late.txt", "old.txt"]
    assert scratch.run("diff", "--name-only", str(since.base), "HEAD").split() == [
        "late.txt",
        "mine.txt",
        "touched.txt",
    ]
    assert dirty_work(scratch.git, scratch.repository.git_dir) == ()
    assert changed(scratch, since) == ["late.txt", "mine.txt", "touched.txt"]


def test_what_an_agent_commits_and_takes_back_is_in_no_result(scratch: Scratch) -> None:
    """The files that were judged are those that the branch ends with."""
    since = begin(scratch)
    scratch.write("first.txt", "mine\n")
    scratch.run("commit", "-qam", "Mine")
    scratch.run("checkout", "HEAD~", "--", "first.txt")
    scratch.run("reset", "-q")
    made = commit_now(scratch.git, scratch.repository, since, TASK)

    assert (len(made.all), scratch.run("diff", "--name-only", str(since.base), "HEAD")) == (2, "")


@pytest.mark.parametrize("path", ["made.txt", "first.txt"])
def test_a_later_change_counts_until_it_is_taken_back(scratch: Scratch, path: str) -> None:
    since = begin(scratch)
    run(scratch, since, lambda: scratch.write(path, "made\n"))

    scratch.write(path, "mine\n")
    mine = changed(scratch, since)
    scratch.write(path, "made\n")

    assert (mine, changed(scratch, since)) == ([path], [])


def test_a_file_that_was_only_touched_is_as_it_was(scratch: Scratch) -> None:
    since = begin(scratch)
    run(scratch, since, lambda: scratch.write("made.txt"))

    os.utime(scratch.root / "made.txt", (1, 1))

    assert changed(scratch, since) == []


def test_a_deleted_file_is_no_change_and_a_deleted_tracked_one_is(scratch: Scratch) -> None:
    """Of the two that a command wrote, the first was there before."""
    since = begin(scratch)
    run(scratch, since, lambda: (scratch.write("made.txt"), scratch.write("first.txt", "made\n")))

    (scratch.root / "made.txt").unlink()
    (scratch.root / "first.txt").unlink()

    assert changed(scratch, since) == ["first.txt"]


def test_what_the_task_had_changed_stays_its_own(scratch: Scratch) -> None:
    """Where a command writes it again; and what an earlier command made and the next makes anew is the commands'."""
    since = begin(scratch)
    run(scratch, since, lambda: scratch.write("report.txt", "1\n"))
    scratch.write("first.txt", "mine\n")

    run(
        scratch,
        since,
        lambda: (scratch.write("first.txt", "mine, formatted\n"), scratch.write("report.txt", "2\n")),
    )

    assert changed(scratch, since) == ["first.txt"]


def test_a_persons_uncommitted_file_that_a_command_changes_is_no_change_of_the_tasks(
    scratch: Scratch,
) -> None:
    scratch.write("first.txt", "a person's\n")
    since = begin(scratch)

    run(scratch, since, lambda: scratch.write("first.txt", "a command's\n"))

    assert changed(scratch, since) == []


def test_what_a_killed_command_had_made_is_found_later(scratch: Scratch) -> None:
    """Its runner is dead; until then it is not judged."""
    since = begin(scratch)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        begin_making(scratch.repository, TASK, before=since.commit, since=since.commit)
        scratch.write("made.txt")
        os.write(writer, b"x")
        os._exit(0)
    os.read(reader, 1)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)

    before = changed(scratch, since)
    finish_cut_off(scratch.git, scratch.repository)

    assert (before, changed(scratch, since)) == (["made.txt"], [])


def test_once_the_task_has_ended_they_are_files_like_any_other(scratch: Scratch) -> None:
    since = begin(scratch)
    run(scratch, since, lambda: scratch.write("made.txt"))

    forget_made(scratch.repository, TASK)

    assert checkpoint(scratch.git, scratch.repository, task_id=TASK, attempt=2).others_paths == {"made.txt"}
    assert not list((scratch.root / ".git/task-queue-made").iterdir())


@pytest.mark.parametrize(
    "path",
    [
        *(
            "pkg/__pycache__/a.cpython-311.pyc",
            "a.pyc",
            ".coverage",
            ".coverage.host.1",
            "web/node_modules/x/y.js",
        ),
        *(".venv/bin/tool", "pkg.egg-info/PKG-INFO", "any/pyvenv.cfg", "any/lib/x.py", "target/CACHEDIR.TAG"),
    ],
)
def test_by_products_of_tools_are_not_work(scratch: Scratch, path: str) -> None:
    since = begin(scratch)
    if path.startswith("any/"):
        scratch.write("any/pyvenv.cfg")

    scratch.write(path)

    assert changed(scratch, since) == []


def test_what_the_repository_keeps_of_that_name_is_work(scratch: Scratch) -> None:
    """A vendored node_modules gets another file; and a marker in the root makes no by-product of everything."""
    scratch.commit("node_modules/kept/index.js")
    since = begin(scratch)

    scratch.write("node_modules/new/index.js")
    scratch.write("pyvenv.cfg")
    scratch.write("coverage.txt")

    assert changed(scratch, since) == ["coverage.txt", "node_modules/new/index.js", "pyvenv.cfg"]


def test_git_add_in_the_checkout_leaves_out_what_was_made(scratch: Scratch) -> None:
    """By few patterns: a folder of nothing else is one. A link in the place of the folder is not followed."""
    scratch.commit("src/a.txt")
    since = begin(scratch)
    names = ("env/a", "env/b/c", "src/made.txt", "odd [x]*.txt")
    run(scratch, since, lambda: [scratch.write(name) for name in names])
    scratch.write("work.txt")

    hide_made(scratch.git, scratch.repository.git_dir)
    hide_made(scratch.git, scratch.repository.git_dir)

    assert scratch.status() == ["?? work.txt"]
    lines = (scratch.root / ".git/info/exclude").read_text().splitlines()
    assert lines.count("/env/") == lines.count("/src/made.txt") == 1
    assert "/env/a" not in lines
    (scratch.root / ".git/info").rename(scratch.root.parent / "elsewhere")
    (scratch.root / ".git/info").symlink_to(scratch.root.parent / "elsewhere")
    scratch.write("more.txt")
    run(scratch, since, lambda: scratch.write("later.txt"))
    hide_made(scratch.git, scratch.repository.git_dir)
    assert "/later.txt" not in (scratch.root.parent / "elsewhere/exclude").read_text()
