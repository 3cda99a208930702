"""The real daemon keeps a file for Prometheus, from its start to its end."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.conftest import MakeRig
from tests.waiting import eventually


def figures(path: Path) -> dict[tuple[str, ...], float]:
    """Values by name and the values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text() if path.exists() else "")
        for sample in family.samples
    }


def test_the_file_follows_the_queue(make_rig: MakeRig, tmp_path: Path) -> None:
    path = tmp_path / "task-queue.prom"
    rig = make_rig(metrics={"file": str(path), "every": "1s"})
    daemon = rig.start()
    rig.drop_command("task-1", "echo began >> order; until test -e go; do sleep 0.02; done")
    rig.drop_command("task-2", "true")
    running = ("task_queue_tasks_running", "a")
    eventually(lambda: figures(path).get(running) == 1, what="the running task is counted")
    waiting = figures(path)["task_queue_tasks_waiting", "a"]
    (rig.workspace / "go").touch()
    ended = ("task_queue_tasks_ended_total", "a", "succeeded")
    eventually(lambda: figures(path).get(ended) == 2, what="both are counted")
    code = rig.stop(daemon)

    assert waiting == 1
    assert code == 0
    assert figures(path) == {("task_queue_up",): 0}
