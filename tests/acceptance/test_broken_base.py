"""A branch that is broken before a task begins: the task is told, and a source is held where it was broken since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Request
from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, Implementer, a_repository, audited, git
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually

CHECK = "test -e good"
MENDS = "# Work\n\nMEND-IT"
SETTINGS = audited(isolation="worktree", landing="merge", verify=[CHECK], max_iterations=2, retry_delay="1s")


class Worker(Implementer):
    """Does its work in the first round; in the second, it mends the check if the task says so."""

    def work(self, request: Request) -> str:  # noqa: ARG002 - as its base has it
        return "echo work >> work"

    def mend(self, request: Request) -> str:
        return "touch good" if "MEND-IT" in request.first_text else "echo more >> work"


def a_rig(make_agent_rig: MakeAgentRig) -> tuple[AgentRig, Path, Worker]:
    script = Worker()
    rig = make_agent_rig(script, **SETTINGS)
    return rig, a_repository(rig), script


def held(rig: AgentRig) -> list[dict[str, Any]]:
    attention = json.loads(rig.cli("status", "--json").stdout)["attention"]
    return [each for each in attention if each["kind"] == "broken_base"]


def broken_since(rig: AgentRig, repository: Path, third: str = MENDS) -> str:
    """The check has passed on main once; then a person breaks it, and a task finds that. The commit."""
    rig.ask("task-first", MENDS)
    assert rig.result("task-first", timeout=SLOW)["outcome"] == "succeeded"
    git(repository, "rm", "-q", "good")
    git(repository, "commit", "-qm", "Break it")
    rig.ask("task-second", "# Work")
    assert rig.result("task-second", timeout=SLOW)["outcome"] == "verify_failed"
    rig.ask("task-third", third)
    eventually(lambda: held(rig), what="the source is held")
    return git(repository, "rev-parse", "HEAD")


@pytest.mark.long
def test_a_check_that_never_passed_is_told_and_holds_nothing(make_agent_rig: MakeAgentRig) -> None:
    """As with tests that are written before what they test."""
    rig, repository, script = a_rig(make_agent_rig)
    base = git(repository, "rev-parse", "HEAD")
    rig.start()
    rig.ask("task-first", MENDS)
    result = rig.result("task-first", timeout=SLOW)

    (told,) = script.sent_back
    assert f"failed already on {base[:12]} of main, before the work began" in told
    assert result["outcome"] == "succeeded"
    assert result["baseline"] == {
        "repository": str(repository),
        "commit": base,
        "target": "main",
        "failed": [f"{CHECK} (failed with exit code 1)"],
        "regressed": [],
    }
    assert "Failed already on" in (rig.queue() / "reports/task-first.md").read_text()
    assert held(rig) == []


@pytest.mark.long
def test_a_base_is_checked_once(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = a_rig(make_agent_rig)
    count = rig.home / "count"
    rig.start()
    for name in ("task-one", "task-two"):
        body = "# Work\n"
        check = f"echo ran >> {count}; {CHECK}"
        rig.ask(name, body, verify=[check], max_iterations=1)
        assert rig.result(name, timeout=SLOW)["baseline"]["failed"]

    assert len(count.read_text().splitlines()) == 3  # once for each task, once for the base
    assert git(repository, "status", "--porcelain") == ""


def test_a_source_whose_target_was_broken_waits_until_it_is_mended(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = a_rig(make_agent_rig)
    daemon = rig.start()
    commit = broken_since(rig, repository)

    (attention,) = held(rig)
    assert (
        f"main of {repository} is broken at {commit[:12]}: {CHECK} passed on an earlier"
        in attention["sentence"]
    )
    assert attention["command"] == "task-queue sources resume a"
    assert rig.cli("status").returncode == 3
    shown = rig.cli("tasks", "list").stdout
    assert "is broken at" in " ".join(shown.split())
    rig.stop(daemon)
    assert held(rig)  # without a daemon, too
    rig.start()
    git(repository, "revert", "--no-edit", "HEAD")
    assert rig.result("task-third", timeout=SLOW)["outcome"] == "succeeded"
    assert held(rig) == []


@pytest.mark.long
def test_a_person_lets_a_source_go_on_with_a_broken_target(make_agent_rig: MakeAgentRig) -> None:
    """It is not held again for the same commit."""
    rig, repository, _ = a_rig(make_agent_rig)
    rig.start()
    broken_since(rig, repository, third="# Work")
    rig.cli("sources", "resume", "--source-id", "a", check=True)
    assert held(rig) == []
    third = rig.result("task-third", timeout=SLOW)
    assert (third["outcome"], third["baseline"]["regressed"]) == ("verify_failed", [CHECK])
    assert held(rig) == []
    rig.ask("task-fourth", MENDS)
    assert rig.result("task-fourth", timeout=SLOW)["outcome"] == "succeeded"
    assert (repository / "good").exists()
