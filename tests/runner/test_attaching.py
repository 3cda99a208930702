"""What carries a task out gets copies of the files that came with it, and is told where they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from task_queue.agents.attached import attached
from task_queue.ports.executor import ARTIFACTS_VARIABLE
from task_queue.runner.attaching import with_artifacts
from tests.agents.test_executors import order_for


def test_copies_of_what_is_whole(tmp_path: Path) -> None:
    """What is known of a file, and what is being sent, is not for the agent."""
    artifacts, own = tmp_path / "artifacts", tmp_path / "own"
    artifacts.mkdir()
    own.mkdir()
    (artifacts / "figures `1`.csv").write_text("1,2")
    (artifacts / ".figures `1`.csv.json").write_text("{}")
    (artifacts / ".more.csv.partial").write_text("3")
    order = with_artifacts(replace(order_for(tmp_path, ""), artifacts=artifacts), own)
    folder = Path(order.env[ARTIFACTS_VARIABLE])
    (folder / "figures `1`.csv").write_text("changed")

    assert [path.name for path in folder.iterdir()] == ["figures `1`.csv"]
    assert (artifacts / "figures `1`.csv").read_text() == "1,2"
    assert attached(order).endswith(f"are in `{folder}`: ``figures `1`.csv``\n")


def test_a_task_without_files_is_told_nothing(tmp_path: Path) -> None:
    plain, empty = order_for(tmp_path, ""), tmp_path / "empty"
    empty.mkdir()
    for artifacts in (None, tmp_path / "missing", empty):
        order = with_artifacts(replace(plain, artifacts=artifacts), tmp_path)

        assert ARTIFACTS_VARIABLE not in order.env
        assert attached(order) == ""
