"""Secrets, large files and far too many files do not land; with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long

LANDING = {"isolation": "worktree", "landing": "merge"}
UNWANTED = {
    ".env": "echo SECRET=1 > .env",
    "deep/id_rsa": "mkdir deep; echo key > deep/id_rsa",
    "notes.txt": "printf -- '-----BEGIN EC %s KEY-----\\nabc\\n' PRIVATE > notes.txt",
    "big.bin": "head -c 5242880 /dev/urandom > big.bin",
}
MANY = "mkdir many; for n in $(seq 150); do echo $n > many/$n.tmp; done"


def worked(make: MakeAgentRig, work: str, **more: Any) -> tuple[AgentRig, Path, dict[str, Any], TwoAgents]:
    script = TwoAgents(verdict("pass"), work=f"echo round >> work.txt; {work}")
    rig = make(script, **audited(**{**LANDING, **more}))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    return rig, repository, rig.result("task-a", timeout=SLOW), script


def kinds(result: dict[str, Any]) -> list[str]:
    return [each["kind"] for each in result["attention"]]


def files_in(repository: Path, ref: str) -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", ref).splitlines()


@pytest.mark.parametrize("isolation", short_and_long(["none"], ["worktree"]))
def test_what_no_commit_should_hold_is_left_uncommitted_and_named(
    make_agent_rig: MakeAgentRig, isolation: str
) -> None:
    """All four at once; the rest lands, and the auditor sees the names alone."""
    work = "; ".join(UNWANTED.values())
    rig, repository, result, script = worked(make_agent_rig, work, isolation=isolation)

    assert result["outcome"] == "succeeded", result
    assert files_in(repository, "main") == ["first.txt", "work.txt"]
    assert kinds(result) == ["uncommitted"]
    said = "\n".join(result["notes"])
    assert all(path in said for path in UNWANTED)
    assert "SECRET" not in script.audits[0]
    assert all(path in script.audits[0] for path in UNWANTED)
    place = Path(result["workspace"])
    assert all((place / path).exists() for path in UNWANTED)
    assert git(repository, "log", "--all", "--format=", "--name-only", "--", *UNWANTED) == ""
    assert "files were left uncommitted: " in rig.cli("tasks", "show", "task-a").stdout


@pytest.mark.parametrize("path", short_and_long([".env"], sorted(UNWANTED.keys() - {".env"})))
def test_a_branch_on_which_the_agent_committed_it_does_not_land(
    make_agent_rig: MakeAgentRig, path: str
) -> None:
    """Also where a later commit removes it: it is in the history. The command that is told settles it."""
    own = f"{UNWANTED[path]}; git add -f {path}; git commit -qm Own; git rm -q {path}; git commit -qm Gone"
    _, repository, result, _ = worked(make_agent_rig, own)

    assert result["outcome"] == "succeeded", result
    assert files_in(repository, "main") == ["first.txt"]
    assert path in result["landed"]
    assert ("was not merged" in result["landed"], result["landing"]["state"]) == (True, "left")
    assert kinds(result) == ["not_landed", "unwanted"]
    assert result["attention"][0]["command"].endswith("merge task-queue/task-a")


@pytest.mark.parametrize("commits", short_and_long(["; git add -A; git commit -qm Own"], [""]))
def test_a_branch_with_far_more_files_than_asked_for_does_not_land(
    make_agent_rig: MakeAgentRig, commits: str
) -> None:
    """Nothing of it is lost: the branch has them all."""
    _, repository, result, _ = worked(make_agent_rig, f"{MANY}{commits}")

    assert result["outcome"] == "succeeded", result
    assert files_in(repository, "main") == ["first.txt"]
    assert len(files_in(repository, "task-queue/task-a")) == 152
    assert kinds(result) == ["not_landed", "much_changed"]
    assert "151 files" in result["attention"][1]["sentence"]


@pytest.mark.long
def test_far_more_files_in_place_are_left_uncommitted(make_agent_rig: MakeAgentRig) -> None:
    _, repository, result, _ = worked(make_agent_rig, MANY, isolation="none")

    assert result["outcome"] == "succeeded", result
    assert (files_in(repository, "main"), result["commits"]) == (["first.txt"], [])
    assert kinds(result) == ["uncommitted", "much_changed"]


@pytest.mark.long
def test_the_owner_says_what_is_too_much(make_agent_rig: MakeAgentRig) -> None:
    """Other patterns and limits in the configuration."""
    settings = {"never_commit": ["secret/*.txt"], "max_new_file_mb": 6, "max_new_files": 200}
    work = f"{MANY}; {UNWANTED['big.bin']}; {UNWANTED['.env']}; mkdir secret; echo x > secret/a.txt"
    script = TwoAgents(verdict("pass"), work=work)
    rig = make_agent_rig(script, git=settings, **audited(**LANDING))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    landed = files_in(repository, "main")
    assert len(landed) == 153
    assert {".env", "big.bin"} <= set(landed)
    assert "secret/a.txt" not in landed
    assert kinds(result) == ["uncommitted"]
    assert json.loads(rig.config.read_text())["git"] == settings
