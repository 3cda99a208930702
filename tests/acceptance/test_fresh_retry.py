"""``tasks retry --fresh``: from what is checked out now, in a new session; the earlier work is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long


def needs_main(request: Request) -> Reply:
    """The work is good where it could begin on what main has got meanwhile."""
    if audits(request):
        good = "of main" in request.first_text
        return (verdict("pass") if good else verdict("fail", "no")) if request.turn == 1 else Say("done")
    if just_ran(request):
        return Say("done")
    return bash("echo mine >> notes; cat first.txt notes > work.txt")


def rejected(make_agent_rig: MakeAgentRig) -> tuple[AgentRig, Path]:
    """The task has failed, and main is further now."""
    settings = audited(isolation="worktree", landing="merge", max_iterations=1)
    rig = make_agent_rig(needs_main, **settings)
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write it down")
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "audit_rejected"
    (repository / "first.txt").write_text("of main\n")
    git(repository, "commit", "-qam", "Further")
    return rig, repository


@pytest.mark.parametrize("fresh", short_and_long([True], [False]))
def test_a_fresh_retry_begins_on_what_is_checked_out(make_agent_rig: MakeAgentRig, *, fresh: bool) -> None:
    """An ordinary one goes on in its checkout, with what the earlier attempt left."""
    rig, repository = rejected(make_agent_rig)
    rig.cli("tasks", "retry", "task-a", *(["--fresh"] if fresh else []), check=True)
    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == ("succeeded" if fresh else "audit_rejected")
    if fresh:
        assert (result["branch"], result["base_commit"]) == (
            "task-queue/task-a-2",
            git(repository, "rev-parse", "HEAD^"),
        )
        assert (repository / "work.txt").read_text() == "of main\nmine\n"
        assert (repository / "notes").read_text() == "mine\n"
        assert git(repository, "show", "refs/task-queue/task-a/given-up:work.txt") == "first\nmine"
        assert any("uncommitted files are kept on" in note for note in result["notes"])
        assert git(repository, "rev-parse", "--verify", "refs/heads/task-queue/task-a")
