"""Hosts of a fleet claim as fast as they can, each a process of its own; some are killed with what they have in hand.

Counted outside of the product: each claimer appends a line to one file when a task begins and when it ends.

    python -m tests.proof.fleet_claims --tasks 10000 --claimers 32 --kills 4
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document.ordering import Ready
from task_queue.domain.errors import ClaimHeld
from task_queue.domain.model import Claim
from task_queue.domain.task import TaskState
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.hosts import Lifeline
from task_queue.fleet.schema import set_up
from task_queue.platform.clock import SystemClock
from tests.fleet.cluster import own_cluster, why_no_cluster
from tests.fleet.joining import joined
from tests.store.contract import DONE, NOW
from tests.waiting import within

_DOCUMENT = b"---\nexecutor: noop\n---\nnothing\n"
_BEAT_S = 1.0
_PATIENCE_S = 1200.0


@dataclass
class ClaimsReport:
    """Counts of violations, and what was seen."""

    tasks: int
    claimers: int
    killed: int
    took_s: float = 0.0
    starts: int = 0
    again: int = 0
    """Begun a second time; allowed where the first claimer was killed."""
    doubled: int = 0
    lost: int = 0
    order: int = 0
    """Begun before one of its source that was dropped earlier."""
    overlap: int = 0
    """Begun while another one of its source ran."""

    @property
    def violations(self) -> int:
        return self.doubled + self.lost + self.order + self.overlap


class Claimer:
    """One host; every source has one slot over all of them."""

    def __init__(self, address: FleetAddress, name: str, sources: int, notes: Path, scratch: Path) -> None:
        self._name, self._notes = name, notes
        database = Database(address)
        self._owner = joined(database, name)
        self._engines = {
            source: FleetEngine(database, source, self._owner, slots=lambda: 1, scratch=scratch)
            for source in (f"s{number}" for number in range(sources))
        }
        self._lifeline = Lifeline(Database(address), self._owner, SystemClock())
        threading.Thread(target=self._beat, daemon=True).start()

    def work(self) -> None:
        """Until nothing is left in any source."""
        chance = random.Random(self._name)
        open_sources = list(self._engines)
        while open_sources:
            source = chance.choice(open_sources)
            if not self._look(source, self._engines[source]):
                open_sources.remove(source)

    def _look(self, source: str, engine: FleetEngine) -> bool:
        """Whether anything is left there."""
        for claim in engine.queue.claims():  # of a host that is dead
            engine.queue.release(claim, engine.queue.journal(claim))
        survey = engine.survey()
        found = survey.waiting.next(now=NOW, state_of=engine.state_of)
        if not isinstance(found, Ready):
            return bool(survey.locks)
        with suppress(ClaimHeld):
            claim = engine.queue.claim(found.task.id, worker=self._name, now=NOW)
            self._carry_out(source, engine, claim)
        return True

    def _carry_out(self, source: str, engine: FleetEngine, claim: Claim) -> None:
        self._note("start", source, claim)
        ending = engine.attempts.commit(claim, bare_ending(claim, DONE, by="runner", now=NOW))
        self._note("end", source, claim)
        journal = engine.queue.journal(claim)
        result = result_of(claim, ending, journal, state=TaskState.COMPLETED, source=source, workspace=None)
        engine.queue.settle(claim, result)

    def _note(self, what: str, source: str, claim: Claim) -> None:
        with self._notes.open("ab", buffering=0) as notes:
            notes.write(f"{what} {source} {claim.task_id} {self._name}\n".encode())

    def _beat(self) -> None:
        while True:
            self._lifeline.turn()
            time.sleep(_BEAT_S)


def prove(tasks: int, claimers: int, sources: int, kills: int) -> ClaimsReport:
    """*kills* claimers end by SIGKILL, spread over the run."""
    report = ClaimsReport(tasks, claimers, kills)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-claims-")))
        cluster = stack.enter_context(own_cluster())
        address = fleet_address(cluster.url)
        database = Database(address)
        set_up(database, None)
        _fill(database, tasks, sources)
        notes = home / "notes"
        notes.touch()
        begun = time.monotonic()
        running = {
            name: subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.proof.fleet_claims", "--as-claimer", name),
                    *("--url", cluster.url, "--sources", str(sources), "--notes", str(notes)),
                ]
            )
            for name in (f"host-{number}" for number in range(claimers))
        }
        try:
            killed = _kill(running, kills, notes, tasks)
            within(_PATIENCE_S, lambda: all(process.poll() is not None for process in running.values()))
        finally:
            for process in running.values():
                process.kill()
                process.wait()
        report.took_s = round(time.monotonic() - begun, 1)
        _judge(report, notes, killed, sources)
        database.close()
    return report


def _fill(database: Database, tasks: int, sources: int) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO task (source, name, document) SELECT 's' || mod(n, %s), 'task-' || n, %s "
            "FROM generate_series(0, %s - 1) AS n",
            [sources, _DOCUMENT, tasks],
        )


def _kill(running: dict[str, subprocess.Popen[bytes]], kills: int, notes: Path, tasks: int) -> set[str]:
    """The names of those that were killed while they had a task in hand."""
    killed: set[str] = set()
    for number in range(kills):
        wanted = 2 * tasks * (number + 1) // (kills + 2)
        within(_PATIENCE_S, partial(_has_lines, notes, wanted))
        name = next(
            line.split()[3]
            for line in reversed(notes.read_text().splitlines())
            if line.startswith("start") and line.split()[3] not in killed
        )
        running[name].send_signal(signal.SIGKILL)
        killed.add(name)
    return killed


def _has_lines(notes: Path, number: int) -> bool:
    return len(notes.read_bytes().splitlines()) >= number


def _judge(report: ClaimsReport, notes: Path, killed: set[str], sources: int) -> None:
    lines = [line.split() for line in notes.read_text().splitlines()]
    starts = [(source, task, host) for what, source, task, host in lines if what == "start"]
    times = Counter(task for _, task, _ in starts)
    hosts: dict[str, list[str]] = {}
    for _, task, host in starts:
        hosts.setdefault(task, []).append(host)
    report.starts = len(starts)
    report.again = sum(1 for number in times.values() if number > 1)
    report.doubled = sum(1 for each in hosts.values() if not set(each[:-1]) <= killed)
    report.lost = report.tasks - len({task for what, _, task, _ in lines if what == "end"})
    for source in (f"s{number}" for number in range(sources)):
        mine = [(what, task, host) for what, of, task, host in lines if of == source]
        firsts = list(
            dict.fromkeys(int(task.removeprefix("task-")) for what, task, _ in mine if what == "start")
        )
        report.order += sum(1 for before, after in pairwise(firsts) if before > after)
        report.overlap += sum(
            1
            for (what, _, host), (next_what, _, _) in pairwise(mine)
            if what == next_what == "start" and host not in killed
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--claimers", type=int, default=32)
    parser.add_argument("--sources", type=int, default=64)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--as-claimer", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--notes", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.as_claimer:
        with tempfile.TemporaryDirectory(prefix="tq-claimer-") as scratch:
            address = fleet_address(wanted.url)
            Claimer(address, wanted.as_claimer, wanted.sources, wanted.notes, Path(scratch)).work()
        return 0
    why = why_no_cluster()
    if why is not None:
        print(why)
        return 2
    report = prove(wanted.tasks, wanted.claimers, wanted.sources, wanted.kills)
    print(json.dumps({**asdict(report), "violations": report.violations}), flush=True)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
