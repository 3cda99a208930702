"""Workspaces that are submodules, have one, or say themselves where their files are: with the real daemon and git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long

LANDING = {"workflow": "single", "isolation": "worktree", "landing": "merge"}
ALLOWED = ("-c", "protocol.file.allow=always")
USE_MORE_OF_THE_LIBRARY = (
    "test -e vendor/first.txt && exit; git -c protocol.file.allow=always submodule --quiet update --init"
    " && echo more > vendor/more.txt && git -C vendor add . && git -C vendor commit -qm More && git add vendor"
)


def with_submodule(rig: AgentRig) -> Path:
    """The workspace, with a library as its submodule ``vendor``."""
    repository, library = a_repository(rig), rig.home / "library.git"
    git(rig.home, "clone", "-q", "--bare", str(repository), str(library))
    git(repository, *ALLOWED, "submodule", "--quiet", "add", str(library), "vendor")
    git(repository, "commit", "-qm", "Add the library")
    return repository


@pytest.mark.parametrize("kind", short_and_long(["submodule"], ["core.worktree", "worktreeConfig"]))
def test_work_lands_in_an_odd_workspace(make_agent_rig: MakeAgentRig, kind: str) -> None:
    """Its own branch has the commit, its files follow, and its configuration stays."""
    rig = make_agent_rig(TwoAgents(), **audited(**LANDING))
    place = with_submodule(rig) / "vendor" if kind == "submodule" else a_repository(rig)
    if kind == "core.worktree":
        git(place, "config", "core.worktree", str(place))
    if kind == "worktreeConfig":
        git(place, "config", "extensions.worktreeConfig", "true")
        git(place, "config", "--worktree", "user.name", "Of this worktree")
    before = git(place, "config", "--list", "--show-origin")
    rig.start()
    rig.ask("task-a", "# Write a line", workspace=place)

    result = rig.result("task-a", timeout=SLOW)
    assert (result["outcome"], result["landed"]) == (
        "succeeded",
        "task-queue/task-a is in main (fast-forward)",
    ), result
    assert (place / "work.txt").read_text() == "round\n"
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "config", "--list", "--show-origin") == before
    assert git(place, "log", "-1", "--format=%an") == (
        "Of this worktree" if kind == "worktreeConfig" else "Test"
    )


@pytest.mark.long
def test_a_submodules_commit_that_only_the_checkout_has(make_agent_rig: MakeAgentRig) -> None:
    """It does not land, and its checkout, beyond the limits, stays: the list and the next result say why."""
    script = TwoAgents(work=f"({USE_MORE_OF_THE_LIBRARY}); echo round >> $(basename $PWD).txt")
    rig = make_agent_rig(script, git={"keep_worktrees": 0}, **audited(**LANDING))
    repository = with_submodule(rig)
    before = git(repository, "rev-parse", "main")
    rig.start()
    rig.ask("task-a", "# Use more of the library")
    result = rig.result("task-a", timeout=SLOW)
    after = git(repository, "rev-parse", "main")
    pruned = rig.json("worktrees", "prune")
    script.work = "echo round >> other.txt"
    rig.ask("task-b", "# Write a line")
    other = rig.result("task-b", timeout=SLOW)

    assert (result["outcome"], result["landing"]["state"], after) == ("succeeded", "waiting", before), result
    assert "which only the task's checkout has; push it first: " in result["landed"]
    (kept,) = pruned["kept"]
    assert kept["why_kept"] == "commits that only the submodule vendor has"
    told = (
        "beyond the limits, but kept: the working tree of task-a (commits that only the submodule vendor has)"
    )
    assert any(note.startswith(told) for note in other["notes"]), other["notes"]
    assert other["landing"]["state"] == "landed"
