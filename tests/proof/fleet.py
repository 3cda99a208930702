"""Three hosts of one fleet carry out tasks, and something happens to one of them, or to their database.

Counted outside of the product: each task appends a line to a file when it begins, and one when it ends.

    python -m tests.proof.fleet --scenario kill --tasks 48
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import psutil

from task_queue.fleet.address import fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.schema import set_up
from tests.fleet.cluster import SOCKET, Cluster, own_cluster, why_no_cluster
from tests.fleet.machines import Machine, noting
from tests.fleet.namespaces import IsolatedMachine, why_no_namespaces
from tests.processes import environments
from tests.waiting import eventually, within

SOURCES = ("s1", "s2", "s3", "s4", "s5", "s6")
_TAKES_S = 0.3
_LEASE_S = 30.0


@dataclass
class Report:
    """Counts of violations, and what was seen. ``again``: tasks that began more than once."""

    scenario: str
    tasks: int
    namespaces: bool
    """Each host had its own for processes and for the network."""
    took_s: float = 0.0
    starts: int = 0
    again: dict[str, int] = field(default_factory=dict[str, int])
    by_host: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    failed: int = 0
    doubled: int = 0
    """Tasks that began again although nothing had happened to the attempt before."""
    order: int = 0
    """Tasks of a source that were claimed, or began, before one that was dropped before them."""
    unbegun: list[str] = field(default_factory=list[str])
    """Tasks of which an attempt was lost before it began: they wait for their next try, and others begin first."""
    late: int = 0
    """Of what a host had in hand when it was frozen: begun there when it thawed, and ended within the second."""
    out_of_order: list[list[str]] = field(default_factory=list[list[str]])
    overlap: int = 0
    capability: int = 0
    dependency: int = 0
    first_again_s: float | None = None
    """After the host was lost, until the first of its tasks began elsewhere."""

    @property
    def violations(self) -> int:
        return (
            self.lost
            + self.failed
            + self.doubled
            + self.order
            + self.overlap
            + self.capability
            + self.dependency
        )


@dataclass(frozen=True)
class Line:
    """Of the file that tasks append to; ``at``: seconds since the machine was started."""

    what: str
    task: str
    host: str
    at: float

    @property
    def source(self) -> str:
        return self.task.split("-")[1]


class Fleet:
    """*names* of hosts; the first one takes tasks in, the last one alone has the capability ``gpu``."""

    def __init__(
        self,
        home: Path,
        cluster: Cluster,
        names: Sequence[str],
        sources: Sequence[str],
        machine: type[Machine] = Machine,
    ) -> None:
        self.cluster, self.sources = cluster, list(sources)
        self._ways = {name: home / "ways" / name for name in names}
        """By which each host reaches the database: a folder with a link to its socket."""
        self.notes = home / "starts"
        self.database = Database(fleet_address(cluster.url))
        set_up(self.database, None)
        self.hosts = {
            name: machine(
                home / name,
                name,
                self.database,
                url=f"{cluster.url_through(self._way(name))}&application_name={name}",
                sources=(),
                shared=tuple(sources),
                slots=-(-len(sources) // len(names)),
                capabilities=["gpu"] if name == names[-1] else [],
            )
            for name in names
        }
        self.front = self.hosts[names[0]]
        self.lost_at: float | None = None
        """When a host was killed or frozen: seconds since the machine was started."""

    def __enter__(self) -> Fleet:
        for host in self.hosts.values():
            host.start()
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            for pid in processes_of(host):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            host.close()
        self.database.close()

    def drop(self, tasks: int, *, takes_s: float = _TAKES_S) -> list[str]:
        """Tasks ``task-SOURCE-NUMBER``: each third one of the last source needs ``gpu``, one depends on another."""
        names: list[str] = []
        for number in range(tasks):
            source = self.sources[number % len(self.sources)]
            of_source = number // len(self.sources)
            name = f"task-{source}-{of_source:03}"
            keys: dict[str, object] = {"title": f"Job {of_source} of {source}", "on_lost_session": "rerun"}
            if source == self.sources[-1] and of_source % 3 == 1:
                keys["capabilities"] = "gpu"
            if source == self.sources[0] and of_source == 2 and len(self.sources) > 1:
                keys["depends_on"] = f"task-{self.sources[1]}-001"
            self.front.drop(
                name, noting(self.notes, name, f"sleep {takes_s}", takes=True, **keys), source=source
            )
            names.append(name)
        return names

    def _way(self, name: str) -> Path:
        way = self._ways[name]
        way.mkdir(parents=True, exist_ok=True)
        (way / SOCKET).symlink_to(self.cluster.folder / SOCKET)
        return way

    def cut_off(self, name: str) -> None:
        """Every connection of the host ends, and none can be made."""
        (self._ways[name] / SOCKET).unlink()
        with self.database.transaction() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [name]
            )

    def let_back(self, name: str) -> None:
        self._way(name)

    def lines(self) -> list[Line]:
        if not self.notes.exists():
            return []
        return [
            Line(what, task, Path(home).name, float(at))
            for what, task, home, at in (line.split() for line in self.notes.read_text().splitlines())
        ]

    def ended(self) -> int:
        return sum(
            1 for source in self.sources for _ in (self.front.queue(source) / "results").glob("*.json")
        )

    def begun_on(self, host: str) -> set[str]:
        """Tasks that began there and have not ended."""
        open_: dict[str, str] = {}
        for line in self.lines():
            if line.what == "start":
                open_[line.task] = line.host
            else:
                open_.pop(line.task, None)
        return {task for task, where in open_.items() if where == host}

    def claimed(self) -> list[tuple[str, str]]:
        """Tasks and hosts, in the order of the claims."""
        with self.database.transaction() as cursor:
            cursor.execute("SELECT name, host FROM event WHERE state = 'running' ORDER BY xid, id")
            return cursor.fetchall()

    def claimed_on(self, host: str) -> set[str]:
        """Tasks that are claimed for it now."""
        with self.database.transaction() as cursor:
            cursor.execute("SELECT name FROM task WHERE state = 'running' AND host = %s", [host])
            return {name for (name,) in cursor.fetchall()}


def processes_of(host: Machine) -> list[int]:
    """Its daemon, and all that came of it."""
    mark = f"HOME={host.home}".encode()
    found = {pid for pid, lines in environments() if mark in lines}
    for daemon in host.daemons:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(daemon.pid)
            found |= {process.pid, *(child.pid for child in process.children(recursive=True))}
    return sorted(found)


def signal_all(host: Machine, number: signal.Signals) -> None:
    for _ in range(3):  # what was started between two looks, too
        for pid in processes_of(host):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def nothing(fleet: Fleet) -> set[str]:
    del fleet
    return set()


def kill(fleet: Fleet) -> set[str]:
    """The second host, with all that runs on it, once it has a task in hand. Its tasks."""
    name, host = list(fleet.hosts.items())[1]
    eventually(lambda: fleet.begun_on(name), what="the host has a task")
    return _lose(fleet, name, host, signal.SIGKILL)


def _lose(fleet: Fleet, name: str, host: Machine, number: signal.Signals) -> set[str]:
    """What it has in hand, begun or not."""
    signal_all(host, number)
    fleet.lost_at = uptime()
    return fleet.claimed_on(name) | fleet.begun_on(name)


def orphan(fleet: Fleet) -> set[str]:
    """The daemon of the same host alone, so that its runners go on without one. It does not come back."""
    name, host = list(fleet.hosts.items())[1]
    eventually(lambda: fleet.begun_on(name), what="the host has a task")
    left = fleet.begun_on(name)
    daemon = host.daemon_process()
    template = daemon.children()
    daemon.kill()
    for child in template:
        child.kill()
    return left


def freeze(fleet: Fleet) -> set[str]:
    """The same host stands still for longer than its lease, then goes on."""
    name, host = list(fleet.hosts.items())[1]
    eventually(lambda: fleet.begun_on(name), what="the host has a task")
    frozen = _lose(fleet, name, host, signal.SIGSTOP)
    time.sleep(_LEASE_S + 15)
    signal_all(host, signal.SIGCONT)
    return frozen


def freeze_claimed(fleet: Fleet) -> set[str]:
    """As ``freeze``, at an instant at which a task is claimed and has not begun."""
    name, host = list(fleet.hosts.items())[1]
    frozen: set[str] = set()

    def is_caught() -> bool:
        if not fleet.claimed_on(name) - fleet.begun_on(name):
            return False
        frozen.update(_lose(fleet, name, host, signal.SIGSTOP))
        if frozen <= {line.task for line in fleet.lines() if line.host == name}:
            frozen.clear()
            signal_all(host, signal.SIGCONT)
        return bool(frozen)

    eventually(is_caught, what="the host is frozen between a claim and its start")
    time.sleep(_LEASE_S + 15)
    signal_all(host, signal.SIGCONT)
    return frozen


def outage(fleet: Fleet, *, lasts_s: float = 20) -> set[str]:
    """The database is away for so long. What ran then and was interrupted may begin again."""
    eventually(fleet.lines, what="a task has begun")
    fleet.cluster.stop()
    time.sleep(lasts_s)
    interrupted = {task for name in fleet.hosts for task in fleet.begun_on(name)}
    fleet.cluster.start()
    return interrupted


def cut(fleet: Fleet, *, lasts_s: float) -> set[str]:
    """The same host cannot report what it does, and goes on; after half a lease it ends what it runs."""
    name = list(fleet.hosts)[1]
    eventually(lambda: fleet.begun_on(name), what="the host has a task")
    reported = {line.task for line in fleet.lines() if line.what == "end"}
    fleet.cut_off(name)
    time.sleep(lasts_s)
    here = {
        line.task for line in fleet.lines() if line.host == name
    }  # one that was claimed may begin a little later
    fleet.let_back(name)
    return here - reported if lasts_s > _LEASE_S else set()


SCENARIOS: dict[str, Callable[[Fleet], set[str]]] = {
    "plain": nothing,
    "kill": kill,
    "orphan": orphan,
    "freeze": freeze,
    "freeze-claimed": freeze_claimed,
    "outage": outage,
    "outage-45": partial(outage, lasts_s=45),
    "outage-75": partial(outage, lasts_s=75),
    "cut": partial(cut, lasts_s=10),
    "cut-45": partial(cut, lasts_s=45),
}


_MAY_END_TWICE = {"freeze", "freeze-claimed", "cut-45"}
"""What was about to write when it froze writes when it thaws; what ended could not be reported in time."""


def prove(
    home: Path,
    cluster: Cluster,
    scenario: str,
    *,
    tasks: int,
    names: Sequence[str] = ("front", "middle", "back"),
    sources: Sequence[str] = SOURCES,
    takes_s: float = _TAKES_S,
    patience_s: float = 600,
    machine: type[Machine] = Machine,
) -> Report:
    report = Report(scenario, tasks, namespaces=machine is IsolatedMachine)
    with Fleet(home, cluster, names, sources, machine) as fleet:
        begun = time.monotonic()
        dropped = fleet.drop(tasks, takes_s=takes_s)
        hit = SCENARIOS[scenario](fleet)
        hit_at = uptime()
        within(patience_s, lambda: fleet.ended() == tasks)
        report.took_s = round(time.monotonic() - begun, 1)
        _judge(report, fleet, dropped, hit, hit_at)
    return report


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def _judge(report: Report, fleet: Fleet, dropped: list[str], hit: set[str], hit_at: float) -> None:
    lines = fleet.lines()
    starts = [line for line in lines if line.what == "start"]
    counts = Counter(line.task for line in starts)
    report.starts = len(starts)
    report.by_host = dict(Counter(line.host for line in starts))
    report.again = {task: number for task, number in counts.items() if number > 1}
    report.doubled = sum(1 for task in report.again if task not in hit or counts[task] > 2)
    if report.scenario not in _MAY_END_TWICE:
        ends = Counter(line.task for line in lines if line.what == "end")
        report.doubled += sum(1 for number in ends.values() if number > 1)
    for task in dropped:
        path = fleet.front.queue(task.split("-")[1]) / "results" / f"{task}.json"
        if not path.exists() or not counts[task]:
            report.lost += 1
            continue
        result = json.loads(path.read_text())
        report.failed += not result["success"]
        first = next(line.at for line in starts if line.task == task)
        was_frozen = task in hit and fleet.lost_at is not None and first > fleet.lost_at
        if was_frozen or len(result["attempts"]) > counts[task]:
            report.unbegun.append(task)
    gpu_host, claimed = list(fleet.hosts)[-1], fleet.claimed()
    for source in fleet.sources:
        needs_gpu = {
            task for task in dropped if source == fleet.sources[-1] and int(task.split("-")[2]) % 3 == 1
        }
        mine = [line for line in lines if line.source == source]
        apart = {*needs_gpu, f"task-{fleet.sources[0]}-002"}  # they wait while others of their source run
        claims = [task for task, _ in claimed if task.split("-")[1] == source and task not in apart]
        begins = [line.task for line in mine if line.what == "start" and line.task not in apart]
        for plain in (
            list(dict.fromkeys(claims)),
            [task for task in dict.fromkeys(begins) if task not in report.unbegun],
        ):
            if plain != sorted(plain):
                report.order += sum(
                    1 for one, other in zip(plain, sorted(plain), strict=True) if one != other
                )
                report.out_of_order.append(plain)
        report.capability += sum(1 for line in mine if line.task in needs_gpu and line.host != gpu_host)
        running: str | None = None
        for line in mine:
            if line.what == "end":
                running = None if running == line.task else running
            elif running is not None and running not in hit:
                report.overlap += 1
            if line.what == "start":
                running = line.task
    if fleet.lost_at is not None:
        lost_host = list(fleet.hosts)[1]
        report.late = sum(
            line.task in hit and line.host == lost_host and line.at > fleet.lost_at for line in starts
        )
    report.dependency = _dependency_faults(lines, fleet)
    again = [line.at for line in starts if line.task in hit and line.at > hit_at]
    report.first_again_s = round(min(again) - hit_at, 1) if again else None


def _dependency_faults(lines: list[Line], fleet: Fleet) -> int:
    if len(fleet.sources) < 2:
        return 0
    before, after = f"task-{fleet.sources[1]}-001", f"task-{fleet.sources[0]}-002"
    seen = [(line.what, line.task) for line in lines]
    if ("start", after) not in seen:
        return 0
    return int(("end", before) not in seen[: seen.index(("start", after))])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--tasks", type=int, default=48)
    wanted = parser.parse_args()
    why = why_no_cluster()
    if why is not None:
        print(why)
        return 2
    faults, why_shared = 0, why_no_namespaces()
    if why_shared is not None:
        print(f"hosts share namespaces: {why_shared}", file=sys.stderr)
    machine = Machine if why_shared else IsolatedMachine
    for scenario in SCENARIOS if wanted.scenario == "all" else (wanted.scenario,):
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-fleet-")))
            cluster = stack.enter_context(own_cluster())
            # One for each source, which runs on long after its host has to have ended it.
            tasks, takes_s = (len(SOURCES), 50.0) if scenario == "orphan" else (wanted.tasks, 1.0)
            report = prove(home, cluster, scenario, tasks=tasks, takes_s=takes_s, machine=machine)
        print(json.dumps({**asdict(report), "violations": report.violations}), flush=True)
        faults += report.violations
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
