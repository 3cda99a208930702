"""``plan`` before anything runs, and then the real daemon: what was foreseen is what happens."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.audits import a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig


def planned(rig: Rig) -> list[str]:
    return [task["task_id"] for task in rig.json("plan")["tasks"] if task["estimate"]["starts_at"]]


def files_of(rig: Rig) -> list[Path]:
    """All that is in its home but what the queue keeps of itself."""
    return sorted(path for path in rig.home.rglob("*") if "state" not in path.parts)


def test_the_order_of_the_plan_is_the_order_of_the_claims(make_rig: MakeRig) -> None:
    """With priorities, delays, and dependencies over sources, in one place for all.

    Which of two sources gets that place when both could is not promised: the plan lets them take turns, and the daemon
    gives it to the one that asks first. So the plan's order is that within each source, and ``needs`` comes after
    ``usual`` however soon the other source ends ``base``.
    """
    rig = make_rig(sources=("a", "b"), limits={"running": 1})
    rig.drop_command("task-20260207-120000-late", "true", priority=9, not_before="2026-01-01T00:00:00Z")
    rig.drop_command(
        "task-20260207-120001-needs", "true", depends_on="[task-20260207-120003-base]", priority=3
    )
    rig.drop_command("task-20260207-120002-usual", "true")
    rig.drop_command("task-20260207-120003-base", "true", source="b")
    rig.drop_command("task-20260207-120004-urgent", "true", source="b", priority=7)
    order = planned(rig)
    rig.start()
    for source, name in (("a", "late"), ("a", "needs"), ("a", "usual"), ("b", "base"), ("b", "urgent")):
        rig.result(next(each for each in order if each.endswith(name)), source=source)

    told = rig.cli("events", "--json", "--type", "claimed", check=True).stdout
    claims = [json.loads(each) for each in told.splitlines()]
    for source in ("a", "b"):
        of_source = {event["task_id"] for event in claims if event["source"] == source}
        assert [each["task_id"] for each in claims if each["source"] == source] == [
            each for each in order if each in of_source
        ]
    assert len(order) == len(claims) == 5
    needs = next(event for event in claims if event["task_id"].endswith("needs"))
    base = next(event for event in claims if event["task_id"].endswith("base"))
    assert claims.index(base) < claims.index(needs)


def test_problems_of_the_night_are_found_before_it(make_rig: MakeRig, tmp_path: Path) -> None:
    rig = make_rig(roots=[str(tmp_path)])
    rig.drop_command("task-1", "true", workspace=str(tmp_path / "gone"))
    rig.drop_command("task-2", "true", depends_on="[task-nowhere]")
    rig.drop_command("task-3", "true", timeout="soon")
    rig.drop("task-4", "---\nexecutor: smoke\n---\n# Lacks its executor\n")
    before = files_of(rig)

    view = rig.json("plan")

    said = {problem["task_id"]: problem["sentence"] for problem in view["problems"]}
    assert "does not exist" in said["task-1"]
    assert "there is no such task" in said["task-2"]
    assert said["task-3"].startswith("will be rejected: ")
    assert "executor 'smoke' is not configured" in said["task-4"]
    assert files_of(rig) == before
    text = rig.cli("plan").stdout
    assert "Problems" in text
    assert "task-queue tasks show task-2" in text


def test_branches_that_will_conflict_are_named(rig: Rig) -> None:
    repository = a_repository(rig)
    for number in (1, 2, 3):
        git(repository, "switch", "-q", "-c", f"task-queue/task-{number}", "main")
        name = "other.txt" if number == 3 else "total.txt"
        (repository / name).write_text(f"{number}\n")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", f"Change {number}")
    git(repository, "switch", "-q", "main")
    rig.json("plan")  # git notes what it may start there
    objects = sorted((repository / ".git" / "objects").rglob("*"))

    (conflict,) = rig.json("plan")["conflicts"]

    assert {conflict["branch"], conflict["other"]} == {"task-queue/task-1", "task-queue/task-2"}
    assert conflict["paths"] == ["total.txt"]
    assert sorted((repository / ".git" / "objects").rglob("*")) == objects
