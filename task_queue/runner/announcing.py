"""What a runner reports of its attempt while it works: phases and turns, read from the transcript as it is written.

Turns can come quicker than a person reads, so of those of one second only the first is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

from task_queue.domain.attempt.current_phase import PHASE
from task_queue.domain.events import AttemptStarted, PhaseEnded, PhaseStarted, TurnTaken
from task_queue.domain.work.workflow import Finish
from task_queue.ports.emit import Emit
from task_queue.ports.executor import Order, Transcript

_BETWEEN_TURNS_S = 1.0
_FINISH = Finish.__name__.lower()
"""Not a phase of work: it only says how the attempt ends."""


class AnnouncingTranscript:
    """Passes every envelope on to *transcript*, and emits what it says of phases and turns."""

    def __init__(
        self,
        transcript: Transcript,
        order: Order,
        emit: Emit,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transcript = transcript
        self._about = (order.source, order.claim.task_id, order.claim.attempt)
        self._emit = emit
        self._monotonic = monotonic
        self._phase: str | None = None
        self._began = 0.0
        self._messages: set[str] = set()
        self._told_at = -_BETWEEN_TURNS_S
        emit(AttemptStarted(*self._about, order.settings.executor, order.claim.resumes))
        if not order.uses_agent:  # with the commands that verify it
            self._begin("command")

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        self._transcript.write(direction, raw)
        if isinstance(raw, str):
            return
        if direction == "note" and raw.get("type") == PHASE:
            self._begin(str(raw.get("phase")))
        elif direction == "in" and raw.get("type") == "assistant":
            self._answered(raw)

    def end(self) -> None:
        """No phase follows."""
        if self._phase is not None:
            took = timedelta(seconds=round(self._monotonic() - self._began, 3))
            self._emit(PhaseEnded(*self._about, self._phase, took))
            self._phase = None

    def _begin(self, phase: str) -> None:
        self.end()
        if phase != _FINISH:
            self._phase, self._began = phase, self._monotonic()
            self._emit(PhaseStarted(*self._about, phase))

    def _answered(self, frame: Mapping[str, Any]) -> None:
        """The frames of one answer share an id; those of subagents are not turns of the agent."""
        message: object = frame.get("message")
        if frame.get("parent_tool_use_id") is not None or not isinstance(message, dict):
            return
        answer = cast("dict[str, Any]", message)
        identity = answer.get("id")
        if not isinstance(identity, str) or identity in self._messages:
            return
        self._messages.add(identity)
        now = self._monotonic()
        if now - self._told_at >= _BETWEEN_TURNS_S:
            self._told_at = now
            self._emit(TurnTaken(*self._about, self._phase, len(self._messages), _tool_in(answer)))


def _tool_in(answer: Mapping[str, Any]) -> str | None:
    """The tool that the answer calls, as far as its first frame says so."""
    content: object = answer.get("content")
    for block in cast("list[object]", content) if isinstance(content, list) else ():
        match block:
            case {"type": "tool_use", "name": str(name)}:
                return name
            case _:
                pass
    return None
