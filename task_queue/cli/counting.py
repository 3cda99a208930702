"""How far something long is, as one line on the terminal that goes away when it is done. Nothing where none watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

_SHOWN_AFTER_S = 0.7
_BETWEEN_S = 0.1
_CLEAR = "\r\x1b[K"


class Counter(Protocol):
    """Called with how many are done, and of how many."""

    def __call__(self, done: int, of: int, /) -> None: ...


class PartCounter(Protocol):
    """Called with what is counted, too."""

    def __call__(self, what: str, done: int, of: int, /) -> None: ...


@contextmanager
def counting(what: str) -> Generator[Counter]:
    """Such as ``reading the event log: 12 of 340``, on stderr if that is a terminal."""
    with counting_parts() as count:
        yield partial(count, what)


@contextmanager
def counting_parts() -> Generator[PartCounter]:
    """The same for what has several parts, each with its own words."""
    begun = time.monotonic()
    shown_at = 0.0
    is_watched = sys.stderr.isatty()

    def count(what: str, done: int, of: int, /) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if is_watched and now - begun >= _SHOWN_AFTER_S and now - shown_at >= _BETWEEN_S:
            shown_at = now
            sys.stderr.write(f"{_CLEAR}{what}: {done:,} of {of:,}")
            sys.stderr.flush()

    try:
        yield count
    finally:
        if shown_at:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
