"""The lines in which the finished steps of a task's work are kept. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from task_queue.domain.attempt.proof import unsigned
from task_queue.domain.work.workflow import (
    Audited,
    CommitMade,
    Committed,
    Implemented,
    Landed,
    Prepared,
    SentBack,
    Step,
    Verified,
)

_KINDS: dict[str, Callable[..., Step]] = {
    kind.__name__.lower(): kind
    for kind in (Prepared, Implemented, Verified, Audited, CommitMade, Committed, Landed, SentBack)
}


def name_of_step(step: Step) -> str:
    return type(step).__name__.lower()


def steps_in(lines: Sequence[str]) -> list[Step]:
    """Those of genuine *lines* (``sealed_by``), up to one that a power cut has torn: it counts as not done."""
    steps: list[Step] = []
    for line in lines:
        try:
            fields: object = json.loads(unsigned(line))
            steps.append(_step(dict(fields) if isinstance(fields, dict) else {}))  # pyright: ignore[reportUnknownArgumentType] # JSON
        except (ValueError, KeyError, TypeError, RecursionError):
            break
    return steps


def of_one_work(attempts: Iterable[Sequence[Step]]) -> list[Step]:
    """The steps of attempts, the oldest first: back to the last that was prepared."""
    steps: list[Step] = []
    for found in attempts:
        if found and isinstance(found[0], Prepared):
            steps = []
        steps.extend(found)
    return steps


def _step(fields: dict[str, Any]) -> Step:
    kind = _KINDS[fields.pop("step")]
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType] # JSON
        for name, value in fields.items()
    }
    return kind(**known)
