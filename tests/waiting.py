"""Waiting for a condition with a deadline, instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL = threading.Event()


def eventually(probe: Callable[[], T], *, timeout: float = 20.0, what: str = "") -> T:
    """The first truthy answer of *probe*; AssertionError after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or probe}")
        _POLL.wait(0.01)
