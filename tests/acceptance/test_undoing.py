"""A person takes back what a task has landed, with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, a_repository, audited, git
from tests.acceptance.conftest import MakeAgentRig, MakeRig
from tests.acceptance.rig import Rig
from tests.acceptance.test_landing_killed import KILLS, ON_MAIN
from tests.acceptance.test_landing_later import appends_to_first
from tests.waiting import eventually


def now(rig: Rig) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((rig.queue() / "results/task-a.json").read_text())
    return result


def landed(make_agent_rig: MakeAgentRig, **more: object) -> tuple[AgentRig, Path, str]:
    """A task's line is in ``main``; where that was before."""
    rig = make_agent_rig(appends_to_first, **audited(isolation="worktree", landing="merge", **more))
    repository = a_repository(rig)
    before = git(repository, "rev-parse", "main")
    rig.start()
    rig.ask("task-a", "# Write a line")
    result = rig.result("task-a", timeout=SLOW)
    assert result["landing"]["state"] == "landed"
    return rig, repository, before


def test_work_is_taken_back_landed_again_and_reverted(make_agent_rig: MakeAgentRig) -> None:
    """What will be done is said first; the checks decide; the result, the report and the events say what was done."""
    rig, repository, before = landed(make_agent_rig, verify=["test ! -e $HOME/fails"])
    tip = git(repository, "rev-parse", "main")
    report = rig.queue() / "reports/task-a.md"
    assert "**Done, landed on main** " in report.read_text()
    assert "task-queue tasks undo task-a" in report.read_text()
    assert "undo" in json.loads(rig.cli("tasks", "show", "task-a", "--json").stdout)["available_actions"]

    planned = rig.cli("tasks", "undo", "task-a", "--dry-run")
    unasked = rig.cli("tasks", "undo", "task-a")
    (rig.home / "fails").touch()
    failed = rig.cli("tasks", "undo", "task-a", "--yes")
    assert (planned.returncode, unasked.returncode, failed.returncode) == (0, 2, 1)
    assert "main goes back from" in planned.stderr
    assert "first this has to pass without it: test ! -e $HOME/fails" in planned.stderr
    assert "not undone: without it, checks fail on main" in failed.stdout
    assert git(repository, "rev-parse", "main") == tip

    (rig.home / "fails").unlink()
    undone = rig.cli("tasks", "undo", "task-a", "--yes", "--json")
    assert json.loads(undone.stdout)["undone"] is True
    assert git(repository, "rev-parse", "main") == before
    assert (repository / "first.txt").read_text() == "first\n"
    assert (now(rig)["landing"]["state"], now(rig)["attention"], now(rig)["undo"]) == ("undone", [], [])
    assert "**Done, undone on main** " in report.read_text()
    assert "main was moved back" in report.read_text()
    assert "undone on main" in rig.cli("tasks", "list").stdout
    assert '"type": "undone"' in rig.cli("events", "--json").stdout
    assert rig.cli("tasks", "undo", "task-a").returncode == 0

    again = rig.cli("tasks", "land", "task-a")
    assert (again.returncode, git(repository, "rev-parse", "main")) == (0, tip)
    (repository / "later.txt").write_text("later\n")
    git(repository, "add", "later.txt")
    git(repository, "commit", "-qm", "Later")
    reverted = rig.cli("tasks", "undo", "task-a", "--yes")
    assert (reverted.returncode, "1 commit came after it" in reverted.stderr) == (0, True)
    assert git(repository, "log", "--format=%s", "main").splitlines()[:2] == ["Undo Write a line", "Later"]
    assert (repository / "first.txt").read_text() == "first\n"
    assert (repository / "later.txt").exists()
    assert git(repository, "status", "--porcelain") == ""
    assert now(rig)["landing"]["reverted_by"] == git(repository, "rev-parse", "main")
    refused = rig.cli("tasks", "land", "task-a")
    assert (refused.returncode, "git revert" in refused.stderr) == (1, True)


@pytest.mark.long
def test_what_was_committed_in_place_is_reverted(make_agent_rig: MakeAgentRig) -> None:
    rig = make_agent_rig(appends_to_first, **audited(isolation="none"))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    rig.result("task-a", timeout=SLOW)
    assert (repository / "first.txt").read_text() == "first\nwork\n"

    undone = rig.cli("tasks", "undo", "task-a", "--yes")

    assert (undone.returncode, "reverts it in main" in undone.stdout) == (0, True)
    assert (repository / "first.txt").read_text() == "first\n"
    assert "undone on main" in rig.cli("tasks", "list").stdout


KILLED = KILLS.replace("landing_again", "undoing")
POINTS = {
    "while the checks run": ("verify", "", ""),
    "before the target moves": ("reference-transaction", ON_MAIN.format(state="prepared"), ""),
    "before the target moves, with git": ("reference-transaction", ON_MAIN.format(state="prepared"), "$PPID"),
    "once the target has moved, with git": (
        "reference-transaction",
        ON_MAIN.format(state="committed"),
        "$PPID",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("later", [False, True], ids=["moved back", "reverted"])
@pytest.mark.parametrize("point", POINTS)
def test_kill_9_leaves_the_branch_before_or_after(make_rig: MakeRig, point: str, later: bool) -> None:
    """With the owner's checkout as clean as it was; asked again, it is undone once."""
    rig = make_rig(defaults={"workflow": "single", "isolation": "worktree", "landing": "merge"})
    repository = a_repository(rig)
    where, when, also = POINTS[point]
    script = rig.home / "kills"
    script.write_text(f"#!/bin/sh\n{when}{KILLED.format(home=rig.home, also=also)}")
    script.chmod(0o755)
    rig.start()
    rig.drop_command("task-a", "echo work >> first.txt", verify=json.dumps(str(script)))
    rig.result("task-a", timeout=SLOW)
    if later:
        (repository / "later.txt").write_text("later\n")
        git(repository, "add", "later.txt")
        git(repository, "commit", "-qm", "Later")
    if where != "verify":
        hook = repository / ".git/hooks" / where
        hook.parent.mkdir(exist_ok=True)
        hook.write_bytes(script.read_bytes())
        hook.chmod(0o755)
    tip = git(repository, "rev-parse", "main")

    killed = rig.cli("tasks", "undo", "task-a", "--yes")
    eventually((rig.home / "killed").exists, what="it is killed")
    between = git(repository, "rev-parse", "main")
    undone = rig.cli("tasks", "undo", "task-a", "--yes")
    after = git(repository, "rev-parse", "main")

    assert killed.returncode == 1
    assert between in {tip, after}
    assert (undone.returncode, now(rig)["landing"]["state"]) == (0, "undone")
    assert git(repository, "log", "--format=%s", "main").splitlines() == [
        *(["Undo echo work >> first.txt", "Later", "echo work >> first.txt"] if later else []),
        "First",
    ]
    assert (repository / "first.txt").read_text() == "first\n"
    assert git(repository, "status", "--porcelain") == ""
    assert not (repository / ".git/task-queue-advance.json").exists()
