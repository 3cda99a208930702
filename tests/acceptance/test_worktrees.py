"""Working trees of their own for tasks: how long they stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually

ISOLATED = audited(isolation="worktree", landing="merge", max_iterations=1)


def good_or_bad(request: Request) -> Reply:
    """Each task writes a file of its name; the work of bad ones is rejected."""
    bad = "bad" in request.first_text
    if audits(request):
        return verdict("fail", "no good") if bad else verdict("pass") if request.turn == 1 else Say("done")
    return Say("done") if just_ran(request) else bash('echo work > "$(basename "$PWD").txt"')


def tree_of(rig: AgentRig, task_id: str, source: str = "a") -> Path:
    (folder,) = rig.home.glob(".local/share/task-queue/worktrees/*")
    return folder / source / task_id


@pytest.mark.long
def test_a_landed_tree_goes_after_its_time(make_agent_rig: MakeAgentRig) -> None:
    """By itself, without another task, and with its branch; the work of a failed one stays on branch and ref."""
    rig = make_agent_rig(good_or_bad, sources=("a", "b"), git={"keep_worktrees_for": "1s"}, **ISOLATED)
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-bad", "# A bad one")
    rejected = rig.result("task-bad", timeout=SLOW)
    rig.ask("task-good", "# A good one", source="b")
    landed = rig.result("task-good", source="b", timeout=SLOW)
    branches = ("for-each-ref", "--format=%(refname:short)", "refs/heads/task-queue")
    eventually(lambda: git(repository, *branches) == "task-queue/task-bad", what="the landed branch goes")

    assert (rejected["outcome"], landed["outcome"]) == ("audit_rejected", "succeeded")
    assert (repository / "task-good.txt").exists()
    assert not tree_of(rig, "task-good", "b").exists()
    assert git(repository, "show", "refs/task-queue/task-bad/leftovers:task-bad.txt") == "work"


@pytest.mark.long
def test_the_newest_trees_stay(make_agent_rig: MakeAgentRig) -> None:
    """As many as configured; those beyond go when a task ends, but none with work that is nowhere else."""
    rig = make_agent_rig(good_or_bad, git={"keep_worktrees": 2}, **ISOLATED)
    a_repository(rig)
    rig.start()
    outcomes: list[str] = []
    for name in ("task-1-bad", "task-2", "task-3", "task-4"):
        rig.ask(name, f"# {name}")
        outcomes.append(rig.result(name, timeout=SLOW)["outcome"])
        if name == "task-1-bad":
            (tree_of(rig, name) / "by hand.txt").write_text("a person's\n")

    left = [tree_of(rig, name).exists() for name in ("task-1-bad", "task-2", "task-3", "task-4")]
    assert outcomes == ["audit_rejected", *["succeeded"] * 3]
    assert left == [True, False, True, True]


@pytest.mark.long
def test_a_failed_tasks_checkout_goes_and_its_retry_goes_on(make_agent_rig: MakeAgentRig) -> None:
    """Listed, opened and pruned by a person; the retry makes it again from branch and ref, and its work lands."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig = make_agent_rig(script, **ISOLATED)
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write lines")
    rig.result("task-a", timeout=SLOW)
    (line,) = rig.json("worktrees", "list")["worktrees"]
    opened = rig.cli("worktrees", "open", "task-a", check=True).stdout.strip()
    tried = rig.json("worktrees", "prune", "--dry-run")
    still_there = tree_of(rig, "task-a").exists()
    pruned = rig.json("worktrees", "prune")
    gone = not tree_of(rig, "task-a").exists()
    rig.cli("tasks", "retry", "task-a", check=True)
    eventually((rig.queue() / "completed/task-a.md").exists, timeout=SLOW, what="the retried task is done")

    result = rig.result("task-a", timeout=SLOW)
    assert (line["task_id"], line["state"], line["branch"]) == ("task-a", "failed", "task-queue/task-a")
    assert (line["why_kept"], line["path"]) == (None, opened)
    assert Path(opened) == tree_of(rig, "task-a")
    assert [len(answer["removed"]) for answer in (tried, pruned)] == [1, 1]
    assert (still_there, gone, pruned["kept"]) == (True, True, [])
    assert (result["outcome"], result["branch"]) == ("succeeded", "task-queue/task-a")
    assert (repository / "work.txt").read_text() == "round\nround\n"
    assert "`work.txt`" in script.told[1]
    assert any("made again" in note for note in result["notes"])


def test_uncommitted_work_that_is_nowhere_else_is_kept_and_told(make_agent_rig: MakeAgentRig) -> None:
    """A person has changed a file of the checkout since."""
    rig = make_agent_rig(good_or_bad, **ISOLATED)
    a_repository(rig)
    rig.start()
    rig.ask("task-bad", "# A bad one")
    rig.result("task-bad", timeout=SLOW)
    (tree_of(rig, "task-bad") / "by hand.txt").write_text("mine\n")

    pruned = rig.cli("worktrees", "prune", check=True).stdout
    assert pruned.startswith("kept task-bad: uncommitted: "), pruned
    assert (tree_of(rig, "task-bad") / "by hand.txt").exists()


@pytest.mark.long
def test_a_task_that_changed_nothing_keeps_no_branch(make_agent_rig: MakeAgentRig) -> None:
    """Nor a checkout; its result says why."""
    rig = make_agent_rig(TwoAgents(verdict("pass"), work="true"), **ISOLATED)
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Look around")

    result = rig.result("task-a", timeout=SLOW)
    assert (result["outcome"], result["branch"], result["commits"]) == ("succeeded", None, [])
    assert "nothing changed, so neither a branch nor a checkout is kept" in result["notes"]
    assert [entry["kind"] for entry in result["attention"]] == ["nothing_changed"]
    assert not tree_of(rig, "task-a").exists()
    assert git(repository, "for-each-ref", "refs/heads/task-queue", "refs/task-queue") == ""
