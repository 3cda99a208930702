"""A person looks at the work: while it runs, and afterwards; with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json

from tests.acceptance.audits import SLOW, a_repository, audited
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_landing_later import appends_to_first
from tests.waiting import eventually

WAITS = "touch $HOME/checking; while [ ! -e $HOME/go ]; do sleep 0.05; done"


def test_what_a_task_changed_is_shown_while_it_runs_and_afterwards(make_agent_rig: MakeAgentRig) -> None:
    rig = make_agent_rig(appends_to_first, **audited(isolation="worktree", landing="branch", verify=[WAITS]))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "checking").exists, timeout=SLOW, what="it is checked")

    running = rig.cli("tasks", "diff", "task-a")
    early = rig.cli("tasks", "open", "task-a")
    (rig.home / "go").touch()
    rig.result("task-a", timeout=SLOW)
    ended = rig.cli("tasks", "diff", "task-a")
    stat = json.loads(rig.cli("tasks", "diff", "task-a", "--stat", "--file", "*.txt", "--json").stdout)
    other = rig.cli("tasks", "diff", "task-a", "--file", "other.txt")

    assert "diff --git a/first.txt b/first.txt" in running.stdout
    assert running.stdout == ended.stdout
    assert ended.stdout.endswith(" first\n+work\n")
    assert (repository / "first.txt").read_text() == "first\n"
    assert stat["files"] == [{"path": "first.txt", "added": 1, "removed": 0}]
    assert (other.returncode, "it did not change other.txt" in other.stderr) == (1, True)
    assert (early.returncode, "is running, and has no report" in early.stderr) == (1, True)
    report = rig.queue() / "reports/task-a.md"
    assert rig.cli("tasks", "open", "task-a").stdout == f"{report}\n"
    checkout = rig.cli("tasks", "open", "task-a", "--checkout").stdout.strip()
    assert checkout == rig.cli("worktrees", "open", "task-a").stdout.strip()
    assert checkout in rig.cli("worktrees", "list").stdout
