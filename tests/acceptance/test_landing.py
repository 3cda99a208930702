"""A task's branch comes back to where it came from: two sources at once, and runners killed in every part of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.processes import look, runs
from tests.sampling import short_and_long
from tests.waiting import eventually

LANDING = audited(retry_delay="1s", isolation="worktree", landing="merge")


def both_at_once(rig: AgentRig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results of a task of each source; neither goes on before both have begun."""
    rig.start()
    rig.ask("task-left", "# Write left", source="a")
    rig.ask("task-right", "# Write right", source="b")
    return rig.result("task-left", timeout=SLOW), rig.result("task-right", source="b", timeout=SLOW)


def two_sources(make_agent_rig: MakeAgentRig, work: str) -> tuple[AgentRig, Path]:
    """*work* is done by both, with ``{name}`` in it replaced."""

    def script(request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("done")
        name, other = ("left", "right") if "Write left" in request.first_text else ("right", "left")
        meet = f"touch {rig.home}/{name}; while [ ! -e {rig.home}/{other} ]; do sleep 0.05; done"
        return Say("done") if just_ran(request) else bash(f"{meet}; {work.format(name=name)}")

    rig = make_agent_rig(script, sources=("a", "b"), **LANDING)
    return rig, a_repository(rig)


def test_two_sources_share_a_repository_through_worktrees(make_agent_rig: MakeAgentRig) -> None:
    """Side by side from one commit, each on its own branch, both merged; the second by a merge commit."""
    rig, repository = two_sources(make_agent_rig, "echo {name} > {name}.txt")

    results = both_at_once(rig)

    assert [result["outcome"] for result in results] == ["succeeded", "succeeded"]
    assert [result["branch"] for result in results] == ["task-queue/task-left", "task-queue/task-right"]
    assert sorted(result["landed"].rpartition(" ")[2] for result in results) == ["(fast-forward)", "(merge)"]
    assert git(repository, "log", "--format=%s", "--merges").startswith("Merge task-queue/task-")
    assert {path.name for path in repository.glob("*.txt")} == {"first.txt", "left.txt", "right.txt"}
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.long
def test_two_sources_that_change_the_same_conflict(make_agent_rig: MakeAgentRig) -> None:
    """The first one lands; the other one's branch is left with its work, and result and report say what to do."""
    rig, repository = two_sources(make_agent_rig, "echo {name} > first.txt")

    results = both_at_once(rig)

    assert [result["outcome"] for result in results] == ["succeeded", "succeeded"]
    landed, left = sorted(results, key=lambda result: "was not merged" in result["landed"])
    name = left["task_id"].removeprefix("task-")
    report = (rig.queue(left["source"]) / f"reports/{left['task_id']}.md").read_text()
    assert landed["landed"].endswith("(fast-forward)")
    assert left["landed"] == f"task-queue/task-{name} was not merged: it conflicts with main in first.txt"
    assert git(repository, "show", f"task-queue/task-{name}:first.txt") == name
    assert git(repository, "log", "-1", "--format=%H") == landed["commits"][0]
    assert (repository / "first.txt").read_text() == f"{landed['task_id'].removeprefix('task-')}\n"
    assert git(repository, "status", "--porcelain") == ""
    assert "conflicts with main in first" in report
    assert left["keep"] == [f"git -C {repository} merge task-queue/task-{name}"]
    assert left["keep"][0] in report
    assert landed["keep"] == []


def a_landing(make_agent_rig: MakeAgentRig, work: str) -> tuple[AgentRig, Path, TwoAgents]:
    """A task whose branch has to be merged, because a person commits meanwhile; who has a file of theirs lie there."""
    script = TwoAgents(verdict("pass"), work=work)

    def with_a_commit_of_a_person(request: Request) -> Reply:
        if audits(request) and request.turn == 1:
            git(repository, "commit", "-q", "--allow-empty", "-m", "Theirs")
        return script(request)

    rig = make_agent_rig(with_a_commit_of_a_person, git={"author_name": "A robot"}, **LANDING)
    repository = a_repository(rig)
    return rig, repository, script


def until_told(rig: AgentRig, where: str = "") -> str:
    """Shell that says which process it is, and waits."""
    return f"{where}echo $$ >> {rig.home}/waits; while [ ! -e {rig.home}/go ]; do sleep 0.05; done"


def waiting(rig: AgentRig) -> int:
    """The process that waits."""
    lines = eventually(
        lambda: (rig.home / "waits").read_text().split() if (rig.home / "waits").exists() else [],
        timeout=SLOW,
        what=f"something of the landing waits; {rig.errors()}",
    )
    return int(lines[0])


def landed_once(rig: AgentRig, repository: Path, script: TwoAgents) -> dict[str, Any]:
    result = rig.result("task-a", timeout=SLOW)
    assert (result["outcome"], len(result["commits"])) == ("succeeded", 1)
    assert "task-queue/task-a is in main" in result["landed"]
    assert git(repository, "log", "--format=%s", "--first-parent").splitlines() == [
        "Merge task-queue/task-a: Write a line",
        "Theirs",
        "First",
    ]
    authors = git(repository, "log", "--format=%an, %cn").splitlines()
    assert sorted(authors) == ["A robot, Test", "A robot, Test", "Test, Test", "Test, Test"]
    assert git(repository, "status", "--porcelain") == "?? mine.txt"
    assert (repository / "mine.txt").read_text() == "mine\n"
    assert list((repository / ".git").rglob("*.lock")) == []
    assert (len(script.told), len(script.audits)) == (1, 1)
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert rig.marked() == []
    assert set(result["cost_by_phase"]) == {"implement 1", "audit 1"}
    assert result["total_cost_usd"] == pytest.approx(sum(result["cost_by_phase"].values()))
    assert {"prepare", "implement 1", "audit 1", "commit", "land"} <= set(result["seconds_by_phase"])
    assert result["output"] == "I did it"
    return result


@pytest.mark.parametrize(
    "hook", short_and_long(["post-merge"], ["pre-merge-commit", "prepare-commit-msg", "commit-msg"])
)
def test_a_runner_killed_while_it_lands_lands_once(make_agent_rig: MakeAgentRig, hook: str) -> None:
    """In a hook of the merge, before it or after it: the hook is ended, and the next attempt lands."""
    rig, repository, script = a_landing(make_agent_rig, "echo round >> work.txt")
    (repository / "mine.txt").write_text("mine\n")
    path = repository / ".git/hooks" / hook
    is_merge = "git rev-parse -q --verify MERGE_HEAD || git rev-parse -q --verify main^2"
    path.write_text(f"#!/bin/sh\n{is_merge} || exit 0\n{until_told(rig)}\n")
    path.chmod(0o700)
    rig.start()
    rig.ask("task-a", "# Write a line")
    hooked = waiting(rig)

    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    eventually(lambda: not runs(hooked), what="the dead runner's hook is ended")
    (rig.home / "go").touch()

    result = landed_once(rig, repository, script)
    times = 1 if hook == "post-merge" else 2
    assert len((rig.home / "waits").read_text().split()) == times
    assert result["landed"].endswith("(already there)" if hook == "post-merge" else "(merge)")


@pytest.mark.long
@pytest.mark.parametrize("git_too", [False, True], ids=["git is asked to end", "git is killed"])
def test_a_runner_killed_while_the_checkout_follows_lands_once(
    make_agent_rig: MakeAgentRig, *, git_too: bool
) -> None:
    """Some of the files are new by then, and the index is locked; that is taken back, and done again."""
    rig, repository, script = a_landing(
        make_agent_rig, "for f in a m z; do echo $f > $f.slow; done; echo more >> first.txt"
    )
    (repository / ".git/info/attributes").write_text("*.slow filter=slow\n")
    there = f"[ $(pwd) != {repository} ] || [ $(ls *.slow | wc -l) -lt 1 ] || {{ "
    git(repository, "config", "filter.slow.smudge", until_told(rig, there) + "; }; cat")
    (repository / "mine.txt").write_text("mine\n")
    rig.start()
    rig.ask("task-a", "# Write a line")
    filters = waiting(rig)
    runner = rig.run_record("task-a")["pid"]
    half = git(repository, "--no-optional-locks", "status", "--porcelain")

    if git_too:
        os.kill(runner, signal.SIGSTOP)
        os.kill(int(look(filters, "stat").rpartition(b")")[2].split()[1]), signal.SIGKILL)
    os.kill(runner, signal.SIGKILL)
    eventually(lambda: not runs(filters), what="the dead runner's filter is ended")
    (rig.home / "go").touch()

    result = landed_once(rig, repository, script)
    assert "?? a.slow" in half
    assert result["landed"].endswith("(merge)")
    assert "a landing of task-queue/task-a in main was cut off, and taken back" in result["notes"]
    assert (repository / "z.slow").read_text() == "z\n"
