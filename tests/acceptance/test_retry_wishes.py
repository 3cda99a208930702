"""``tasks retry`` from a phase on, with a note and with another model; with the real daemon, SDK, CLI and git."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually


class Model:
    """Writes a line; the auditor is content once it ``likes`` the work."""

    def __init__(self) -> None:
        self.likes = False
        self.works = "echo work >> first.txt"
        self.implementers: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            return (
                (verdict("pass") if self.likes else verdict("fail", "no"))
                if request.turn == 1
                else Say("done")
            )
        self.implementers.append(request)
        return Say("done") if just_ran(request) else bash(self.works)


def runs(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_retry_goes_on_where_it_is_told_to(make_agent_rig: MakeAgentRig) -> None:
    """The failed check, then the audit are done again, and no more; in between all is, with a note to the agent."""
    model = Model()
    check = "echo ran >> $HOME/runs; test -e $HOME/good"
    rig = make_agent_rig(
        model, **audited(isolation="worktree", landing="merge", max_iterations=1, verify=[check])
    )
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "verify_failed"
    worked, ran = len(model.implementers), runs(rig.home / "runs")
    too_early = rig.cli("tasks", "retry", "task-a", "--from", "audit")
    both = rig.cli("tasks", "retry", "task-a", "--from", "verify", "--fresh")
    planned = rig.cli("tasks", "retry", "task-a", "--from", "verify", "--dry-run")
    assert [answer.returncode for answer in (too_early, both, planned)] == [1, 1, 0]
    assert "did not come to checks that passed" in too_early.stderr
    assert "kept: the work of round 1, if its files are still as they were" in planned.stderr
    assert "done again: the checks, and what follows them" in planned.stderr

    (rig.home / "good").touch()
    rig.cli("tasks", "retry", "task-a", "--from", "verify", check=True)
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "audit_rejected"
    assert (len(model.implementers), runs(rig.home / "runs")) == (worked, ran + 1)

    rig.cli("tasks", "retry", "task-a", "--note", "Mind the\nline.", "--model", "claude-other-1", check=True)
    noted = rig.result("task-a", timeout=SLOW)
    assert noted["outcome"] == "audit_rejected"
    assert [attempt["note"] for attempt in noted["attempts"]] == ["", "", "Mind the line."]
    assert (
        "The person who has this task tried again says: Mind the line."
        in model.implementers[worked].first_text
    )
    assert model.implementers[worked].body["model"] == "claude-other-1"
    worked, ran = len(model.implementers), runs(rig.home / "runs")

    model.likes = True
    rig.cli("tasks", "retry", "task-a", "--from", "audit", check=True)
    done = rig.result("task-a", timeout=SLOW)
    assert done["outcome"] == "succeeded"
    assert done["landing"]["state"] == "landed"
    assert (len(model.implementers), runs(rig.home / "runs")) == (worked, ran)
    assert (repository / "first.txt").read_text() == "first\nwork\nwork\n"
    assert "Mind the line." in (rig.queue() / "reports/task-a.md").read_text()


@pytest.mark.long
def test_a_landing_that_failed_is_done_again_alone(make_agent_rig: MakeAgentRig) -> None:
    """What was implemented, checked, audited and committed is not; the check runs on both together."""
    model = Model()
    model.likes = True
    model.works = 'touch "$HOME/began"; until test -e "$HOME/go"; do sleep 0.05; done; echo work >> first.txt'
    together = "test ! -e right || { echo they do not fit; test -e $HOME/good; }"
    rig = make_agent_rig(
        model, **audited(isolation="worktree", landing="merge", max_iterations=1, verify=[together])
    )
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "began").exists, what="it works")
    (repository / "right").touch()
    git(repository, "add", "right")
    git(repository, "commit", "-qm", "Right")
    (rig.home / "go").touch()
    failed = rig.result("task-a", timeout=SLOW)
    assert (failed["outcome"], failed["landing"]["state"]) == ("verify_failed", "left")
    asked = len(rig.model.requests)

    (rig.home / "good").touch()
    planned = rig.cli("tasks", "retry", "task-a", "--from", "land", "--dry-run", check=True)
    rig.cli("tasks", "retry", "task-a", "--from", "land", check=True)
    done = rig.result("task-a", timeout=SLOW)

    assert "done again: the landing" in planned.stderr
    assert (done["outcome"], done["landing"]["state"]) == ("succeeded", "landed")
    assert len(rig.model.requests) == asked
    assert git(repository, "show", "main:first.txt") == "first\nwork"
    assert git(repository, "cat-file", "-t", "main:right") == "blob"
