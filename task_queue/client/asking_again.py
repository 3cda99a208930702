"""When a question is asked again. Only what is safe: an answer that got lost may belong to something that was done."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import SystemRandom
from typing import Generic, TypeVar

from task_queue.client.operation import HttpAnswer, Operation
from task_queue.client.problems import ApiError, Unreachable

T = TypeVar("T")
_FIRST_S = 0.25
_LONGEST_S = 10.0
_BUSY = frozenset({429, 502, 503, 504})
_chance = SystemRandom()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """``sent``: whether the server may have got the question."""

    why: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds."""

    seconds: float


class Attempts(Generic[T]):
    """At one operation. *patience_s*: how long all pauses between them may be together; 0 for one attempt."""

    def __init__(self, operation: Operation[T], *, patience_s: float) -> None:
        self._operation = operation
        self._left_s = patience_s
        self._number = 0

    def after(self, outcome: HttpAnswer | NoAnswer) -> T | Wait:
        """What the operation answers, or how long to wait before it is asked again.

        Raises ApiError, and Unreachable if there was no answer.
        """
        asked_s: float | None = None
        problem: ApiError | Unreachable
        if isinstance(outcome, HttpAnswer):
            try:
                return self._operation.result(outcome)
            except ApiError as error:
                if outcome.status not in _BUSY or not self._operation.repeatable:
                    raise
                problem, asked_s = error, error.retry_after_s
        else:
            problem = Unreachable(outcome.why, maybe_done=outcome.sent)
            if outcome.sent and not self._operation.repeatable:
                raise problem
        pause = backoff_s(self._number) if asked_s is None else asked_s
        self._number += 1
        self._left_s -= pause
        if self._left_s < 0:
            raise problem
        return Wait(pause)


def backoff_s(number: int) -> float:
    """Before attempt *number* + 2: longer each time, and by chance, so that not all clients come at once."""
    longest: float = min(_LONGEST_S, _FIRST_S * 2 ** min(number, 10))
    return longest * _chance.uniform(0.5, 1)
