"""One source while it is served: its engine, its worker, and the thread in which that runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from task_queue.config.source_settings import Source
from task_queue.daemon.worker import Worker
from task_queue.domain.source_pause import SourcePause, SourcePauseState
from task_queue.ports.store import ServedEngine


@dataclass(slots=True)
class ServedSource:
    """How it stands; only the daemon's main thread changes it."""

    source: Source
    engine: ServedEngine
    worker: Worker
    thread: threading.Thread
    retiring: bool = False
    pause: SourcePauseState | None = None
    """As it was seen last, whether a command or the configuration pauses it."""
    resumed: str = ""
    """The request to resume that was seen last."""
    drained: SourcePause | None = None
    """The request to drain of which the end was reported."""

    def state(self, *, stopped: bool) -> str:
        if stopped or not self.thread.is_alive():
            return "stopped"
        if self.retiring:
            return "closing"
        if self.pause is not None:
            return self.pause
        return "unavailable" if self.worker.trouble else "serving"
