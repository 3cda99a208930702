"""Starts the process that finishes what was handed in (``runner/handed_in.py``)."""

from __future__ import annotations

from task_queue.config.environment import template_environment
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import children
from task_queue.platform.records import decode, encode
from task_queue.ports.finishing import FinishedWork, FinishingRequest


class FinishingProcess:
    """The end of one attempt's work, in a process of its own."""

    def __init__(self, request: FinishingRequest) -> None:
        """Starts it. Raises OSError."""
        self._request = encode(request)
        self._process = children.ask("task_queue.runner.handed_in", template_environment())

    def stop(self) -> None:
        """Let it give up: the work can be finished later. Safe from another thread."""
        self._process.terminate()

    def finished(self) -> FinishedWork:
        """How the attempt ended, once the process has. Raises TaskQueueError: it can be tried again."""
        out, err = self._process.communicate(self._request)
        if self._process.returncode != 0:
            raise TaskQueueError(
                err.decode(errors="replace").strip() or f"it ended with exit code {self._process.returncode}"
            )
        return decode(FinishedWork, out)
