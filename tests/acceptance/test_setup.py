"""What set-up and verification commands make is the work of no agent: real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long
from tests.waiting import eventually

LANDING = {"isolation": "worktree", "landing": "merge"}
VENV = "python3 -m venv --without-pip .venv"


def tree_of(rig: AgentRig, task_id: str = "task-a") -> Path:
    (folder,) = rig.home.glob(".local/share/task-queue/worktrees/*")
    return folder / "a" / task_id


def rig_with(make: MakeAgentRig, script: TwoAgents, *setup: str, **defaults: Any) -> tuple[AgentRig, Path]:
    rig = make(script, **audited(**{**LANDING, **defaults}))
    config = json.loads(rig.config.read_text())
    config["task_source_directories"][0]["setup"] = list(setup)
    rig.config.write_text(json.dumps(config))
    return rig, a_repository(rig)


def landed_files(repository: Path) -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", "main").split()


@pytest.mark.parametrize(
    "work",
    short_and_long(["echo round >> work.txt; git add -A; git commit -qm Own"], ["echo round >> work.txt"]),
)
def test_a_virtual_environment_that_setup_made_is_nowhere(make_agent_rig: MakeAgentRig, work: str) -> None:
    """Not in a commit, also not in one that the agent makes of everything; not in the diff, nor in a prompt."""
    script = TwoAgents(verdict("pass"), work=work)
    rig, repository = rig_with(make_agent_rig, script, VENV)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert landed_files(repository) == ["first.txt", "work.txt"]
    assert (tree_of(rig) / ".venv/pyvenv.cfg").is_file()
    assert not any(".venv" in text for text in (*script.told, *script.audits))
    assert result["attention"] == []


SETUP = (
    "mkdir -p gen; echo made > gen/one; echo made > gen/two; echo made > gen/three; echo locked >> first.txt"
)


def test_only_what_the_agent_changes_of_it_counts(make_agent_rig: MakeAgentRig) -> None:
    """A tracked file that setup changed, files that it made: the agent changes one, deletes one, leaves one."""
    script = TwoAgents(verdict("pass"), work="echo mine >> gen/one; rm gen/two; echo round >> work.txt")
    rig, repository = rig_with(make_agent_rig, script, SETUP)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert landed_files(repository) == ["first.txt", "gen/one", "work.txt"]
    assert git(repository, "show", "main:gen/one") == "made\nmine"
    assert git(repository, "show", "main:first.txt") == "first"
    assert "locked" not in script.audits[0]
    assert "three" not in script.audits[0]
    assert git(tree_of(rig), "diff", "--name-only") == "first.txt"


def test_a_change_of_a_tracked_file_that_setup_changed_counts(make_agent_rig: MakeAgentRig) -> None:
    script = TwoAgents(verdict("pass"), work="echo mine >> first.txt")
    rig, repository = rig_with(make_agent_rig, script, SETUP)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert landed_files(repository) == ["first.txt"]
    assert git(repository, "show", "main:first.txt") == "first\nlocked\nmine"


def test_an_agent_that_commits_everything_commits_nothing_of_setup(make_agent_rig: MakeAgentRig) -> None:
    """``git commit -a`` takes a tracked file along that setup changed: main and the auditor see none of it."""
    script = TwoAgents(
        verdict("pass"), work="echo round >> work.txt; git add work.txt; git commit -qam Everything"
    )
    rig, repository = rig_with(make_agent_rig, script, SETUP)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert landed_files(repository) == ["first.txt", "work.txt"]
    assert git(repository, "show", "main:first.txt") == "first"
    assert "locked" not in script.audits[0]
    assert len(result["commits"]) == 2


@pytest.mark.long
def test_setup_of_a_second_try_is_no_leftover(make_agent_rig: MakeAgentRig) -> None:
    """It runs again, over what the first try and its setup left; only the agent's file is told and committed."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig, repository = rig_with(make_agent_rig, script, f"{SETUP}; date +%N > gen/four", max_iterations=1)
    rig.start()
    rig.ask("task-a", "# Write a line")
    failed = rig.result("task-a", timeout=SLOW)
    left = git(repository, "diff", "--name-only", "main", "refs/task-queue/task-a/leftovers")
    rig.cli("tasks", "retry", "task-a", check=True)
    eventually((rig.queue() / "completed/task-a.md").exists, timeout=SLOW, what="the retried task is done")

    result = rig.result("task-a", timeout=SLOW)

    assert (failed["outcome"], result["outcome"]) == ("audit_rejected", "succeeded")
    assert left == "work.txt"
    assert "left these files changed" in script.told[1]
    assert not any("gen/" in text or "locked" in text for text in (*script.told, *script.audits))
    assert landed_files(repository) == ["first.txt", "work.txt"]
    assert git(repository, "show", "main:first.txt") == "first"


def test_setup_killed_half_way_leaves_nothing_of_the_tasks(make_agent_rig: MakeAgentRig) -> None:
    """kill -9 of its runner: what it had made by then is no agent's either, and the next attempt runs it again."""
    script = TwoAgents(verdict("pass"))
    rig, repository = rig_with(make_agent_rig, script, retry_delay="1s")
    config = json.loads(rig.config.read_text())
    waits = f"touch {rig.home}/begun; while [ ! -e {rig.home}/go ]; do sleep 0.05; done"
    config["task_source_directories"][0]["setup"] = [f"{SETUP}; {waits}; echo made > gen/four"]
    rig.config.write_text(json.dumps(config))
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "begun").exists, timeout=SLOW, what="setup runs")
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    (rig.home / "go").touch()

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert len(result["attempts"]) == 2
    assert landed_files(repository) == ["first.txt", "work.txt"]
    assert not any("gen/" in text or "locked" in text for text in (*script.told, *script.audits))
    assert git(repository, "for-each-ref", "refs/task-queue/task-a/leftovers") == ""
    assert not any("left changes here" in note for note in result["notes"])


def test_what_verification_makes_in_place_is_not_committed(make_agent_rig: MakeAgentRig) -> None:
    """Caches, reports and build output, over two rounds; also a judge that a command writes is not the task's."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig, repository = rig_with(make_agent_rig, script, isolation="none")
    rig.start()
    build = (
        "mkdir -p out tests; date +%N > out/built.o; echo seen > tests/test_made.py; echo built >> first.txt"
    )
    rig.ask("task-a", "# Write a line", verify=json.dumps(build))

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert git(repository, "show", "--format=", "--name-only", "HEAD").split() == ["work.txt"]
    assert result["changed_judges"] == []
    assert "b/out/built.o" not in script.audits[1]
    assert sorted(git(repository, "status", "--porcelain", "-uall").splitlines()) == [
        "?? out/built.o",
        "?? tests/test_made.py",
        "M first.txt",
    ]
