"""The finished steps of a task's work, in the log of its attempt.

A step is durable before the next begins. An attempt that continues an earlier one's session goes on after
the earlier one's last step; one that starts afresh begins anew.

The agent may be able to write there, too. So each line is signed, and the history of the task, which it cannot reach,
holds a seal of what was there when the attempt ended. Where there is none, because runner and daemon died
together, it is believed that there was work, and nothing that was found of it: checks are made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from task_queue.domain.attempt.proof import sealed_by, signed, unsigned
from task_queue.domain.secrets import redacted
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
from task_queue.platform.json_files import object_in
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order

_KINDS: dict[str, Callable[..., Step]] = {
    kind.__name__.lower(): kind
    for kind in (Prepared, Implemented, Verified, Audited, CommitMade, Committed, Landed, SentBack)
}


class Steps:
    """What is done so far, in order."""

    def __init__(self, order: Order, log: AttemptWriter) -> None:
        self._log = log
        self._secrets = order.secrets
        self._token = order.token
        self._sealed = order.steps
        self._written = 0
        self.done: list[Step] = _earlier_steps(order, log) if order.claim.resumes else []

    def first_instructions(self) -> dict[str, str] | None:
        """As they were before the first attempt, if its steps are known to be genuine."""
        for number, seal in sorted(self._sealed.items()):
            for step in _read(self._log.steps(number), seal):
                if isinstance(step, Prepared) and step.instructions is not None:
                    return step.instructions
        return None

    def add(self, step: Step) -> None:
        """Note *step* as done. Raises OSError if that cannot be made durable."""
        line = json.dumps({"step": type(step).__name__.lower(), **redacted(asdict(step), self._secrets)})
        self._log.add_step(signed(line, self._token, self._written))
        self._written += 1
        self.done.append(step)


def _earlier_steps(order: Order, log: AttemptWriter) -> list[Step]:
    """Steps of the attempts that this one continues, oldest first: back to the last that was prepared."""
    steps: list[Step] = []
    for number in range(1, order.claim.attempt):
        found = _read(log.steps(number), order.steps.get(number))
        if found and isinstance(found[0], Prepared):
            steps = []
        steps.extend(found)
    return steps


def _read(lines: Sequence[str], seal: str | None) -> list[Step]:
    steps: list[Step] = []
    for line in lines if seal is None else sealed_by(seal, lines):
        fields = object_in(unsigned(line))
        try:
            steps.append(_step(fields if isinstance(fields, dict) else {}))
        except (ValueError, KeyError, TypeError):
            break  # a line torn by a power cut: the step counts as not done
    return steps if seal is not None else _without_findings(steps)


def _without_findings(steps: list[Step]) -> list[Step]:
    """The work up to its first check."""
    if not isinstance(next(iter(steps), None), Prepared):
        return []
    return list(takewhile(lambda step: isinstance(step, Prepared | Implemented), steps))


def _step(fields: dict[str, Any]) -> Step:
    kind = _KINDS[fields.pop("step")]
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType] # JSON
        for name, value in fields.items()
    }
    return kind(**known)
