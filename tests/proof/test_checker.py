"""The checker is told of a queue in order and of one that is broken in one way, and notices each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proof.checker import Dropped, Expected, problems_of

TASK = "task-a"
TEXT = b"# Do it\n"


class Queue:
    """One task that succeeded."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "queue"
        self.effects = home / "effects"
        self.effects.write_text(f"source:{TASK}:1:session\n")
        attempt = {"number": 1, "outcome": "succeeded"}
        result = {
            "task_id": TASK, "state": "completed", "success": True, "outcome": "succeeded", "error": None,
            "attempts": [attempt],
        }  # fmt: skip
        self.write(f"completed/{TASK}.md", TEXT)
        self.write(f"results/{TASK}.json", json.dumps(result).encode())
        self.write(f"logs/{TASK}/attempt-1/outcome.json", b'{"outcome": {"kind": "succeeded"}}')

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        (self.root / Path(name).parts[0]).mkdir(parents=True, mode=0o700, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)

    def change_result(self, **keys: object) -> None:
        path = self.root / "results" / f"{TASK}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    def problems(self, expected: Expected = Expected()) -> list[str]:  # noqa: B008 - a value
        return problems_of(self.home, self.root, self.effects, {TASK: Dropped(TEXT, expected)})


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


BREAKAGES: dict[str, tuple[Callable[[Queue], object], str]] = {
    "the document is gone": (lambda q: (q.root / f"completed/{TASK}.md").unlink(), "LOST"),
    "it lies in two folders": (lambda q: q.write(f"pending/{TASK}.md", TEXT), "DOUBLED"),
    "another text": (lambda q: q.write(f"completed/{TASK}.md", b"# Do"), "is damaged"),
    "it never acted": (lambda q: q.effects.write_text(""), "LOST"),
    "it acted twice": (lambda q: q.effects.write_text(f"source:{TASK}:1:session\n" * 2), "DOUBLED"),
    "no result": (lambda q: (q.root / f"results/{TASK}.json").unlink(), "has no result"),
    "a torn result": (lambda q: q.write("results/task-b.json", b'{"task_'), "torn"),
    "a result of another place": (lambda q: q.change_result(state="failed"), "lies in completed"),
    "a success that failed": (lambda q: q.change_result(outcome="failed"), "outcome=failed in completed"),
    "an attempt counted twice": (
        lambda q: q.change_result(attempts=[{"number": 1, "outcome": "succeeded"}] * 2),
        "are numbered [1, 1]",
    ),
    "an ending that says otherwise": (
        lambda q: q.write(f"logs/{TASK}/attempt-1/outcome.json", b'{"outcome": {"kind": "failed"}}'),
        "journal and ending differ",
    ),
    "a lock is left": (lambda q: q.write(f"pending/.{TASK}.lock", b"{}"), "left in pending"),
    "a temporary is left": (lambda q: q.write("results/.tq-1-1-abc", b""), "temporary left"),
    "nobody's document": (lambda q: q.write("failed/task-z.md", TEXT), "never dropped"),
    "others may read it": (lambda q: (q.root / f"results/{TASK}.json").chmod(0o644), "others may read"),
}


def test_a_queue_in_order(queue: Queue) -> None:
    assert queue.problems() == []


@pytest.mark.parametrize("name", BREAKAGES)
def test_it_notices(queue: Queue, name: str) -> None:
    """Each by its own words."""
    breaks, words = BREAKAGES[name]
    breaks(queue)

    assert any(words in problem for problem in queue.problems())


def test_what_must_not_act_and_did_is_doubled(queue: Queue) -> None:
    """As a task that was cancelled before it began."""
    assert any("DOUBLED" in problem for problem in queue.problems(Expected(effects=(0, 0))))
