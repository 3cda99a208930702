"""The daemon removes what is beyond ``retention``; what ordering needs to know of it stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.sampling import short_and_long
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(110)


def test_a_dependent_of_a_pruned_task_still_runs(make_rig: MakeRig) -> None:
    """In another source, though neither the document nor the result of what it depends on is there any more."""
    rig = make_rig(sources=("a", "b"), retention={"results": {"age": "1s"}, "logs": {"age": "1s"}})
    daemon = rig.start()
    rig.drop_command("task-first", "echo first >> order")
    rig.result("task-first")

    def is_gone() -> bool:
        left = [path for path in rig.queue().rglob("task-first*") if path.is_file()]
        return not left and not (rig.queue() / "logs" / "task-first").exists()

    eventually(is_gone, timeout=30, what="the daemon removed its files")
    rig.stop(daemon)
    rig.start()
    rig.drop_command("task-second", "echo second >> order", source="b", depends_on="[task-first]")
    rig.drop_command("task-first", "echo again >> order")

    eventually(lambda: len(rig.side_effects("order")) == 3, timeout=30, what="both ran")
    assert sorted(rig.side_effects("order")) == ["again", "first", "second"]
    events = rig.cli("events", "--type", "settled", "--json").stdout
    assert "task-first.2" in events
    assert rig.cli("reindex").returncode == 0
    assert '"task-first"' in rig.cli("events", "--type", "settled", "--json").stdout


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "closed": lambda path: path.mkdir(mode=0),
    "folder": lambda path: (path / "inner").mkdir(parents=True),
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("/nowhere"),
    "rubbish": lambda path: path.write_bytes(b"[" * 200_000 + b"\n{}\n\xff"),
}


@pytest.mark.parametrize("hurdle", short_and_long(["closed"], ["folder", "fifo", "link", "rubbish"]))
def test_something_else_in_the_place_of_the_index_stops_nothing(make_rig: MakeRig, hurdle: str) -> None:
    rig = make_rig()
    index = rig.queue() / "results" / ".ended.jsonl"
    index.parent.mkdir(exist_ok=True)
    IN_THE_WAY[hurdle](index)
    rig.drop_command("task-a", "true")
    rig.start()

    assert rig.result("task-a")["success"]
    assert rig.cli("status").returncode == 0
