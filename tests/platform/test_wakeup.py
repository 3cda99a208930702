"""A wake-up, and what other threads can know of the one that waits for it."""

from __future__ import annotations

import threading

from task_queue.platform.wakeup import Wakeup
from tests.waiting import eventually


def test_one_that_waits_rests_until_it_is_woken() -> None:
    """A wake-up that was not taken yet counts; two rests with work between them are not the same."""
    wakeup = Wakeup()
    works, goes_on, ends = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        while not ends.is_set():
            wakeup.wait(None)
            works.set()
            goes_on.wait(30)

    before = wakeup.rest
    thread = threading.Thread(target=serve)
    thread.start()
    eventually(lambda: wakeup.rest is not None, what="it waits")
    first, again = wakeup.rest, wakeup.rest
    wakeup.wake()
    works.wait(30)
    at_work = wakeup.rest
    goes_on.set()
    eventually(lambda: wakeup.rest is not None, what="it waits again")
    second = wakeup.rest
    ends.set()
    wakeup.wake()
    thread.join(30)

    assert (before, at_work) == (None, None)
    assert first == again != second
    wakeup.close()


def test_a_wake_up_that_is_not_taken_ends_the_rest() -> None:
    wakeup = Wakeup()
    wakeup.wait(0)
    wakeup.awake_since = None  # as while it waits
    rested = wakeup.rest
    wakeup.wake()

    assert (rested, wakeup.rest) == (1, None)
    wakeup.close()
