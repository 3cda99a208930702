"""The seam to those who want to know what happened."""

from __future__ import annotations

from collections.abc import Callable

from task_queue.domain.events import Event

Emit = Callable[[Event], None]
"""Takes note of an event; never raises, never blocks for long."""
