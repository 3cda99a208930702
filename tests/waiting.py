"""Waiting for a condition with a deadline, instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL = threading.Event()


def within(seconds: float, probe: Callable[[], object]) -> bool:
    """Whether *probe* has become true before *seconds* were over."""
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() >= deadline:
            return False
        _POLL.wait(0.01)
    return True


def eventually(probe: Callable[[], T], *, timeout: float = 60.0, what: str = "") -> T:
    """The first truthy answer of *probe*; AssertionError after *timeout* seconds."""
    answers: list[T] = []

    def answered() -> T:
        answers[:] = [probe()]
        return answers[0]

    if not within(timeout, answered):
        raise AssertionError(f"not within {timeout} s: {what or probe}")
    return answers[0]
