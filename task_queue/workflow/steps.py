"""The finished steps of a task's work, on disk: ``steps.jsonl`` in the attempt's folder.

A step is durable before the next begins. An attempt that continues an earlier one's session goes on after
the earlier one's last step; one that starts afresh begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from task_queue.domain.workflow import Audited, Committed, Implemented, Landed, Prepared, Step, Verified
from task_queue.platform import durable
from task_queue.ports import Order

FILE = "steps.jsonl"
_KINDS: dict[str, Callable[..., Step]] = {
    kind.__name__.lower(): kind for kind in (Prepared, Implemented, Verified, Audited, Committed, Landed)
}


class Steps:
    """What is done so far, in order."""

    def __init__(self, order: Order) -> None:
        self._path = order.attempt_dir / FILE
        self.done: list[Step] = _earlier_steps(order) if order.claim.resumes else []

    def add(self, step: Step) -> None:
        """Note *step* as done. Raises OSError if that cannot be made durable."""
        line = {"step": type(step).__name__.lower(), **asdict(step)}
        durable.append(self._path, json.dumps(line).encode() + b"\n")
        self.done.append(step)


def _earlier_steps(order: Order) -> list[Step]:
    """Steps of the attempts that this one continues, oldest first: back to the last that was prepared."""
    steps: list[Step] = []
    for number in range(1, order.claim.attempt):
        found = _read(order.attempt_dir.with_name(f"attempt-{number}") / FILE)
        if found and isinstance(found[0], Prepared):
            steps = []
        steps.extend(found)
    return steps


def _read(path: Path) -> list[Step]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    steps: list[Step] = []
    for line in lines:
        try:
            steps.append(_step(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            break  # a line torn by a power cut: the step counts as not done
    return steps


def _step(fields: dict[str, Any]) -> Step:
    kind = _KINDS[fields.pop("step")]
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType] # JSON
        for name, value in fields.items()
    }
    return kind(**known)
