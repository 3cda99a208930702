"""When a host is dead for another one: never from a time in which that one could not see it live."""

from __future__ import annotations

from task_queue.domain.peers import LEASE_S, PeerWatch, must_stop

PEER = ("builder", 1)


def looks(watch: PeerWatch, seconds: float, *, beats: int = 7, start: float = 0.0) -> float:
    """Look each second, with the number standing still; the time of the last look. Asserts that none is dead."""
    at = start
    while at <= start + seconds:
        assert watch.look({PEER: beats}, at) == ()
        at += 1
    return at - 1


def test_a_number_that_stands_still_for_the_lease_is_of_a_dead_host() -> None:
    watch = PeerWatch()
    last = looks(watch, LEASE_S - 1)

    assert watch.look({PEER: 7}, last + 1) == (PEER,)


def test_a_single_beat_begins_the_lease_anew() -> None:
    watch = PeerWatch()
    last = looks(watch, LEASE_S - 1)
    last = looks(watch, LEASE_S - 1, beats=8, start=last + 1)

    assert watch.look({PEER: 8}, last + 1) == (PEER,)


def test_an_outage_of_the_database_expires_nobody() -> None:
    """However long it was, and although the number is the same after it: the peer was cut off, too."""
    watch = PeerWatch()
    last = looks(watch, LEASE_S - 1)
    watch.lose_sight()
    looks(watch, LEASE_S - 1, start=last + 1)


def test_a_process_that_was_frozen_expires_nobody() -> None:
    """What it would have seen meanwhile it does not know; perhaps all were frozen."""
    watch = PeerWatch()
    last = looks(watch, LEASE_S - 1)
    looks(watch, LEASE_S - 1, start=last + 1000)


def test_a_host_that_joined_again_is_another() -> None:
    watch = PeerWatch()
    last = looks(watch, LEASE_S - 1)

    assert watch.look({("builder", 2): 7}, last + 1) == ()


def test_a_host_that_is_not_heard_stops_before_others_take_over() -> None:
    assert not must_stop(100, 100 + LEASE_S / 2 - 1)
    assert must_stop(100, 100 + LEASE_S / 2)
