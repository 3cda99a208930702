"""What no commit should hold, in the working tree and in commits of the agent."""

from __future__ import annotations

from task_queue.domain.work.unwanted import CommitRules
from task_queue.git.repository import dirty_paths
from task_queue.git.unwanted import unwanted_commits, unwanted_files
from tests.git.conftest import Scratch

RULES = CommitRules(max_new_file_bytes=2**20)
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"


def fill(scratch: Scratch) -> None:
    scratch.write(".env", "TOKEN=x\n")
    scratch.write("deploy", KEY)
    scratch.write("large.bin", "x" * (2**20 + 1))
    scratch.write("work.txt", "work\n")


def test_files_that_should_not_be_committed_are_named(scratch: Scratch) -> None:
    """Not those that are deleted, and no large file that Git LFS keeps."""
    scratch.commit(".env.local", "A=1\n")
    fill(scratch)
    (scratch.root / ".env.local").unlink()
    scratch.write("kept.psd", "x" * (2**20 + 1))
    scratch.write(".gitattributes", "*.psd filter=lfs\n")

    found = unwanted_files(scratch.git, dirty_paths(scratch.git), RULES)

    assert sorted(found) == [".env", "deploy", "large.bin"]


def test_commits_of_the_agent_are_looked_through(scratch: Scratch) -> None:
    """Also for what a later one of them removes: it is in the history. Not those of the target."""
    since = scratch.run("rev-parse", "HEAD")
    fill(scratch)
    scratch.run("add", "-f", ".")
    scratch.run("commit", "-qm", "All")
    scratch.run("rm", "-q", ".env")
    scratch.run("commit", "-qm", "Without the secret")

    assert sorted(unwanted_commits(scratch.git, since=since, rules=RULES)) == [".env", "deploy", "large.bin"]
    assert unwanted_commits(scratch.git, since=since, but=("HEAD",), rules=RULES) == {}
    assert unwanted_commits(scratch.git, since="HEAD", rules=RULES) == {}
