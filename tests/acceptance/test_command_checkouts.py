"""Configured commands in checkouts of their own; with the real daemon and git."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.audits import a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually

LANDING = {"workflow": "single", "isolation": "worktree", "landing": "merge"}


def files_in(repository: Path, ref: str = "main") -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", ref).splitlines()


def test_a_command_works_in_its_own_checkout_and_lands(make_rig: MakeRig) -> None:
    """Set up, verified in a fresh checkout, committed and merged; what set-up and verification made is in none."""
    rig = make_rig(defaults=LANDING)
    repository = a_repository(rig)
    config = json.loads(rig.config.read_text())
    config["task_source_directories"][0]["setup"] = ["mkdir deps; echo made > deps/file"]
    rig.config.write_text(json.dumps(config))
    rig.start()
    where = rig.home / "where"
    rig.drop_command(
        "task-a",
        f"pwd > {where}; cat deps/file > work.txt; echo x > .env",
        verify=json.dumps("cat deps/file work.txt"),
    )

    result = rig.result("task-a")

    assert (result["outcome"], result["isolation"]) == ("succeeded", "worktree"), result
    assert where.read_text().strip() == result["workspace"] != str(repository)
    assert files_in(repository) == ["first.txt", "work.txt"]
    assert result["commits"] == [git(repository, "rev-parse", "main")]
    assert "is in main" in result["landed"]
    assert [each["kind"] for each in result["attention"]] == ["uncommitted", "changed_judges"]
    assert git(repository, "status", "--porcelain") == ""
    assert "Task-Id: task-a" in git(repository, "log", "-1", "--format=%B")


@pytest.mark.long
def test_what_a_hook_makes_of_a_commands_work_is_verified_again(make_rig: MakeRig) -> None:
    """Once; what it adds at every commit is left out in the end."""
    rig = make_rig(defaults=LANDING)
    repository = a_repository(rig)
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho formatted > work.txt; echo x >> count; git add work.txt count\n")
    hook.chmod(0o755)
    rig.start()
    rig.drop_command("task-a", "echo line > work.txt", verify=f"cat work.txt >> {rig.home}/verified")

    result = rig.result("task-a")

    assert result["outcome"] == "succeeded", result
    assert (rig.home / "verified").read_text() == "line\nformatted\n"
    assert [git(repository, "show", f"main:{name}") for name in ("work.txt", "count")] == ["formatted", "x"]
    assert (
        "not in the commit, because the repository's hooks changed it and nothing judged it: count"
        in (result["notes"])
    )


def test_a_command_that_fails_leaves_the_workspace_alone(make_rig: MakeRig) -> None:
    """What it left is kept, and its next try goes on there."""
    rig = make_rig(defaults={**LANDING, "max_attempts": 1})
    repository = a_repository(rig)
    rig.start()
    go = rig.home / "go"
    rig.drop_command("task-a", f"echo line >> work.txt; test -e {go}")

    failed = rig.result("task-a")
    go.touch()
    rig.cli("tasks", "retry", "task-a", check=True)
    eventually((rig.queue() / "completed/task-a.md").exists, what="the retried task is done")
    result = rig.result("task-a")

    assert (failed["outcome"], failed["commits"]) == ("failed", [])
    assert any("refs/task-queue/task-a/leftovers" in note for note in failed["notes"])
    assert git(repository, "show", "main:work.txt") == "line\nline"
    assert result["outcome"] == "succeeded"


def test_a_command_whose_verification_fails_is_not_committed(make_rig: MakeRig) -> None:
    rig = make_rig(defaults={**LANDING, "max_attempts": 1})
    repository = a_repository(rig)
    rig.start()
    rig.drop_command("task-a", "echo line >> work.txt", verify="exit 3")

    result = rig.result("task-a")

    assert (result["outcome"], result["commits"]) == ("verify_failed", [])
    assert files_in(repository) == ["first.txt"]


@pytest.mark.long
def test_a_command_that_removes_its_checkout_has_crashed(make_rig: MakeRig) -> None:
    rig = make_rig(defaults={**LANDING, "max_attempts": 1})
    repository = a_repository(rig)
    rig.start()
    rig.drop_command("task-a", 'rm -rf "$PWD"')

    result = rig.result("task-a")

    assert (result["outcome"], result["state"]) == ("crashed", "failed")
    assert "was removed" in result["error"]
    assert git(repository, "status", "--porcelain") == ""


def test_without_a_repository_it_works_in_place_and_says_so(make_rig: MakeRig) -> None:
    rig = make_rig(defaults=LANDING)
    rig.start()
    rig.drop_command("task-a", "echo line >> work.txt")

    result = rig.result("task-a")

    assert (result["outcome"], result["isolation"]) == ("succeeded", "none")
    assert rig.side_effects("work.txt") == ["line"]
    assert any("not a git repository" in note for note in result["notes"])


def test_a_command_that_has_run_does_not_run_again_because_git_cannot_land_it(make_rig: MakeRig) -> None:
    """Its branch lands later, by itself."""
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    unreadable = repository / ".git/task-queue-advance.json"
    unreadable.write_text("not what the queue writes")
    rig.start()
    rig.drop_command("task-a", f"echo ran >> {rig.home}/runs; echo work > work.txt")
    result = rig.result("task-a")

    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "waiting")
    assert "cannot be read" in result["landed"]
    unreadable.unlink()
    eventually((repository / "work.txt").exists, timeout=60, what="it lands")
    assert (rig.home / "runs").read_text() == "ran\n"


def test_a_command_whose_merge_fails_the_checks_leaves_its_branch(make_rig: MakeRig) -> None:
    """It does not run again. The branch is attention, and lands by itself once the checks pass on the merge."""
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    go = rig.home / "go"
    rig.start()
    waits = f"echo ran >> {rig.home}/runs; while [ ! -e {go} ]; do sleep 0.05; done"
    fits = "test ! -e other.txt || { echo they do not fit; exit 1; }"
    rig.drop_command("task-a", f"{waits}; echo work > work.txt", verify=json.dumps(fits))
    eventually((rig.home / "runs").exists, what="the command runs")
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-qm", "Other")
    tip = git(repository, "rev-parse", "main")
    go.touch()

    result = rig.result("task-a")

    said = (
        "task-queue/task-a was not merged: together with what is in main now, checks fail:"
        f" `{fits}` failed with exit code 1"
    )
    (need,) = result["attention"]
    assert (result["outcome"], result["landed"], result["landing"]["state"]) == ("succeeded", said, "waiting")
    assert (need["kind"], need["command"]) == ("not_landed", "task-queue tasks land task-a")
    assert git(repository, "rev-parse", "main") == tip
    assert git(repository, "show", "task-queue/task-a:work.txt") == "work"
    git(repository, "rm", "-q", "other.txt")
    git(repository, "commit", "-qm", "Without it")
    eventually((repository / "work.txt").exists, timeout=60, what="it lands")
    assert (rig.home / "runs").read_text() == "ran\n"


@pytest.mark.long
def test_a_title_is_harmless_in_the_message_of_a_merge(make_rig: MakeRig) -> None:
    """Where the target moved, the merge has the title, too: without controls, and without a trailer of the queue's."""
    rig = make_rig(defaults=LANDING)
    repository = a_repository(rig)
    rig.start()
    move = f"cd {repository} && echo other > other.txt && git add other.txt && git commit -qm Other"
    rig.drop_command("task-a", f"# Mend\x1b[31m it\u202e Task-Id: task-x\necho work > work.txt\n{move}")

    result = rig.result("task-a")

    subject = git(repository, "log", "-1", "--format=%s")
    assert files_in(repository) == ["first.txt", "other.txt", "work.txt"], result
    assert subject.startswith("Merge task-queue/task-a: Mend")
    assert subject.isprintable()
    assert "Task-Id: task-x" not in git(repository, "log", "--format=%B")
