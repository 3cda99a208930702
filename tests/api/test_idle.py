"""What the process of the API does while nobody asks it: it sleeps."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.bench import ApiBench
from tests.api.test_stream_attacks import opened
from tests.processes import waits_ended
from tests.waiting import within

_WATCHED_S = 2.0


def falls_asleep(bench: ApiBench, *, most: int = 1) -> bool:
    """Whether there comes a time in which it is woken at most *most* times; after its start it has things to do."""
    assert bench.process is not None
    pid = bench.process.pid

    def is_quiet() -> bool:
        before = waits_ended(pid)
        return not within(_WATCHED_S, lambda: waits_ended(pid) - before > most)

    return within(20, is_quiet)


def test_an_idle_api_wakes_for_nothing(a_bench: Callable[..., ApiBench]) -> None:
    """It has no clock of its own, however often sources are swept."""
    bench = a_bench(sweep_seconds=0.1)
    bench.start()
    bench.get("/v1/tasks", token=bench.token("reader", "read"))

    assert falls_asleep(bench)


def test_streams_on_which_nothing_happens_look_at_nothing(bench: ApiBench) -> None:
    """They are woken to look whether their credential is still good, and by what happens."""
    token = bench.token("reader", "read")
    with opened(bench, token, 20) as clients:
        assert falls_asleep(bench, most=40)
        bench.post("/v1/sources/a/pause")
        for client in clients:
            seen = b""
            while b"sources pause" not in seen:
                seen += client.recv(65536)
