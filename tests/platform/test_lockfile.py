"""Locks between real processes: one holder, and none once it is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from task_queue.platform.lockfile import FileLock, locked, locked_itself
from tests.acceptance.rig import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(60)
_HOLD = """
import sys, pathlib
from task_queue.platform.lockfile import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
assert lock.acquire("the other one")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock at *path* until its stdin ends, or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_holder_is_named_and_keeps_it(tmp_path: Path) -> None:
    """Without waiting, and for a while; the kernel frees it when its holder is killed."""
    lock = FileLock(tmp_path / "lock")
    with other_holder(tmp_path / "lock") as other:
        at_once, holder = lock.acquire("us"), lock.holder()
        began = time.monotonic()
        for_a_while, took = lock.take(within_s=0.05), time.monotonic() - began
        with pytest.raises(TimeoutError), locked(tmp_path / "lock", within_s=0.05):
            pass
        asked = count(1)
        given_up = lock.take(within_s=30, give_up=lambda: next(asked) == 3)
        other.send_signal(signal.SIGKILL)
        other.wait()

    assert (given_up, next(asked)) == (False, 4)
    assert (at_once, for_a_while, holder) == (False, False, "the other one")
    assert took >= 0.05
    assert lock.acquire("us")
    assert lock.holder() == "us"
    lock.release()


@pytest.mark.parametrize("within_s", [None, 30.0])
def test_it_is_waited_for(tmp_path: Path, within_s: float | None) -> None:
    """In the kernel, or up to a time; it comes when the holder is killed."""
    lock = FileLock(tmp_path / "lock")
    came: list[bool] = []
    with other_holder(tmp_path / "lock") as other:
        opened = len(list(Path("/proc/self/fd").iterdir()))
        waits = threading.Thread(target=lambda: came.append(lock.take(within_s=within_s)))
        waits.start()
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) > opened, what="it waits")
        early = list(came)
        other.kill()
        other.wait()
        waits.join(30)

    assert (early, came) == ([], [True])
    lock.release()


def test_a_block_gives_it_back(tmp_path: Path) -> None:
    """Also when it fails; another then gets it, though the file is still open here."""
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    meanwhile: list[bool] = []

    def fails() -> None:
        with lock.held():
            meanwhile.append(other.take(within_s=0))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    afterwards = other.take(within_s=0)
    other.release()
    with lock.held(within_s=0):
        pass

    assert (meanwhile, afterwards) == ([False], True)


def test_a_file_that_was_put_in_its_place_is_the_lock(tmp_path: Path) -> None:
    """What was deleted protects nothing: who holds it is asked again, and gets or misses the new one."""
    path = tmp_path / "lock"
    lock = FileLock(path)
    assert lock.acquire("us")
    path.unlink()
    anew = lock.acquire("us again")
    holder = lock.holder()
    path.unlink()
    with other_holder(path):
        lost = lock.acquire("us")

    assert (anew, holder, lost) == (True, "us again", False)
    lock.release()


def test_one_that_waits_for_a_deleted_file_gets_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    with other_holder(path):
        assert not lock.take(within_s=0)
        path.unlink()

        assert lock.take(within_s=0)
    lock.release()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("text")
    (tmp_path / "lock").symlink_to(victim)
    lock = FileLock(tmp_path / "lock")

    with pytest.raises(OSError, match="symbolic links"):
        lock.acquire("us")

    assert (lock.holder(), victim.read_text()) == ("", "text")


def test_a_holder_in_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")

    assert FileLock(tmp_path / "lock").holder() == ""


def test_a_file_is_locked_itself(tmp_path: Path) -> None:
    """The second finds that the first took it away."""
    path = tmp_path / "document"
    path.touch()
    found: list[bool] = []

    def second() -> None:
        with locked_itself(path) as there:
            found.append(there)

    with locked_itself(path) as there:
        found.append(there)
        opened = len(list(Path("/proc/self/fd").iterdir()))
        waits = threading.Thread(target=second)
        waits.start()
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) > opened, what="the second waits")
        path.rename(tmp_path / "elsewhere")
        path.touch()
    waits.join(30)

    assert found == [True, False]
    with pytest.raises(FileNotFoundError), locked_itself(tmp_path / "missing"):
        pass
