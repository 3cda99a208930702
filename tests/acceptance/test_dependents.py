"""A dependent begins with what its dependencies committed, whether that has landed or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually


def what_it_says(request: Request) -> Reply:
    """The task's second line is what it runs."""
    if audits(request):
        return verdict("pass") if request.turn == 1 else Say("done")
    if just_ran(request):
        return Say("done")
    command = next(line for line in request.first_text.splitlines() if line.startswith("RUN: "))
    return bash(command.removeprefix("RUN: "))


def a_rig(make_agent_rig: MakeAgentRig, **more: object) -> tuple[AgentRig, Path]:
    settings = audited(**{"isolation": "worktree", "landing": "merge", "retry_delay": "1s", **more})
    rig = make_agent_rig(what_it_says, sources=("a", "b"), sweep_seconds=1, **settings)
    return rig, a_repository(rig)


def test_a_dependent_of_a_branch_that_did_not_land_has_its_commits(make_agent_rig: MakeAgentRig) -> None:
    """It lands after it, and not before, whatever its own merge would say."""
    rig, repository = a_rig(make_agent_rig)
    (repository / "first.txt").write_text("mine\n")
    rig.start()
    rig.ask("task-a", "# A\nRUN: echo work >> first.txt")
    rig.ask("task-b", "# B\nRUN: tail -1 first.txt > second.txt", source="b", depends_on="[task-a]")
    first = rig.result("task-a", timeout=SLOW)
    second = rig.result("task-b", source="b", timeout=SLOW)

    assert (first["landing"]["state"], second["landing"]["state"]) == ("waiting", "waiting")
    assert second["outcome"] == "succeeded"
    assert "it builds on task-a, whose commits are not in main yet" in second["landed"]
    assert len(second["commits"]) == 1
    assert git(repository, "show", "task-queue/task-b:second.txt") == "work"
    git(repository, "restore", "first.txt")
    eventually((repository / "second.txt").exists, timeout=SLOW, what="both land")
    assert (repository / "first.txt").read_text() == "first\nwork\n"


@pytest.mark.long
def test_a_dependent_that_cannot_have_them_waits_and_says_why(make_agent_rig: MakeAgentRig) -> None:
    rig, repository = a_rig(make_agent_rig, landing="branch")
    rig.start()
    rig.ask("task-a", "# A\nRUN: echo work > first.txt")
    rig.result("task-a", timeout=SLOW)
    (repository / "first.txt").write_text("of main\n")
    git(repository, "commit", "-qam", "Otherwise")
    rig.ask("task-b", "# B\nRUN: cat first.txt > second.txt", source="b", depends_on="[task-a]")

    def waits() -> bool:
        shown = " ".join(rig.cli("tasks", "show", "task-b").stdout.split())
        return "it depends on task-a, whose commits do not merge" in shown

    eventually(waits, timeout=SLOW, what="it says why it waits")
    git(repository, "merge", "-q", "-X", "theirs", "--no-edit", "task-queue/task-a")
    second = rig.result("task-b", source="b", timeout=SLOW)

    assert second["outcome"] == "succeeded"
    assert [attempt["counted"] for attempt in second["attempts"]][-2:] == [False, True]
    assert git(repository, "show", "task-queue/task-b:second.txt") == "work"


@pytest.mark.long
def test_a_dependent_in_place_waits_for_what_is_checked_out(make_agent_rig: MakeAgentRig) -> None:
    rig, repository = a_rig(make_agent_rig, landing="branch")
    rig.start()
    rig.ask("task-a", "# A\nRUN: echo work > new.txt")
    rig.result("task-a", timeout=SLOW)
    rig.ask("task-b", "# B\nRUN: cat new.txt > second.txt", depends_on="[task-a]", isolation="none")

    def waits() -> bool:
        shown = " ".join(rig.cli("tasks", "show", "task-b").stdout.split())
        return "whose commits are not in what is checked out" in shown

    eventually(waits, timeout=SLOW, what="it says why it waits")
    assert rig.cli("tasks", "land", "task-a").returncode == 0
    assert rig.result("task-b", timeout=SLOW)["outcome"] == "succeeded"
    assert (repository / "second.txt").read_text() == "work\n"
