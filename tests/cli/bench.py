"""Real runs of the command line in an environment that is built, never inherited."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.warm import PROGRAM, run_cli

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Bench:
    """A home and a project of its own; nothing of ours, and no account, can be reached from there."""

    home: Path

    @property
    def project(self) -> Path:
        return self.home / "project"

    @property
    def config(self) -> Path:
        return self.home / ".config" / "task-queue" / "config.json"

    def pending(self, source: str = "ad-hoc") -> Path:
        return self.project / "tasks" / source / "pending"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT),
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        }

    def run(self, *arguments: str, given: str = "", folder: Path | None = None, **environ: str) -> Answer:
        done = run_cli(
            arguments,
            env=self.environ | environ,
            cwd=folder or self.project,
            given=given.encode(),
            timeout_s=60,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_a_terminal(
        self, *arguments: str, columns: int = 80, rows: int = 50, typed: str = "", **environ: str
    ) -> Answer:
        """The same with a terminal of that size in place of stdin, stdout and stderr; *typed* is typed at once."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.project,
            env=self.environ | {"TERM": "xterm"} | environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        written = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while read := os.read(ours, 65536):
                written += read
        os.close(ours)
        return Answer(command.wait(timeout=30), written.decode().replace("\r\n", "\n"), "")

    def agrees_with(self, name: str, text: str) -> None:
        """*text*, with the home's path replaced, is the golden file *name*."""
        told = re.sub(r"pid \d+", "pid N", text.replace(str(self.home), "HOME"))
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("WRITE_GOLDEN"):
            path.write_text(told, encoding="utf-8")

        assert told == path.read_text(encoding="utf-8")


def a_bench(home: Path) -> Bench:
    bench = Bench(home)
    bench.project.mkdir()
    assert bench.run("init").code == 0
    return bench


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
