"""The finished steps of a task's work, in the log of its attempt.

A step is durable before the next begins. An attempt that continues an earlier one's session goes on after
the earlier one's last step; one that starts afresh begins anew.

The agent may be able to write there, too. So each line is signed, and the history of the task, which it cannot reach,
holds a seal of what was there when the attempt ended. Where there is none, because runner and daemon died
together, lines count that the state folder has a seal of: it is believed that there was work, and nothing that was
found of it. Checks are made again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

from task_queue.domain.attempt.proof import seal_of, sealed_by, signed
from task_queue.domain.secrets import redacted
from task_queue.domain.work.step_lines import name_of_step, of_one_work, steps_in
from task_queue.domain.work.workflow import Implemented, Prepared, Step, steps_kept
from task_queue.platform import durable
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order

_SEAL_LIMIT = 100


class Steps:
    """What is done so far, in order."""

    def __init__(self, order: Order, log: AttemptWriter) -> None:
        self._log = log
        self._secrets = order.secrets
        self._token = order.token
        self._lines: list[str] = []
        self._witness = _witness_of(order, order.claim.attempt)
        self._sealed = order.steps
        self.done: list[Step] = _earlier_steps(order, log) if order.claim.resumes else []

    def first_instructions(self) -> dict[str, str] | None:
        """As they were before the first attempt, if its steps are known to be genuine."""
        for number, seal in sorted(self._sealed.items()):
            for step in _read(self._log.steps(number), seal, witness=None):
                if isinstance(step, Prepared) and step.instructions is not None:
                    return step.instructions
        return None

    def add(self, step: Step) -> None:
        """Note *step* as done. Raises OSError if that cannot be made durable."""
        line = json.dumps({"step": name_of_step(step), **redacted(asdict(step), self._secrets)})
        self._lines.append(signed(line, self._token, len(self._lines)))
        self._log.add_step(self._lines[-1])
        self.done.append(step)
        if self._witness is not None and isinstance(step, Prepared | Implemented):
            durable.make_directory(self._witness.parent)
            durable.replace(self._witness, seal_of(self._lines, self._token).encode())


def forget_witness(order: Order) -> None:
    """The attempt has ended, so that its history has the seal."""
    for attempt in range(1, order.claim.attempt + 1):
        path = _witness_of(order, attempt)
        if path is not None:
            with suppress(OSError):  # it says nothing that is not true
                path.unlink(missing_ok=True)


def _witness_of(order: Order, attempt: int) -> Path | None:
    """Where the seal of the steps of *attempt* is while it is at work."""
    name = sha256(f"{order.claim.session_id} {attempt}".encode()).hexdigest()[:16]
    return order.git.trusted / "steps" / name if order.git.trusted is not None else None


def _earlier_steps(order: Order, log: AttemptWriter) -> list[Step]:
    """Steps of the attempts that this one continues, as far as a person wants them to count."""
    steps = of_one_work(
        _read(log.steps(number), order.steps.get(number), witness=_witness_of(order, number))
        for number in range(1, order.claim.attempt)
    )
    return steps if order.begin_at is None else list(steps_kept(steps, order.begin_at))


def _read(lines: Sequence[str], seal: str | None, *, witness: Path | None) -> list[Step]:
    steps = steps_in(sealed_by(_seal_in(witness) if seal is None else seal, lines))
    return steps if seal is not None else _without_findings(steps)


def _seal_in(witness: Path | None) -> str:
    """Empty, which seals nothing, where there is none."""
    with suppress(OSError):
        if witness is not None:
            return durable.read_regular(witness, limit=_SEAL_LIMIT)[0].decode(errors="replace")
    return ""


def _without_findings(steps: list[Step]) -> list[Step]:
    """The work up to its first check."""
    if not isinstance(next(iter(steps), None), Prepared):
        return []
    return list(takewhile(lambda step: isinstance(step, Prepared | Implemented), steps))
