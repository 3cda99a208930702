"""What an agent does to the owner's repository by path is found and named; with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from tests.acceptance import test_sandbox
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig, MakeRig
from tests.acceptance.rig import Rig
from tests.acceptance.test_checkouts import state_of
from tests.processes import kill
from tests.sampling import short_and_long
from tests.waiting import eventually

BY_PATH = (
    "o={owner}; git -C $o update-ref refs/heads/main main~1; git --git-dir=$o/.git tag -d v1;"
    " git -C $o config user.name Forged; cp /bin/true $o/.git/hooks/pre-commit; git -C $o stash apply -q;"
    " git -C $o stash drop -q; git -C $o tag mine"
)
"""The thirteenth hostile command: the others name no repository."""


def prepared(rig: Rig) -> Path:
    """Two commits, a tag, a stash; the documents of the queue are ignored."""
    repository = a_repository(rig)
    (repository / "second.txt").write_text("second\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Second")
    git(repository, "tag", "v1")
    (repository / "first.txt").write_text("mine\n")
    git(repository, "stash")
    return repository


def worked(
    make: MakeAgentRig, command: str, **more: Any
) -> tuple[AgentRig, Path, dict[str, object], dict[str, Any], TwoAgents]:
    """One line of work, and then *command*, in which ``{owner}`` is the owner's repository."""
    script = TwoAgents(verdict("pass"))
    rig = make(script, **audited(isolation="worktree", **more))
    repository = prepared(rig)
    script.work = f"echo round >> work.txt; {command.format(owner=repository)}"
    before = state_of(repository)
    rig.start()
    rig.ask("task-a", "# Write a line")
    return rig, repository, before, rig.result("task-a", timeout=SLOW), script


def needs(result: dict[str, Any]) -> list[str]:
    return [each["sentence"] for each in result["attention"] if each["kind"] == "repository_changed"]


def said(result: dict[str, Any]) -> str:
    return "\n".join(result["notes"])


def test_what_an_agent_does_by_path_is_found_and_named(make_agent_rig: MakeAgentRig) -> None:
    """In the result, the report, the list of what needs a person, and to the auditor; the command settles it."""
    rig, repository, _, result, script = worked(make_agent_rig, BY_PATH)

    assert result["outcome"] == "succeeded", result
    assert len(needs(result)) == 1
    for found in (
        "refs/heads/main is no longer at or after ",
        "refs/tags/v1, which was at ",
        "the configuration of git was changed: user.name",
        "hooks were changed: pre-commit",
        "the stash was changed",
        "refs are new: refs/tags/mine",
        "uncommitted files: ",
    ):
        assert found in said(result)
        assert found in script.audits[0]
        assert found in (rig.queue() / "reports/task-a.md").read_text().replace("\\", "")
    assert "in your repository" in rig.cli("tasks", "show", "task-a").stdout
    (command,) = (each["command"] for each in result["attention"] if each["kind"] == "repository_changed")
    subprocess.run(["sh", "-c", command], check=True, cwd="/")
    assert git(repository, "log", "-1", "--format=%s", "main") == "Second"


@pytest.mark.long
def test_an_edit_of_the_main_checkout_is_named_and_needs_no_person(make_agent_rig: MakeAgentRig) -> None:
    _, repository, _, result, _ = worked(make_agent_rig, "o={owner}; cp work.txt $o/beside.txt")

    assert (
        f"changed meanwhile in {repository}, by the agent or by you: uncommitted files: beside.txt"
        in (result["notes"])
    )
    assert not needs(result)


@pytest.mark.long
def test_what_the_queue_itself_changes_is_no_change(make_agent_rig: MakeAgentRig) -> None:
    """A task lands before the agent works, and one of another source while it does: neither is named."""
    script = TwoAgents(verdict("pass"), verdict("pass"))
    rig = make_agent_rig(
        script,
        sources=("a", "b"),
        **audited(isolation="worktree", landing="merge"),
        account={"max_parallel": 2},
    )
    repository = prepared(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    first = rig.result("task-a", timeout=SLOW)
    go = rig.home / "go"
    script.work = f"touch {rig.home}/works; while [ ! -e {go} ]; do sleep 0.05; done; echo round >> more.txt"
    rig.ask("task-b", "# Write a line")
    eventually((rig.home / "works").exists, timeout=SLOW, what="the agent works")
    rig.drop_command("task-c", "echo beside > beside.txt", source="b", workflow="single")
    beside = rig.result("task-c", source="b", timeout=SLOW)
    go.touch()
    second = rig.result("task-b", timeout=SLOW)

    assert beside["landing"]["state"] == second["landing"]["state"] == "landed"
    assert git(repository, "ls-tree", "--name-only", "main", "beside.txt", "more.txt").split() == [
        "beside.txt",
        "more.txt",
    ]

    assert [result["notes"] for result in (first, second)] == [[], []]
    assert [result["attention"] for result in (first, second)] == [[], []]


@pytest.mark.long
def test_it_is_found_after_everything_was_killed(make_agent_rig: MakeAgentRig) -> None:
    """What was there before is on disk: the next attempt compares with it, not with what it finds."""

    def script(request: Request) -> Reply:
        if just_ran(request) or request.turn > 1:
            return Say("done")
        return bash("sh hostile.sh")

    rig = make_agent_rig(script, defaults={"workflow": "single", "isolation": "worktree"})
    hostile = f"{BY_PATH.format(owner=rig.workspace)}; echo start >> log; sleep 600\n"
    (rig.workspace / "hostile.sh").write_text(hostile)
    prepared(rig)
    daemon = rig.start()
    rig.ask("task-a", "# Write a line", max_attempts=2, retry_delay="0.1s")
    (tree,) = _trees(rig)
    rig.started(str(tree / "log"))
    pid = rig.run_record("task-a")["pid"]
    kill(daemon.pid)
    kill(pid)
    rig.start()

    result = rig.result("task-a", timeout=SLOW)

    assert [len(needs(result)), "refs/heads/main is no longer at or after " in said(result)] == [1, True]


def test_an_agent_killed_in_its_last_attempt(make_agent_rig: MakeAgentRig) -> None:
    """No next attempt could say it: the daemon compares, and names it in the task's own result."""

    def script(request: Request) -> Reply:
        return Say("done") if just_ran(request) else bash("sh hostile.sh")

    rig = make_agent_rig(script, defaults={"workflow": "single", "isolation": "worktree"})
    hostile = f"{BY_PATH.format(owner=rig.workspace)}; echo start >> log; sleep 600\n"
    (rig.workspace / "hostile.sh").write_text(hostile)
    prepared(rig)
    rig.start()
    rig.ask("task-a", "# Write a line", max_attempts=1)
    (tree,) = _trees(rig)
    rig.started(str(tree / "log"))
    kill(rig.run_record("task-a")["pid"])

    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["dead_letter"]) == ("crashed", True)
    assert [len(needs(result)), "refs/heads/main is no longer at or after " in said(result)] == [1, True]
    assert "hooks were changed: pre-commit" in said(result)


@pytest.mark.parametrize(
    ("isolation", "ends"),
    short_and_long(
        [("worktree", "true"), ("none", "kill -9 $PPID")],
        [("none", "true"), ("none", "false"), ("worktree", "false"), ("worktree", "kill -9 $PPID")],
    ),
)
def test_what_a_configured_command_does_is_named(make_rig: MakeRig, isolation: str, ends: str) -> None:
    """Also in place, also where it fails, and also where its runner is killed."""
    rig = make_rig(defaults={"workflow": "single", "isolation": isolation, "max_attempts": 1})
    repository = prepared(rig)
    rig.start()
    rig.drop_command("task-a", f"{BY_PATH.format(owner=repository)}; {ends}")

    result = rig.result("task-a", timeout=SLOW)

    assert result["success"] == (ends == "true")
    assert len(needs(result)) == 1
    for found in (
        *(
            "refs/heads/main is no longer at or after ",
            "refs/tags/v1, which was at ",
            "the stash was changed",
        ),
        *("hooks were changed: pre-commit", "refs are new: refs/tags/mine"),
    ):
        assert found in said(result)


def test_a_command_in_place_that_changes_only_files_changes_nothing_else(make_rig: MakeRig) -> None:
    rig = make_rig()
    prepared(rig)
    rig.start()
    rig.drop_command("task-a", "echo line >> work.txt; git add work.txt; git commit -qm Work")

    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["notes"], result["attention"]) == ("succeeded", [], [])


@pytest.mark.long
def test_what_the_checks_of_a_landing_change_is_named(make_rig: MakeRig) -> None:
    """They run what the task wrote, on the merge: in the task itself, and when its branch lands later."""
    rig = make_rig(
        defaults={"workflow": "single", "isolation": "worktree", "landing": "merge"}, sweep_seconds=1
    )
    repository = prepared(rig)
    hooks = repository / ".git/hooks"
    check = f"test ! -e {{}} || cp /bin/true {hooks}/$(cat which)"
    go = rig.home / "go"
    waits = f"touch {rig.home}/works; while [ ! -e {go} ]; do sleep 0.05; done"
    rig.start()
    rig.drop_command(
        "task-a", f"{waits}; echo post-commit > which", verify=json.dumps(check.format("other.txt"))
    )
    eventually((rig.home / "works").exists, timeout=SLOW, what="the task works")
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-qm", "Other")
    go.touch()
    landed = rig.result("task-a", timeout=SLOW)
    (repository / "second.txt").write_text("mine\n")
    rig.drop_command(
        "task-b",
        "echo post-rewrite > which; echo b >> second.txt",
        verify=json.dumps(check.format("more.txt")),
    )
    left = rig.result("task-b", timeout=SLOW)
    (repository / "more.txt").write_text("more\n")
    git(repository, "add", "more.txt")
    git(repository, "commit", "-qm", "More", "more.txt")
    git(repository, "restore", "second.txt")
    later = eventually(
        lambda: [r for r in [_now(rig, "task-b")] if r["landing"]["state"] == "landed"],
        timeout=SLOW,
        what="it lands",
    )

    assert landed["landing"]["state"] == "landed", landed
    assert ["hooks were changed: post-commit" in each for each in needs(landed)] == [True]
    assert (left["landing"]["state"], needs(left)) == ("waiting", [])
    assert ["hooks were changed: post-rewrite" in each for each in needs(later[0])] == [True]


def _now(rig: Rig, task_id: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((rig.queue() / f"results/{task_id}.json").read_text())
    return result


def _trees(rig: AgentRig) -> list[Path]:
    return eventually(
        lambda: list(rig.home.glob(".local/share/task-queue/worktrees/*/a/task-a")),
        what="there is a checkout",
    )


def test_the_main_checkout_is_closed_to_file_tools(make_agent_rig: MakeAgentRig) -> None:
    """Reading it stays possible; writing in the checkout does, too."""

    def script(request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("that is my verdict")
        if request.turn == 1:
            return UseTool("Write", {"file_path": str(rigs[0].workspace / "beside.txt"), "content": "x\n"})
        if request.turn == 2:
            return UseTool("Read", {"file_path": str(rigs[0].workspace / "second.txt")})
        if request.turn == 3:
            (tree,) = _trees(rigs[0])
            return UseTool("Write", {"file_path": str(tree / "work.txt"), "content": "round\n"})
        return Say("done")

    rigs: list[AgentRig] = []
    rig = make_agent_rig(script, **audited(isolation="worktree"))
    rigs.append(rig)
    repository = prepared(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert [denial["tool_name"] for denial in result["permission_denials"]] == ["Write"]
    assert not (repository / "beside.txt").exists()
    assert git(repository, "show", "task-queue/task-a:work.txt") == "round"


@pytest.mark.long
def test_authors_and_trailers_that_the_agent_forged_are_named(make_agent_rig: MakeAgentRig) -> None:
    """Its commit is not taken for the queue's, which is made on top."""
    work = (
        "git add .; git -c user.name=Forged commit -qm 'Mine\n\nTask-Id: task-a\nTask-Queue-Attempt: 1';"
        " echo more > more.txt"
    )
    _, repository, _, result, _ = worked(make_agent_rig, work)

    own, ours = result["commits"]
    assert git(repository, "log", "--format=%an", own).splitlines()[0] == "Forged"
    for doubt in (
        f"the agent's commit {own[:12]} has another author than configured: Forged <test@example.org>",
        f"the agent's commit {own[:12]} has another committer than configured: Forged <test@example.org>",
        f"the agent's commit {own[:12]} carries what only the queue writes: Task-Id: task-a",
    ):
        assert doubt in said(result)
    assert git(repository, "show", "--format=", "--name-only", ours) == "more.txt"
    assert "Task-Queue-Cost" in git(repository, "log", "-1", "--format=%B", ours)


@pytest.mark.skipif(test_sandbox.WHY_NOT is not None, reason=str(test_sandbox.WHY_NOT))
def test_sandboxed_it_cannot_be_done(make_agent_rig: MakeAgentRig) -> None:
    """The same commands leave the owner's repository as it was."""
    _, repository, before, result, _ = worked(make_agent_rig, BY_PATH, permissions="sandboxed")

    assert result["outcome"] == "succeeded", result
    assert state_of(repository) == before
    assert not needs(result)
    assert git(repository, "show", "task-queue/task-a:work.txt") == "round"
