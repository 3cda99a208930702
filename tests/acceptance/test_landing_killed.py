"""kill -9 of the process that lands the branch of an ended task, at several points; with the real daemon and git."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.audits import SLOW, a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually

KILLS = """p=$PPID
while [ "$p" -gt 1 ]; do
  if grep -q landing_again /proc/$p/cmdline && mkdir {home}/killed; then kill -9 $p {also}; fi
  p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status)
done
"""
"""Once: the first landing process above the shell that runs this."""
ON_MAIN = 'test "$1" = {state} && grep -q " refs/heads/main$" || exit 0\n'
POINTS = {
    "while the checks run on the merge": ("verify", "", ""),
    "while the merge is made": ("pre-merge-commit", "", ""),
    "while its message is made, with git": ("commit-msg", "", "$PPID"),
    "before the target moves": ("reference-transaction", ON_MAIN.format(state="prepared"), ""),
    "before the target moves, with git": ("reference-transaction", ON_MAIN.format(state="prepared"), "$PPID"),
    "once the target has moved, with git": (
        "reference-transaction",
        ON_MAIN.format(state="committed"),
        "$PPID",
    ),
    "before the result says so": ("post-merge", "", ""),
}


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_it_lands_once_all_the_same(make_rig: MakeRig, point: str) -> None:
    """By itself, at a later try; the target has all of it, and the owner's checkout is as clean as before."""
    rig = make_rig(
        defaults={"workflow": "single", "isolation": "worktree", "landing": "merge"}, sweep_seconds=1
    )
    repository = a_repository(rig)
    where, when, also = POINTS[point]
    kills = when + KILLS.format(home=rig.home, also=also)
    script = rig.home / "kills"
    script.write_text(f"#!/bin/sh\n{kills}")
    script.chmod(0o755)
    if where != "verify":
        hook = repository / ".git/hooks" / where
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{kills}")
        hook.chmod(0o755)
    (repository / "first.txt").write_text("mine\n")
    rig.start()
    check = f"{script}; git grep -q work"
    rig.drop_command("task-a", "echo work >> first.txt", verify=json.dumps(check))
    left = rig.result("task-a", timeout=SLOW)
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-qm", "Other", "other.txt")
    git(repository, "restore", "first.txt")

    def landed() -> bool:
        result = json.loads((rig.queue() / "results/task-a.json").read_text())
        return bool(result["landing"]["state"] == "landed" and not result["attention"])

    eventually(landed, timeout=SLOW, what="the branch lands")

    assert left["landing"]["state"] == "waiting"
    assert (rig.home / "killed").exists()
    assert git(repository, "log", "--format=%s", "main").splitlines() == [
        "Merge task-queue/task-a: echo work >> first.txt",
        "Other",
        "echo work >> first.txt",
        "First",
    ]
    assert (repository / "first.txt").read_text() == "first\nwork\n"
    assert git(repository, "status", "--porcelain") == ""
    assert not (repository / ".git/task-queue-advance.json").exists()
    assert not list((repository / ".git/task-queue-before").glob("*"))
    assert not list(rig.home.glob(".local/share/task-queue/worktrees/*/a/*.merge"))
