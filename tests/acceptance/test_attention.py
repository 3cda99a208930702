"""What needs a person after real work in a real repository: in the result, the report, the event and every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, a_repository, git, just_ran
from tests.acceptance.conftest import MakeAgentRig


def worker(request: Request) -> Reply:
    """Answers questions; of any other task, appends a line to work.txt."""
    asks = "Question" in request.first_text
    return Say("It is done") if asks or just_ran(request) else bash("echo round >> work.txt")


def kinds_everywhere(rig: AgentRig, result: dict[str, Any]) -> list[str]:
    """The kinds in *result*, which every other place has, too."""
    task_id, needs = result["task_id"], result["attention"]
    kinds = [need["kind"] for need in needs]
    for command in (("status",), ("tasks", "list"), ("tasks", "show", task_id)):
        told = rig.json(*command)["attention"]
        assert [each["kind"] for each in told if each["task_id"] == task_id] == kinds
    settled = rig.cli("events", "--json", "--type", "settled", "--task", task_id, check=True).stdout
    assert json.loads(settled.splitlines()[-1])["data"]["attention"] == kinds
    report = (rig.queue() / "reports" / f"{task_id}.md").read_text()
    for need in needs:
        assert need["command"] in report.partition("## What was asked")[0]
    return kinds


def test_files_left_uncommitted_need_a_person(make_agent_rig: MakeAgentRig) -> None:
    """A person's own changes were in the file; then a hook of theirs refuses the commit. Elsewhere all is committed."""
    rig = make_agent_rig(worker, defaults={"workflow": "single"})
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-clean", "# Write a line")
    assert kinds_everywhere(rig, rig.result("task-clean", timeout=SLOW)) == []
    assert rig.cli("status").returncode == rig.cli("tasks", "list").returncode == 0

    (repository / "work.txt").write_text("a line of a person\n")
    rig.ask("task-overlap", "# Write a line")
    overlap = rig.result("task-overlap", timeout=SLOW)
    assert (overlap["outcome"], kinds_everywhere(rig, overlap)) == ("succeeded", ["uncommitted"])
    assert overlap["attention"][0]["sentence"] == "files were left uncommitted: work.txt"
    assert "modified:   work.txt" in shown_by(overlap, rig.home)
    assert rig.cli("status").returncode == rig.cli("tasks", "list").returncode == 3

    git(repository, "checkout", "-q", "work.txt")
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho no; exit 1\n")
    hook.chmod(0o755)
    rig.ask("task-refused", "# Write a line")
    refused = rig.result("task-refused", timeout=SLOW)
    assert (refused["commits"], kinds_everywhere(rig, refused)) == ([], ["uncommitted"])
    assert "modified:   work.txt" in shown_by(refused, rig.home)


@pytest.mark.long
def test_only_a_task_that_had_to_change_something_is_asked_about(make_agent_rig: MakeAgentRig) -> None:
    """The same words by an agent that may write, one that may only read, and one that is to find something out."""
    rig = make_agent_rig(worker, defaults={"workflow": "single"})
    a_repository(rig)
    rig.start()
    rig.ask("task-work", "# Question")
    rig.ask("task-reader", "# Question", permissions="readonly")
    rig.ask("task-research", "# Question", type="research")

    found = {
        name: kinds_everywhere(rig, rig.result(f"task-{name}", timeout=SLOW))
        for name in ("work", "reader", "research")
    }
    assert found == {"work": ["nothing_changed"], "reader": [], "research": []}


def shown_by(result: dict[str, Any], home: Path) -> str:
    """What a person sees who gives the command in *result* to a shell."""
    command = result["attention"][0]["command"]
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()
