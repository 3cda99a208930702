"""A disk that refuses one write, whichever it is: the slot is free afterwards, nothing is lost or counted."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.errors import EngineUnavailable
from task_queue.platform import durable
from tests.dispatch.claims_contract import LEASE_S, Got
from tests.dispatch.test_folder_claims import FolderBench

_WRITES = ("publish", "replace", "append", "move", "remove")


class FullDisk:
    """Refuses one write of this thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._numbers: Iterator[int] = itertools.count()
        self._refused: int | None = None
        self._thread = threading.get_ident()
        self.has_refused = False
        for name in _WRITES:
            monkeypatch.setattr(durable, name, self._wrapped(getattr(durable, name)))

    @contextmanager
    def refusing(self, number: int) -> Generator[None]:
        """The write of that *number*, from 0 on."""
        self._numbers, self._refused, self.has_refused = itertools.count(), number, False
        try:
            yield
        finally:
            self._refused = None

    def _wrapped(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def tried(path: Path, *arguments: Any, **more: Any) -> Any:
            is_counted = self._refused is not None and threading.get_ident() == self._thread
            if is_counted and next(self._numbers) == self._refused:
                self.has_refused = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return write(path, *arguments, **more)

        return tried


@pytest.mark.parametrize("step", ["claim", "report"])
def test_whichever_write_fails_nothing_stays_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    disk = FullDisk(monkeypatch)
    for refused in itertools.count():
        with_one_slot = {"slots": 1}
        bench = FolderBench(tmp_path / str(refused), a=with_one_slot)
        bench.start()
        try:
            bench.drop("task-1", max_attempts=1, priority=9)
            bench.drop("task-2", max_attempts=1)
            got = _during(bench, disk, refused, step)
            _complete_all(bench, got)

            assert bench.locks() == []
            for task_id in ("task-1", "task-2"):
                counted = [each["counted"] for each in bench.result(task_id)["attempts"]]
                assert (bench.result(task_id)["success"], sum(counted)) == (True, 1), refused
        finally:
            bench.close()
        if not disk.has_refused:
            break
    assert refused >= 3


def _during(bench: FolderBench, disk: FullDisk, refused: int, step: str) -> Got | None:
    """What the worker holds after that *step*, in which one write failed."""
    got = None if step == "claim" else bench.got()
    with disk.refusing(refused), suppress(EngineUnavailable, OSError):
        if got is None:
            return bench.claim()
        bench.report(got)
        return None
    return got


def _complete_all(bench: FolderBench, got: Got | None) -> None:
    """As a worker would that asks again and again, within a lease; it never has two at once."""
    for _ in range(30):
        if got is not None:
            bench.report(got)
        bench.clock.advance(LEASE_S / 2)
        got = bench.claim()
        if got is None and bench.has_ended("task-1") and bench.has_ended("task-2"):
            return
