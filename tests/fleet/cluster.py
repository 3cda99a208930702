"""A PostgreSQL of the tests alone: a cluster in a temporary folder, on a unix socket, which ends with the tests.

It is as durable as one in production (``fsync``, ``synchronous_commit``); only making it does not wait for the disk.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.waiting import within

SOCKET = ".s.PGSQL.5432"
_OWNER = "postgres"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "32MB",
    "max_connections": "200",
}


def why_no_cluster() -> str | None:
    """Why no PostgreSQL can be had here, None if one can."""
    if _programs() is None:
        return "PostgreSQL is not installed; make apt installs it"
    if os.geteuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        return "root cannot run PostgreSQL, and setpriv is missing"
    try:
        pwd.getpwnam(_OWNER)
    except KeyError:
        return f"root cannot run PostgreSQL, and there is no user {_OWNER}"
    return None


@dataclass
class Cluster:
    """``url`` is that of its superuser and its database ``postgres``."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of("fleet")

    def url_of(self, user: str, database: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def url_through(self, folder: Path) -> str:
        """*folder* has a link to its socket."""
        return f"postgresql://fleet@/postgres?host={folder}"

    def start(self) -> None:
        programs = _programs()
        assert programs is not None
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                _as_owner(programs / "postgres", "-D", self.folder / "data", *options),
                env=_ENVIRONMENT,
                cwd="/",
                stdout=log,
                stderr=log,
            )
        if not within(60, self._answers):
            raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """At once, as after a power cut: sessions are cut, and what was committed is there after a start."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), closing(psycopg.connect(self.url)):
            return True
        return False


@contextmanager
def own_cluster() -> Generator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="tq-pg-", ignore_cleanup_errors=True) as name:
        programs, folder = _programs(), Path(name)
        assert programs is not None
        if os.geteuid() == 0:
            shutil.chown(folder, _OWNER)
        subprocess.run(
            _as_owner(programs / "initdb", *_initial(folder / "data")),
            env=_ENVIRONMENT,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )
        cluster = Cluster(folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def program(name: str) -> str:
    """The path of one of the server's programs, where a cluster can be had."""
    programs = _programs()
    assert programs is not None
    return str(programs / name)


def _initial(data: Path) -> tuple[str | Path, ...]:
    return ("-D", data, "-U", "fleet", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")


def _as_owner(*argv: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root. It ends with the process that started it, however that ends."""
    if shutil.which("setpriv") is None:
        return list(map(str, argv))
    owner = ["--reuid", _OWNER, "--regid", _OWNER, "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *owner, "--pdeathsig", "QUIT", *map(str, argv)]


def _programs() -> Path | None:
    """The folder with the programs of the newest PostgreSQL that is installed."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")  # noqa: PTH207 - a pattern in the middle of a path
    if found:
        return Path(max(found, key=lambda path: float(Path(path).parts[-3]))).parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent
