"""Repositories and tasks that are out of the ordinary, with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from task_queue.config.locations import locate
from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long
from tests.waiting import eventually

WORKTREE = {"isolation": "worktree", "landing": "merge"}


def work_on(rig: AgentRig, text: str = "# Write a line", **keys: Any) -> dict[str, Any]:
    """The result of a task."""
    rig.start()
    rig.ask("task-a", text, **keys)
    return rig.result("task-a", timeout=SLOW)


def waits(rig: AgentRig) -> str:
    """Hand in a task that cannot be worked on yet; why, once it was given back."""
    rig.start()
    rig.ask("task-a", "# Write a line")
    journal = rig.pending() / ".task-a.attempts.json"
    eventually(journal.exists, timeout=SLOW, what=f"the task is given back; {rig.errors()}")
    first = json.loads(journal.read_text())["attempts"][0]
    assert (first["outcome"], first["counted"]) == ("unavailable", False)
    return str(first["reason"])


def test_names_and_contents_that_are_no_text(make_agent_rig: MakeAgentRig) -> None:
    """A person's file that the task changed, a test that it added, and a diff: none of them valid UTF-8."""
    work = r"""printf 'more \351\n' >> caf*; mkdir tests; printf 'x \351\n' > "$(printf 'tests/t\351')" """
    script = TwoAgents(verdict("pass"), work=work)
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    (repository / os.fsdecode(b"caf\xe9")).write_bytes(b"mine \xe9\n")
    rig.start()
    rig.ask("task-a", "# Write odd names")

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "succeeded"
    assert any("caf\\udce9" in note for note in result["notes"])
    assert result["changed_judges"] == ["tests/t\\udce9 (added)"]
    assert "mine \ufffd" in script.audits[0]
    assert git(repository, "status", "--porcelain") == r'?? "caf\351"'


@pytest.mark.long
def test_a_detached_head(make_agent_rig: MakeAgentRig) -> None:
    """In place the commit is on no branch, and listed; nothing is to be merged."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited())
    repository = a_repository(rig)
    git(repository, "checkout", "-q", "--detach")

    result = work_on(rig)
    assert (result["outcome"], result["branch"]) == ("succeeded", None)
    assert result["commits"] == [git(repository, "rev-parse", "HEAD")]
    assert git(repository, "rev-list", "--count", "main") == "1"


def test_a_detached_head_with_a_working_tree(make_agent_rig: MakeAgentRig) -> None:
    """There is nothing to merge into: the branch is left, and the result says so."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(**WORKTREE))
    repository = a_repository(rig)
    git(repository, "checkout", "-q", "--detach")

    result = work_on(rig)
    assert result["outcome"] == "succeeded"
    assert "no branch checked out" in result["landed"]
    assert git(repository, "show", "task-queue/task-a:work.txt") == "round"


@pytest.mark.parametrize("isolation", short_and_long(["worktree"], ["none"]))
def test_no_commit_yet(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    """The task's commit is the first, made in place."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(isolation=isolation, landing="merge"))
    a_repository(rig)
    git(rig.workspace, "update-ref", "-d", "HEAD")

    result = work_on(rig)
    assert (result["outcome"], result["isolation"]) == ("succeeded", "none")
    assert git(rig.workspace, "rev-list", "--count", "HEAD") == "1"
    assert git(rig.workspace, "show", "--name-only", "--format=", "HEAD") == "work.txt"


@pytest.mark.long
def test_a_submodule(make_agent_rig: MakeAgentRig) -> None:
    """What the task changes inside is in no commit of ours, and is named; the auditor is told, too."""
    script = TwoAgents(verdict("pass"), work="echo round >> work.txt; echo more >> sub/first.txt")
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    other = rig.home / "other"
    git(rig.home, "clone", "-q", str(repository), str(other))
    allowed = ("-c", "protocol.file.allow=always")
    git(repository, *allowed, "submodule", "--quiet", "add", str(other), "sub")
    git(repository, "commit", "-qm", "Add a submodule")

    result = work_on(rig)
    assert git(repository, "show", "--name-only", "--format=", "HEAD") == "work.txt"
    assert "not in the commit: sub, uncommitted changes inside a submodule" in result["notes"]
    assert "sub (uncommitted changes inside a submodule)" in script.audits[0]
    assert (repository / "sub/first.txt").read_text() == "first\nmore\n"


@pytest.mark.parametrize(
    ("mark", "operation"),
    short_and_long([("MERGE_HEAD", "merge")], [("rebase-merge", "rebase"), ("index.lock", "locked")]),
)
def test_a_repository_that_is_not_ready(make_agent_rig: MakeAgentRig, mark: str, operation: str) -> None:
    """The task waits, uncounted, and says so; it goes on by itself once nothing is in the way."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(retry_delay="1s"))
    repository = a_repository(rig)
    in_the_way = repository / ".git" / mark
    in_the_way.write_text(git(repository, "rev-parse", "HEAD") + "\n")

    said = waits(rig)
    in_the_way.unlink()

    assert operation in said
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "succeeded"


def test_a_set_up_that_fails(make_agent_rig: MakeAgentRig) -> None:
    """The task waits, with the end of the output; once the set-up works it goes on."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(retry_delay="1s", **WORKTREE))
    a_repository(rig)
    document = json.loads(rig.config.read_text())
    document["task_source_directories"][0]["setup"] = [f"test -e {rig.home}/network"]
    rig.config.write_text(json.dumps(document))

    said = waits(rig)
    (rig.home / "network").touch()

    assert "set-up command failed with exit code 1: test -e" in said
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "succeeded"


@pytest.mark.long
def test_a_directory_that_is_there_already(make_agent_rig: MakeAgentRig) -> None:
    """Where the task's working tree would be made: it waits until somebody moves that away."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(retry_delay="1s", **WORKTREE))
    a_repository(rig)
    theirs = locate(rig.config, environ=rig.environment).worktrees / "a" / "task-a"
    theirs.mkdir(parents=True)
    (theirs / "precious.txt").touch()

    said = waits(rig)
    assert "is there already" in said
    assert (theirs / "precious.txt").exists()
    theirs.rename(rig.home / "moved away")
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "succeeded"


@pytest.mark.long
def test_a_branch_name_that_is_taken(make_agent_rig: MakeAgentRig) -> None:
    """A number is added; whatever the other branch holds stays."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(isolation="worktree"))
    repository = a_repository(rig)
    git(repository, "branch", "task-queue/task-a")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Later")

    result = work_on(rig)
    assert result["branch"] == "task-queue/task-a-2"
    assert git(repository, "show", "task-queue/task-a-2:work.txt") == "round"
    assert git(repository, "log", "-1", "--format=%s", "task-queue/task-a") == "First"


def test_a_hook_that_refuses(make_agent_rig: MakeAgentRig) -> None:
    """Nothing is committed, the files stay, and the result says what the hook said."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited())
    repository = a_repository(rig)
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'line 3 is too long'\nexit 1\n")
    hook.chmod(0o700)

    result = work_on(rig)
    assert result["commits"] == []
    assert any("git refused it: line 3 is too long" in note for note in result["notes"])
    assert git(repository, "status", "--porcelain") == "?? work.txt"


@pytest.mark.long
def test_changes_too_large_to_be_read(make_agent_rig: MakeAgentRig) -> None:
    """A binary file of 100 MB, a line of 2 MB, a long patch, a file that is not even kept: told, not shown."""
    work = (
        "head -c 100000000 /dev/zero > changed.bin; head -c 2000000 /dev/zero | tr '\\0' x > line.txt;"
        " seq 100000 > long.txt; truncate -s 101M beyond.bin"
    )
    script = TwoAgents(verdict("pass"), work=work)
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    (repository / "changed.bin").write_bytes(b"\0")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A binary file")

    result = work_on(rig)
    (told,) = script.audits
    assert result["outcome"] == "succeeded"
    assert len(told) < 250_000
    assert "Binary files a/changed.bin and b/changed.bin differ" in told
    assert "Binary files /dev/null and b/line.txt differ" in told
    assert "The patch is cut" in told
    assert "beyond.bin (a new file larger than git.max_new_file_mb (2 MiB))" in told
    assert any("not in the commit: beyond.bin" in note for note in result["notes"])


def test_a_verification_command_that_is_not_there(make_agent_rig: MakeAgentRig) -> None:
    """It failed, and the implementer hears of it."""
    script = TwoAgents()
    rig = make_agent_rig(script, **audited(max_iterations=2))
    a_repository(rig)

    result = work_on(rig, verify="no-such-program --check")
    assert result["outcome"] == "verify_failed"
    assert "could not be started: command not found" in script.told[1]


@pytest.mark.long
def test_a_verification_that_never_ends(make_agent_rig: MakeAgentRig) -> None:
    """It is ended with all that it started when the attempt's time is over."""
    rig = make_agent_rig(TwoAgents(), **audited(max_attempts=1))
    a_repository(rig)

    result = work_on(rig, verify="'sleep 1000 & sleep 2000'", timeout="25s")
    assert (result["outcome"], result["dead_letter"]) == ("timed_out", True)
    assert "before the verification had ended" in result["error"]
    assert rig.marked() == []


def test_an_auditor_without_a_verdict(make_agent_rig: MakeAgentRig) -> None:
    """Its prose counts for nothing: it is asked once more, then the work is rejected."""

    def script(request: Request) -> Reply:
        if audits(request):
            return Say("I like it. Pass!")
        return Say("I did it") if just_ran(request) else bash("echo round >> work.txt")

    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)

    result = work_on(rig)
    assert (result["outcome"], result["commits"]) == ("audit_rejected", [])
    assert [each["verdict"] for each in result["audit"]["rounds"]] == ["void", "void"]
    assert git(repository, "rev-list", "--count", "HEAD") == "1"


def test_two_sources_in_one_workspace_are_told(make_agent_rig: MakeAgentRig) -> None:
    """By ``status`` and ``doctor``, until one of them isolates its tasks; also through a link."""
    rig = make_agent_rig(TwoAgents(), sources=("a", "b"), **audited())
    link = rig.home / "link"
    link.symlink_to(rig.workspace)
    document = json.loads(rig.config.read_text())
    document["task_source_directories"][1]["project_workspace"] = str(link)
    rig.config.write_text(json.dumps(document))
    rig.start()
    for command in ("status", "doctor"):
        said = " ".join(rig.cli(command).stdout.split())
        assert "agents of a, b may edit" in said
        assert "isolation: worktree in the configuration's defaults" in said

    document["task_source_directories"][1]["defaults"] = {"isolation": "worktree"}
    rig.config.write_text(json.dumps(document))
    eventually(
        lambda: not rig.state()["warnings"] or "sources" not in str(rig.state()["warnings"]), what="told"
    )
    for command in ("status", "doctor"):
        assert "the sources a, b" not in rig.cli(command).stdout
