"""Repositories and disks that are odd, with the real daemon and git: what waits goes on by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.locations import locate
from tests.acceptance.audits import SLOW, a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.disks import memory_disk
from tests.waiting import eventually

LANDING = {"workflow": "single", "isolation": "worktree", "landing": "merge", "retry_delay": "1s"}


def waits(rig: Rig) -> str:
    """Why the task was given back, which costs no attempt."""
    journal = rig.pending() / ".task-a.attempts.json"
    eventually(journal.exists, timeout=SLOW, what=f"the task is given back; {rig.errors()}")
    first = json.loads(journal.read_text())["attempts"][0]
    assert (first["outcome"], first["counted"]) == ("unavailable", False)
    return str(first["reason"])


def lands(rig: Rig, repository: Path) -> None:
    result = rig.result("task-a", timeout=SLOW)
    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "landed"), result
    assert git(repository, "show", "main:work.txt") == "work"
    assert git(repository, "status", "--porcelain") == ""


def now(rig: Rig) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((rig.queue() / "results/task-a.json").read_text())
    return result


@pytest.mark.long
def test_a_disk_that_fills_while_a_checkout_is_made(make_rig: MakeRig) -> None:
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    (repository / "large.bin").write_bytes(os.urandom(3 * 2**20))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Large")
    before = git(repository, "for-each-ref", "refs/heads")
    trees = locate(rig.config, environ=rig.environment).worktrees
    trees.mkdir(parents=True, mode=0o700)
    with memory_disk(trees, "size=12m"):
        (trees / "ballast").write_bytes(bytes(10 * 2**20))
        rig.start()
        rig.drop_command("task-a", "echo work > work.txt")
        why = waits(rig)
        after = git(repository, "for-each-ref", "refs/heads/main"), git(repository, "status", "--porcelain")
        (trees / "ballast").unlink()
        lands(rig, repository)
        rig.close()

    assert why
    assert after == (before, "")


@pytest.mark.long
def test_a_disk_that_fills_while_a_result_is_amended(make_rig: MakeRig) -> None:
    """The branch lands; until there is room the result says too little, and never the wrong thing."""
    home_of = make_rig(defaults=LANDING, sweep_seconds=1, limits={"min_free_mb": 0})
    rig, repository = home_of, a_repository(home_of)
    (repository / "first.txt").write_text("mine\n")
    with memory_disk(rig.queue(), "size=2m"):
        (rig.pending()).mkdir(mode=0o700)
        rig.start()
        rig.drop_command("task-a", "echo work > work.txt; echo more >> first.txt")
        left = rig.result("task-a", timeout=SLOW)
        ballast = rig.queue() / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        git(repository, "restore", "first.txt")
        eventually((repository / "work.txt").exists, timeout=SLOW, what="it lands")
        eventually(lambda: "not landed source=a task=task-a" in rig.daemon_log(), what="it is logged")
        meanwhile = now(rig)
        ballast.unlink()
        eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the result says so")
        report = (rig.queue() / "reports/task-a.md").read_text()
        rig.close()

    assert meanwhile == left
    assert "is in main" in report


@pytest.mark.long
@pytest.mark.parametrize("part", ["HEAD:first.txt", "HEAD^{tree}"])
def test_a_corrupt_repository(make_rig: MakeRig, part: str) -> None:
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    oid = git(repository, "rev-parse", part)
    path = repository / ".git/objects" / oid[:2] / oid[2:]
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"torn")
    rig.start()
    rig.drop_command("task-a", "echo work > work.txt")
    why = waits(rig)
    path.write_bytes(whole)

    lands(rig, repository)
    assert oid[:7] in why or "corrupt" in why or str(repository) in why


@pytest.mark.long
def test_a_repository_of_another_user(make_rig: MakeRig) -> None:
    """What is to be typed is said; then the task runs."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 65534, 65534)
    rig.start()
    rig.drop_command("task-a", "echo work > work.txt")
    why = waits(rig)
    with (rig.home / ".gitconfig").open("a") as config:
        config.write(f"[safe]\n\tdirectory = {repository}\n")

    lands(rig, repository)
    assert "safe.directory" in why


def test_a_repository_that_borrows_objects_itself(make_rig: MakeRig) -> None:
    rig = make_rig(defaults=LANDING)
    repository = a_repository(rig)
    lender = rig.home / "lender"
    repository.rename(lender)
    git(rig.home, "clone", "-q", "--shared", str(lender), str(repository))
    git(repository, "commit", "-q", "--allow-empty", "-m", "Second")
    rig.start()
    rig.drop_command("task-a", "echo work > work.txt", verify="test -e first.txt")

    lands(rig, repository)


def test_a_target_that_is_deleted_while_the_task_works(make_rig: MakeRig) -> None:
    """The branch is left, and lands by itself once there is a branch of that name again."""
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    go = rig.home / "go"
    rig.start()
    rig.drop_command(
        "task-a", f"touch {rig.home}/works; while [ ! -e {go} ]; do sleep 0.05; done; echo work > work.txt"
    )
    eventually((rig.home / "works").exists, what="the task works")
    git(repository, "checkout", "-q", "--detach")
    git(repository, "branch", "-qD", "main")
    go.touch()
    left = rig.result("task-a", timeout=SLOW)
    git(repository, "checkout", "-qb", "main")
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="it lands")

    assert "there is no branch main any more" in left["landed"]
    assert (repository / "work.txt").exists()


@pytest.mark.long
def test_tasks_whose_names_differ_in_case_alone(make_rig: MakeRig) -> None:
    """Where git takes names for the same (core.ignoreCase), the second waits until the first one's checkout is gone."""
    rig = make_rig(defaults=LANDING, sweep_seconds=1)
    repository = a_repository(rig)
    git(repository, "config", "core.ignoreCase", "true")
    rig.start()
    rig.drop_command("task-A", "echo upper > upper.txt")
    first = rig.result("task-A", timeout=SLOW)
    rig.drop_command("task-a", "echo work > work.txt")
    why = waits(rig)
    rig.cli("worktrees", "prune", check=True)

    lands(rig, repository)
    assert first["landing"]["state"] == "landed"
    assert "in upper and lower case only" in why
