"""Ours, its peers and the limit side by side, in turns: ``python -m benchmarks --part peers``."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import NotInTimeError, quantile
from benchmarks.peers import limit
from benchmarks.peers.job import Pipe
from benchmarks.peers.kinds import Peer
from benchmarks.peers.libraries import Huey, Procrastinate, Rq
from benchmarks.peers.ours import Ours
from benchmarks.peers.spoolers import Nq, TaskSpooler

PEERS: tuple[Peer, ...] = (
    Ours(1),
    Ours(2),
    Huey(),
    Rq(syncs=True),
    Rq(syncs=False),
    Rq(syncs=True, forks=False),
    Procrastinate(),
    Nq(),
    TaskSpooler(),
)
_ROUNDS = {Size.SHORT: 3, Size.FULL: 5}
_JOBS = {Size.SHORT: 100, Size.FULL: 1000}
_CALLS = {Size.SHORT: 10, Size.FULL: 50}
_LONGEST_PAUSE_S = 0.3
"""Between two calls to an idle queue; by chance, so that no call meets a poll at the same place each time."""
JOBS, CALL, HAND_IN = "jobs per s", "call to start of the job, ms", "handing in, ms each"
OF_LIMIT, OF_DURABLE, OF_OURS = (
    "share of the limit",
    "share of durable publications",
    "to task-queue with 1 source",
)
LIMIT = "the limit: the job's program alone"
_PUBLISHED = "the limit: create, fsync, rename, fsync the folder"


def measure(size: Size) -> Findings:
    """Each round measures every peer and the limit once; the ratios are taken within a round."""
    found = Findings("peers", size)
    peers = _those_here(found)
    rounds = [_round(peers, size, number, found) for number in range(_ROUNDS[size])]
    names = [name for name in (LIMIT, *(peer.name for peer in peers)) if all(name in each for each in rounds)]
    for name in names:
        found.add(JOBS, name, [each[name][0] for each in rounds])
    for name in names:
        found.add(OF_LIMIT, name, [each[name][0] / each[LIMIT][0] for each in rounds], "x")
    for name in names[1:]:
        found.add(OF_DURABLE, name, [each[name][0] / each[_PUBLISHED][0] for each in rounds], "x")
    ours = PEERS[0].name
    for name in names:
        found.add(OF_OURS, name, [each[name][0] / each[ours][0] for each in rounds], "x")
    for name in names[1:]:
        found.add(CALL, f"{name}, median", [median(each[name][1]) for each in rounds])
        found.add(CALL, f"{name}, p95", [quantile(each[name][1], 0.95) for each in rounds])
        found.add(HAND_IN, name, [each[name][2] for each in rounds])
    return found


_Measured = tuple[float, Sequence[float], float]
"""Jobs per second, ms from each call to its job, ms to hand one in."""


def _those_here(found: Findings) -> list[Peer]:
    here: list[Peer] = []
    for peer in PEERS:
        why = peer.why_not()
        if why is None:
            here.append(peer)
            found.promises[peer.name] = peer.promise
        else:
            found.skip(peer.name, why)
    return here


def _round(peers: Sequence[Peer], size: Size, number: int, found: Findings) -> dict[str, _Measured]:
    done: dict[str, _Measured] = {}
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as name:
        folder = Path(name)
        pipe = Pipe(folder)
        done[LIMIT] = limit.starts(pipe.job, _JOBS[size]), (), 0.0
        pipe.close()
        found.add("machine, per s", "rename", limit.renames(folder, 20_000))
        done[_PUBLISHED] = limit.publications(folder, _JOBS[size]), (), 0.0
        found.add("machine, per s", _PUBLISHED, done[_PUBLISHED][0])
        found.add("machine, per s", "start of /bin/true", limit.starts(["/bin/true"], _JOBS[size]))
    for peer in peers:
        progress(f"round {number + 1} of {_ROUNDS[size]}: {peer.name}")
        try:
            done[peer.name] = _measured(peer, size)
        except (NotInTimeError, AssertionError, OSError) as error:
            found.skip(f"{peer.name}, round {number + 1}", str(error) or repr(error))
    return done


def _measured(peer: Peer, size: Size) -> _Measured:
    folder = Path(tempfile.mkdtemp(prefix="tq-bench-"))
    jobs, calls = _JOBS[size], _CALLS[size]
    pipe = Pipe(folder)
    try:
        with peer.opened(folder, pipe.job) as queue:
            began = time.perf_counter()
            queue.enqueue(jobs)
            hand_in_ms = 1000 * (time.perf_counter() - began) / jobs
            queue.work()
            first = began if peer.starts_at_once else pipe.wait(1)
            counted = jobs if peer.starts_at_once else jobs - 1
            rate = counted / (pipe.wait(jobs) - first)
            waits: list[float] = []
            for number in range(calls):
                time.sleep(random.uniform(_LONGEST_PAUSE_S / 3, _LONGEST_PAUSE_S))
                asked = time.perf_counter()
                queue.enqueue(1)
                waits.append(1000 * (pipe.wait(jobs + number + 1) - asked))
            return rate, waits, hand_in_ms
    finally:
        pipe.close()
        shutil.rmtree(folder, ignore_errors=True)
