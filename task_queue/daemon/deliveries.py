"""The process that delivers one message: started, given its time, ended with all that it started.

It is a process (``app/delivering.py``) because what it runs is a person's program or a library that talks to the
network: neither may hang or crash the queue, nor see what is in its memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress

from task_queue.config.environment import notifier_environment
from task_queue.platform import children
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.ports.notification import Delivered, Delivery

_TO_START_S = 10.0
"""Besides the time that the delivery itself may take."""


class DeliveryProcess:
    """One try of one delivery."""

    def __init__(self, delivery: Delivery) -> None:
        """Starts it. Raises OSError."""
        self._delivery = delivery
        self._gives_up_at = time.monotonic() + delivery.timeout_s + _TO_START_S
        self._process = children.ask("task_queue.app.delivering", notifier_environment())

    def stop(self) -> None:
        """End it, and what it started. Safe from another thread."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def outcome(self) -> Delivered:
        """What came of it, once it has ended or its time is over."""
        with self._process as process:
            try:
                out, err = process.communicate(
                    encode(self._delivery), timeout=max(0.0, self._gives_up_at - time.monotonic())
                )
            except subprocess.TimeoutExpired:
                self.stop()
                return Delivered(False, f"it did not end within {self._delivery.timeout_s:g} s")
        try:
            return decode(Delivered, out)
        except UnreadableRecordError:
            said = err.decode(errors="replace").strip().splitlines()
            return Delivered(False, said[-1] if said else f"it ended with exit code {process.returncode}")
