"""Checkouts of their own for tasks, with the real daemon, SDK, CLI and git: what agents do in them stays there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.git.hostile import HOSTILE
from tests.sampling import short_and_long

LANDING = {"isolation": "worktree", "landing": "merge"}
MISSING = "the files are not those that the earlier attempt finished with: the work was done again"


def tree_of(rig: AgentRig, task_id: str = "task-a") -> Path:
    (folder,) = rig.home.glob(".local/share/task-queue/worktrees/*")
    return folder / "a" / task_id


def state_of(repository: Path) -> dict[str, object]:
    """Of the owner's repository, without what the queue itself keeps for tasks."""
    refs = git(repository, "for-each-ref").splitlines()
    return {
        "refs": [line for line in refs if "task-queue/task-" not in line],
        "config": git(repository, "config", "--list", "--local"),
        "stash": git(repository, "stash", "list"),
        "status": git(repository, "status"),
        "hooks": {path.name: path.read_bytes() for path in (repository / ".git/hooks").iterdir()},
        "exclude": (repository / ".git/info/exclude").read_bytes(),
    }


def work_on(rig: AgentRig, **keys: Any) -> dict[str, Any]:
    rig.start()
    rig.ask("task-a", "# Write a line", **keys)
    return rig.result("task-a", timeout=SLOW)


def contains(repository: Path, commits: list[str], *, branch: str = "main") -> bool:
    return all(commit in git(repository, "rev-list", branch).split() for commit in commits)


def test_a_hostile_agent_changes_nothing_of_the_owners_repository(make_agent_rig: MakeAgentRig) -> None:
    """Refs, configuration, stash, status, hooks: as they were, but for the task's branch; a gc takes nothing."""
    rig = make_agent_rig(
        TwoAgents(verdict("pass"), work="sh hostile.sh; echo round >> work.txt"),
        **audited(isolation="worktree"),
    )
    repository = a_repository(rig)
    upstream = rig.home / "upstream.git"
    (repository / "hostile.sh").write_text("\n".join(HOSTILE.values()) + "\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Second")
    git(repository, "branch", "feature")
    git(repository, "tag", "-am", "First release", "v1")
    git(rig.home, "clone", "-q", "--bare", str(repository), str(upstream))
    git(repository, "remote", "add", "origin", str(upstream))
    git(repository, "fetch", "-q", "origin")
    (repository / "first.txt").write_text("mine\n")
    git(repository, "stash")
    with (repository / ".git/info/exclude").open("a") as file:
        file.write("/tasks/\n")
    before, above = state_of(repository), git(upstream, "for-each-ref")

    result = work_on(rig)
    git(repository, "gc", "-q", "--prune=now")

    assert result["outcome"] == "succeeded", result
    assert state_of(repository) == before
    assert git(upstream, "for-each-ref") == above
    assert git(repository, "show", "task-queue/task-a:work.txt") == "round"
    assert git(repository, "log", "-1", "--format=%an", "task-queue/task-a") == "Test"
    assert git(tree_of(rig), "log", "-1", "--format=%H") == result["commits"][-1]
    assert git(tree_of(rig), "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "where", short_and_long(["checkout -q -B main"], ["checkout -q -b mine", "checkout -q --detach"])
)
def test_commits_of_the_agent_land_wherever_it_made_them(make_agent_rig: MakeAgentRig, where: str) -> None:
    """And what is said to be in main is in main."""
    work = f"git {where} && echo round >> work.txt && git add . && git commit -qm Mine; echo more >> more.txt"
    rig = make_agent_rig(TwoAgents(verdict("pass"), work=work), **audited(**LANDING))
    repository = a_repository(rig)

    result = work_on(rig)

    assert (result["outcome"], len(result["commits"])) == ("succeeded", 2)
    assert result["landed"] == "task-queue/task-a is in main (fast-forward)"
    assert contains(repository, result["commits"])
    assert git(repository, "show", "main:work.txt") == "round"
    assert git(repository, "show", "main:more.txt") == "more"
    assert git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines() == [
        "main",
        "task-queue/task-a",
    ]


@pytest.mark.long
def test_commits_that_are_not_on_the_tasks_branch_are_named(make_agent_rig: MakeAgentRig) -> None:
    work = (
        "git checkout -q -b beside && echo x > beside.txt && git add . && git commit -qm Beside;"
        " git checkout -q task-queue/task-a; echo round >> work.txt"
    )
    rig = make_agent_rig(TwoAgents(verdict("pass"), work=work), **audited(**LANDING))
    repository = a_repository(rig)

    result = work_on(rig)

    told = [note for note in result["notes"] if "commits on beside of the checkout are not in" in note]
    (kept,) = (note.rpartition(" ")[2] for note in told)
    assert git(repository, "show", f"{kept}:beside.txt") == "x"
    assert git(repository, "ls-tree", "--name-only", "main").split() == ["first.txt", "work.txt"]


def removing(make_agent_rig: MakeAgentRig, command: str, *, work: str = "echo round >> work.txt") -> AgentRig:
    """Work that is done at every turn that the implementer is asked to; *command* runs once, at its end."""

    def script(request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("done")
        if just_ran(request):
            return Say("I did it")
        return bash(f"{work}; sh {rigs[0].home}/once.sh")

    rigs: list[AgentRig] = []
    rigs.append(make_agent_rig(script, **audited(retry_delay="1s", **LANDING)))
    home = rigs[0].home
    (home / "once.sh").write_text(f"[ -e {home}/once ] && exit\ntouch {home}/once\n{command}\n")
    return rigs[0]


def test_a_checkout_that_its_agent_removes_never_succeeds_empty(make_agent_rig: MakeAgentRig) -> None:
    """The attempt counts as crashed; the work is done again in a fresh checkout."""
    rig = removing(make_agent_rig, 'd="$PWD"; cd /; rm -rf "$d"')
    repository = a_repository(rig)

    result = work_on(rig)

    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert "was removed while the task worked in it" in result["attempts"][0]["reason"]
    assert git(repository, "show", "main:work.txt") == "round"


@pytest.mark.long
def test_a_checkout_that_is_removed_while_it_is_verified_is_worked_in_again(
    make_agent_rig: MakeAgentRig,
) -> None:
    """The finished implement step counts for nothing, because its files are gone."""
    rig = removing(make_agent_rig, "true")
    repository = a_repository(rig)
    tree = "$HOME/.local/share/task-queue/worktrees/*/a/task-a"
    once = f"test -e $HOME/verified || {{ touch $HOME/verified; rm -rf {tree}; }}"

    result = work_on(rig, verify=f"'{once}'")

    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert MISSING in result["notes"]
    assert git(repository, "show", "main:work.txt") == "round"
    assert contains(repository, result["commits"])


@pytest.mark.long
def test_a_checkout_that_its_agent_renames_is_found(make_agent_rig: MakeAgentRig) -> None:
    """With what is in it; the agent's own program may have ended meanwhile, and goes on there."""
    rig = removing(make_agent_rig, "cd ..; mv task-a elsewhere")
    repository = a_repository(rig)

    result = work_on(rig)

    assert result["outcome"] == "succeeded", result
    assert "the checkout had been renamed to elsewhere; it has its name again" in result["notes"]
    assert set(git(repository, "show", "main:work.txt").splitlines()) == {"round"}
    assert contains(repository, result["commits"])
