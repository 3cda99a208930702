"""Counts what a piece of work does: calls of functions, and of the file system."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_FILE_EVENTS = ("open", "os.", "shutil.")
_counted: Counter[str] | None = None


def _audit(event: str, _: tuple[object, ...]) -> None:
    if _counted is not None and event.startswith(_FILE_EVENTS):
        _counted[event] += 1


sys.addaudithook(_audit)  # for ever, as such hooks are; it counts only while a test asks for it


@contextmanager
def counting() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Calls of functions, Python's and built-in ones, and of the file system, while the block runs.

    lstat(2) and the like make no audit event; they are among the built-in functions.
    """
    global _counted  # noqa: PLW0603 - an audit hook cannot be taken away again
    calls: Counter[str] = Counter()
    files: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            calls[getattr(argument, "__qualname__", "")] += 1

    _counted = files
    sys.setprofile(profile)
    try:
        yield calls, files
    finally:
        sys.setprofile(None)
        _counted = None
