"""Many workers claim many tasks over HTTP, some leases end, and the API is killed again and again.

Counted outside of the product: by what each worker was given and did, and by the files that are there at the end.
Nothing may be given twice, nothing be lost, and first attempts are given by priority, then age.

    python -m tests.proof.claims --tasks 1000 --workers 32 --kills 8
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.api.bench import ApiBench
from tests.proof.moved_clock import VARIABLE, MovedClock
from tests.waiting import eventually

LEASE_S = 30
_SLACK_S = 2.0


@dataclass
class Given:
    """A claim that a worker was given, and what it did with it."""

    task: str
    epoch: int
    at: float
    """When it had the answer; monotonic, by the clock of the API, as the other."""
    heard_at: float
    """When it last asked about this claim and was answered."""


@dataclass
class Run:
    """What the workers wrote down."""

    given: list[Given] = field(default_factory=list[Given])
    applied: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    latency_s: list[float] = field(default_factory=list[float])
    lock: threading.Lock = field(default_factory=threading.Lock)
    faults: list[str] = field(default_factory=list[str])


class Worker(threading.Thread):
    """Claims until it is stopped. Abandons some claims: the first attempt of every *abandons*-th task."""

    def __init__(
        self, bench: ApiBench, name: str, token: str, run: Run, *, clock: MovedClock, abandons: int
    ) -> None:
        super().__init__(name=name)
        self._bench, self._token, self._run, self._abandons = bench, token, run, abandons
        self._clock = clock
        self.stopping = threading.Event()

    def run(self) -> None:
        key = uuid.uuid4().hex
        while not self.stopping.is_set():
            begun, asked_at = time.monotonic(), self._clock.monotonic()
            body = {"worker_id": self.name, "lease_seconds": LEASE_S}
            answer = self._ask("/v1/claims", body, **{"Idempotency-Key": key})
            if answer is None:
                continue  # under the same key: the answer may have been lost
            key = uuid.uuid4().hex
            status, content = answer
            if status != 200:
                self._fault(f"a claim was answered with {status}: {content}")
                continue
            if content["claim"] is None:
                self.stopping.wait(0.5)
                continue
            claim = content["claim"]
            given = Given(content["task"]["id"], claim["epoch"], self._clock.monotonic(), asked_at)
            with self._run.lock:
                self._run.latency_s.append(time.monotonic() - begun)
                self._run.given.append(given)
            self._work_on(given, claim)

    def _work_on(self, given: Given, claim: dict[str, Any]) -> None:
        if given.epoch == 1 and int(given.task.rpartition("-")[2]) % self._abandons == 0:
            return
        body = {"epoch": given.epoch, "outcome": {"kind": "succeeded", "reason": "done"}}
        while True:
            asked_at = self._clock.monotonic()
            answer = self._ask(f"/v1/claims/{claim['id']}/complete", body)
            if answer is None:
                if self.stopping.is_set():
                    return
                continue
            status, content = answer
            with self._run.lock:
                if status == 200:
                    given.heard_at = asked_at
                    self._run.applied[given.task] += content["answer"] == "applied"
                else:
                    self._run.refused[content["code"]] += 1
            if status not in {200, 409, 503}:
                self._fault(f"a report was answered with {status}: {content}")
            if status != 503:
                return

    def _ask(self, path: str, body: dict[str, Any], **more: str) -> tuple[int, Any] | None:
        """None where the API is not there, or was killed meanwhile."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._bench.port, timeout=60)
            try:
                headers = {
                    "Authorization": f"Bearer {self._token}",
                    "Content-Type": "application/json",
                    **more,
                }
                connection.request("POST", path, json.dumps(body), headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, IndexError, KeyError):
            self.stopping.wait(0.05)
            return None

    def _fault(self, what: str) -> None:
        with self._run.lock:
            self._run.faults.append(what)


@contextmanager
def working(bench: ApiBench, run: Run, workers: int, *, clock: MovedClock, abandons: int) -> Iterator[None]:
    threads = [
        Worker(bench, f"w{number}", bench.token(f"w{number}", "work"), run, clock=clock, abandons=abandons)
        for number in range(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(90)


def prove(
    home: Path,
    *,
    tasks: int,
    workers: int,
    kills: int,
    seed: int,
    abandons: int = 40,
    moves_clock: bool = False,
) -> Run:
    """*moves_clock*: leases end by that, after each kill and at the end. Raises AssertionError."""
    clock = MovedClock(home / "moved")
    dice = random.Random(seed)
    pending = home / "tasks" / "a" / "pending"
    source = {"id": "a", "path": str(pending), "served_by": "workers", "slots": workers * 2}
    bench = ApiBench(
        home,
        task_source_directories=[source],
        settle_seconds=0,
        sweep_seconds=30,
        limits={"running": workers * 2},
    )
    bench.rig.environment[VARIABLE] = str(home / "moved")
    program = (sys.executable, "-m", "tests.proof.moved_clock", "api")
    names = [
        f"task-20260101-{number // 3600:02}{number // 60 % 60:02}{number % 60:02}-{number}"
        for number in range(tasks)
    ]
    priorities = {name: dice.randint(1, 10) for name in names}
    for name in dice.sample(names, len(names)):
        keys: dict[str, Any] = {"on_lost_session": "rerun", "retry_delay": "0s", "max_attempts": 50}
        bench.rig.drop_command(name, "true", priority=priorities[name], **keys)
    bench.start(program=program)
    run = Run()
    completed = bench.rig.queue() / "completed"
    try:
        with working(bench, run, workers, clock=clock, abandons=abandons):
            for number in range(kills):
                _wait_for(completed, (number + 1) * tasks // (kills + 1))
                bench.kill()
                bench.start(program=program)
                if moves_clock:
                    clock.move(LEASE_S)  # also of those who are at work
            if moves_clock:
                eventually(lambda: len({each.task for each in run.given}) == tasks, timeout=60)
                clock.move(LEASE_S)
            _wait_for(completed, tasks)
        check(bench, run, names, priorities)
    finally:
        bench.stop()
    return run


def check(bench: ApiBench, run: Run, names: list[str], priorities: dict[str, int]) -> None:
    """Raises AssertionError."""
    assert run.faults == []
    ended = {path.stem for path in (bench.rig.queue() / "completed").glob("task-*.md")}
    assert ended == set(names), "some tasks are lost"
    assert not list(bench.rig.pending().iterdir()), "something is left in pending/"
    twice = [
        name for name, count in Counter((each.task, each.epoch) for each in run.given).items() if count > 1
    ]
    assert twice == [], "a claim was given twice"
    assert [name for name, count in run.applied.items() if count > 1] == [], "a report was applied twice"
    by_task: dict[str, list[Given]] = {}
    for each in run.given:
        by_task.setdefault(each.task, []).append(each)
    for claims in by_task.values():
        claims.sort(key=lambda each: each.epoch)
        for earlier, later in pairwise(claims):
            waited_s = later.at - earlier.heard_at
            assert waited_s >= LEASE_S - _SLACK_S, f"given again after {waited_s:.1f} s: {earlier} {later}"
    first = [
        json.loads(line)["task_id"]
        for line in bench.rig.cli(
            "events", "--type", "claimed", "--json", "--limit", "100000"
        ).stdout.splitlines()
        if json.loads(line)["attempt"] == 1
    ]
    in_order = sorted(names, key=lambda name: (-priorities[name], name))
    place = {name: number for number, name in enumerate(in_order)}
    assert [place[name] for name in first] == sorted(place[name] for name in first), "not in order"


def _wait_for(folder: Path, count: int) -> None:
    eventually(lambda: sum(1 for _ in folder.glob("task-*.md")) >= count, timeout=300)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = prove(
            Path(folder), tasks=chosen.tasks, workers=chosen.workers, kills=chosen.kills, seed=chosen.seed
        )
    quantiles = statistics.quantiles(run.latency_s, n=100)
    again = sum(each.epoch > 1 for each in run.given)
    print(
        f"{chosen.tasks} tasks, {chosen.workers} workers, {chosen.kills} kills, {time.monotonic() - begun:.0f} s:"
        f" {len(run.given)} claims, {again} of them again, 0 given twice, 0 lost, in order;"
        f" a claim took {quantiles[49] * 1000:.0f} ms (median), {quantiles[98] * 1000:.0f} ms (99 %)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
