"""huey, rq and procrastinate: queues of functions for Python, each with a worker in a process of its own.

They are the extra ``bench``; where one is not installed it is skipped. Redis and PostgreSQL are started for the
benchmark alone, on unix sockets in its folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import job as jobs
from tests.fleet.cluster import own_cluster, why_no_cluster
from tests.waiting import eventually

_ROOT = Path(__file__).parents[2]
_EXTRA = "is not installed: pip install -e '.[bench]'"
_STOP_WITHIN_S = 10.0


@dataclass(slots=True)
class _Library:
    """*call* hands in one job; *worker* are the words after ``python -m benchmarks.peers.worker``."""

    call: Callable[[], object]
    worker: tuple[str, ...]
    stack: ExitStack

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            self.call()

    def work(self) -> None:
        self.stack.enter_context(
            _process([sys.executable, "-m", "benchmarks.peers.worker", *self.worker], cwd=_ROOT)
        )


@dataclass(frozen=True, slots=True)
class Huey:
    name: str = "huey on SQLite, fsync"
    promise: str = (
        "a waiting job survives a power cut; one that runs is lost with its worker, no record is kept"
    )
    starts_at_once: bool = False

    def why_not(self) -> str | None:
        return _missing("huey")

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Library]:
        task = huey_in(folder).task()(jobs.run)
        with ExitStack() as stack:
            yield _Library(lambda: task(list(job)), ("huey", str(folder)), stack)


@dataclass(frozen=True, slots=True)
class Rq:
    """With ``forks`` its default: a process a job."""

    syncs: bool
    forks: bool = True
    starts_at_once: bool = False

    @property
    def name(self) -> str:
        return (
            f"rq, {'a fork a job' if self.forks else 'no forks'}{', redis with fsync' if self.syncs else ''}"
        )

    @property
    def promise(self) -> str:
        if not self.syncs:
            return "up to a second of jobs is lost with the machine; results are kept for 500 s"
        return "a waiting job survives a power cut; results are kept for 500 s"

    def why_not(self) -> str | None:
        if shutil.which("redis-server") is None:
            return "redis-server is not installed: make bench-apt"
        return _missing("rq")

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Library]:
        socket = folder / "redis.sock"
        words = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(folder)]
        words += [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always" if self.syncs else "everysec",
        ]
        with ExitStack() as stack:
            stack.enter_context(_process(words, cwd=folder))
            eventually(socket.exists, what="redis answers")
            queue = rq_at(socket)
            kind = "rq" if self.forks else "rq-simple"
            yield _Library(lambda: queue.enqueue(jobs.run, list(job)), (kind, str(socket)), stack)


@dataclass(frozen=True, slots=True)
class Procrastinate:
    name: str = "procrastinate on PostgreSQL"
    promise: str = (
        "a waiting job and its end survive a power cut (synchronous commit); one that runs needs a clean-up"
    )
    starts_at_once: bool = False

    def why_not(self) -> str | None:
        return _missing("procrastinate") or why_no_cluster()

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Library]:  # noqa: ARG002 - PostgreSQL has its own
        with own_cluster() as cluster, ExitStack() as stack:
            app = stack.enter_context(procrastinate_at(cluster.url, is_worker=False).open())
            app.schema_manager.apply_schema()
            deferred = app.configure_task("job")
            yield _Library(lambda: deferred.defer(argv=list(job)), ("procrastinate", cluster.url), stack)


def huey_in(folder: Path) -> Any:
    return importlib.import_module("huey").SqliteHuey("bench", filename=str(folder / "huey.db"), fsync=True)


def rq_at(socket: Path) -> Any:
    connection = importlib.import_module("redis").Redis(unix_socket_path=str(socket))
    return importlib.import_module("rq").Queue("bench", connection=connection)


def procrastinate_at(url: str, *, is_worker: bool) -> Any:
    library = importlib.import_module("procrastinate")
    connector = library.PsycopgConnector if is_worker else library.SyncPsycopgConnector
    return library.App(connector=connector(conninfo=url))


def _missing(library: str) -> str | None:
    return None if importlib.util.find_spec(library) else f"{library} {_EXTRA}"


@contextmanager
def _process(words: Sequence[str], *, cwd: Path) -> Generator[None]:
    """A program that is ended with the context, by its own id."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    with subprocess.Popen(
        list(words), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
