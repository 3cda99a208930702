"""What lands is what was verified: with the target as it is then, and with what it was before the task began."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Request
from task_queue.git.advance import turn
from task_queue.git.program import Git
from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, Implementer, a_repository, audited, git
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long
from tests.waiting import eventually

TOGETHER = "test ! -e left -o ! -e right -o -e both || { echo they do not fit; exit 1; }"
"""Passes with either file, and with both only where a third one is there."""


class Pair(Implementer):
    """Each of two tasks writes the file of its name; when it is sent back, it does *mending*."""

    def __init__(self, mending: str) -> None:
        super().__init__()
        self.mending = mending
        self.home = Path()

    def mend(self, request: Request) -> str:  # noqa: ARG002 - as its base has it
        return self.mending

    def work(self, request: Request) -> str:
        name, other = ("left", "right") if "Write left" in request.first_text else ("right", "left")
        meet = f"touch {self.home}/{name}; while [ ! -e {self.home}/{other} ]; do sleep 0.05; done"
        return f"{meet}; echo {name} > {name}"


def a_pair(
    make_agent_rig: MakeAgentRig, mend: str, **more: Any
) -> tuple[AgentRig, Path, Pair, dict[str, Any], dict[str, Any]]:
    """The result of the task that landed first, and of the other one."""
    script = Pair(mend)
    settings = audited(isolation="worktree", landing="merge", verify=[TOGETHER], max_iterations=2, **more)
    rig = make_agent_rig(script, sources=("a", "b"), **settings)
    script.home = rig.home
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-left", "# Write left", source="a")
    rig.ask("task-right", "# Write right", source="b")
    results = rig.result("task-left", timeout=SLOW), rig.result("task-right", source="b", timeout=SLOW)
    first, second = sorted(results, key=lambda result: "implement 2" in result["seconds_by_phase"])
    return rig, repository, script, first, second


def passes_everywhere(repository: Path) -> bool:
    """The check, on every commit that the branch has been at."""
    commits = git(repository, "log", "--first-parent", "--format=%H").split()
    files = [set(git(repository, "ls-tree", "--name-only", commit).split()) for commit in commits]
    return all(not {"left", "right"} <= names or "both" in names for names in files)


@pytest.mark.long
def test_two_that_merge_cleanly_and_do_not_fit(make_agent_rig: MakeAgentRig) -> None:
    """The second goes back to its implementer with the first one merged in, and lands when both fit."""
    rig, repository, script, first, second = a_pair(make_agent_rig, "ls > seen; touch both")

    assert [first["outcome"], second["outcome"]] == ["succeeded", "succeeded"]
    assert passes_everywhere(repository)
    assert {"left", "right", "both"} <= {path.name for path in repository.iterdir()}
    assert (repository / "seen").read_text().split() == ["first.txt", "left", "right", "seen"]
    (findings,) = script.sent_back
    assert "they do not fit" in findings
    assert "main moved to" in findings
    assert "all of these checks pass" in findings
    own = git(repository, "diff", "--name-only", second["base_commit"], second["branch"]).split()
    assert own == sorted(["both", "seen", second["task_id"].removeprefix("task-")])
    assert len(second["commits"]) == 3
    report = (rig.queue(second["source"]) / f"reports/{second['task_id']}.md").read_text()
    assert "by the agent itself" not in report
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.long
def test_set_up_runs_again_once_the_target_is_merged_in(make_agent_rig: MakeAgentRig) -> None:
    """A file that it had changed came with the target; what it changes is again no agent's work."""
    script = Pair("cat lock > seen; touch both")
    settings = audited(isolation="worktree", landing="merge", verify=[TOGETHER], max_iterations=2)
    rig = make_agent_rig(script, sources=("a", "b"), **settings)
    script.home = rig.home
    repository = a_repository(rig)
    (repository / "lock").write_text("begun\n")
    git(repository, "add", "lock")
    git(repository, "commit", "-qm", "Lock")
    config = json.loads(rig.config.read_text())
    for source in config["task_source_directories"]:
        source["setup"] = ["echo made >> lock"]
    rig.config.write_text(json.dumps(config))
    rig.start()
    rig.ask("task-left", "# Write left", source="a")
    rig.drop_command(
        "task-right",
        f"touch {rig.home}/right; while [ ! -e {rig.home}/left ]; do sleep 0.05; done;"
        " echo right > right; echo changed > lock",
        source="b",
        workflow="single",
    )
    rig.result("task-right", source="b", timeout=SLOW)

    result = rig.result("task-left", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert git(repository, "show", "main:seen") == "changed\nmade"
    assert git(repository, "show", "main:lock") == "changed"
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.long
def test_what_does_not_fit_in_the_end_does_not_land(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _, first, second = a_pair(make_agent_rig, "touch unhelpful")

    assert [first["outcome"], second["outcome"]] == ["succeeded", "verify_failed"]
    assert passes_everywhere(repository)
    assert not (repository / "unhelpful").exists()
    assert git(repository, "log", "-1", "--format=%H") == first["commits"][0]
    name = second["task_id"].removeprefix("task-")
    assert git(repository, "show", f"task-queue/{second['task_id']}:{name}") == name
    assert rig.marked() == []


class Slow:
    """The owner's filter of one file: once, in a task's own checkout, it takes until the file ``go`` is there."""

    def __init__(self, rig: AgentRig, repository: Path) -> None:
        self.reached = rig.home / "smudging"
        self.go = rig.home / "go"
        script = rig.home / "smudge"
        script.write_text(
            "#!/bin/sh\n"
            f'case "$PWD" in *.verify|*.merge|{repository}) exec cat;; esac\n'
            f"[ -e {self.reached} ] && exec cat\n"
            f"touch {self.reached}; while [ ! -e {self.go} ]; do sleep 0.05; done; exec cat\n"
        )
        script.chmod(0o755)
        git(repository, "config", "filter.slow.smudge", str(script))
        git(repository, "config", "filter.slow.clean", "cat")
        (repository / ".git/info/attributes").write_text("left filter=slow\nright filter=slow\n")


def runner_of(rig: AgentRig, task_id: str, source: str) -> int:
    return int(rig.run_record(task_id, source=source)["pid"])


def where_it_was_sent_back(rig: AgentRig) -> tuple[str, str]:
    """The task that landed second, and its source."""
    landed = [name for name in ("left", "right") if list(rig.home.glob(f"tasks/*/results/task-{name}.json"))]
    return ("task-right", "b") if landed == ["left"] else ("task-left", "a")


@pytest.mark.long
def test_a_runner_killed_while_the_target_comes_into_the_checkout(make_agent_rig: MakeAgentRig) -> None:
    """With git, which leaves its lock: the next attempt brings it in, and nothing is done twice."""
    script = Pair("touch both")
    settings = audited(
        isolation="worktree",
        landing="merge",
        verify=[TOGETHER],
        max_iterations=2,
        workflow="single",
        retry_delay="1s",
    )
    rig = make_agent_rig(script, sources=("a", "b"), **settings)
    script.home = rig.home
    repository = a_repository(rig)
    slow = Slow(rig, repository)
    rig.start()
    rig.ask("task-left", "# Write left", source="a")
    rig.ask("task-right", "# Write right", source="b")
    eventually(slow.reached.exists, timeout=SLOW, what="the target comes into the checkout")
    name, source = where_it_was_sent_back(rig)
    os.kill(runner_of(rig, name, source), signal.SIGKILL)
    result = rig.result(name, source=source, timeout=SLOW)

    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert result["landing"]["state"] == "landed"
    assert passes_everywhere(repository)
    assert len(script.sent_back) == 1
    assert len(result["commits"]) == 3
    assert "by the agent itself" not in (rig.queue(source) / f"reports/{name}.md").read_text()
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("verb", short_and_long(["cancel"], ["stop"]))
def test_one_that_waits_for_its_turn_is_stopped_at_once(make_agent_rig: MakeAgentRig, verb: str) -> None:
    script = Pair("touch both")
    settings = audited(isolation="worktree", landing="merge", workflow="single")
    rig = make_agent_rig(script, **settings)
    script.home = rig.home
    (rig.home / "right").touch()
    repository = a_repository(rig)
    tip = git(repository, "rev-parse", "HEAD")
    with turn(Git(repository, {"PATH": os.environ["PATH"], "HOME": str(rig.home)}), wait_s=1, into="main"):
        daemon = rig.start()
        rig.ask("task-left", "# Write left")
        eventually(
            lambda: '"phase": "land"' in _transcript(rig, "task-left"), timeout=SLOW, what="it is to land"
        )
        if verb == "cancel":
            rig.cli("tasks", "cancel", "task-left", check=True)
            result = rig.result("task-left")
            assert (result["outcome"], result["landed"]) == ("cancelled", None)
        else:
            rig.stop(daemon)
        assert rig.marked() == []
        assert git(repository, "rev-parse", "main") == tip
    if verb == "stop":
        rig.start()
        assert rig.result("task-left", timeout=SLOW)["landing"]["state"] == "landed"
        assert len(script.sent_back) == 0
    assert git(repository, "status", "--porcelain") == ""


def _transcript(rig: AgentRig, task_id: str) -> str:
    found = rig.home.glob(f"tasks/*/logs/{task_id}/*/*.jsonl")
    return "".join(path.read_text() for path in found)
