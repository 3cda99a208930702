"""A process that appends to an event log as it is asked to, and confirms each event that got a number.

    python -m tests.store.writer NAME

It reads lines from standard input, ``FOLDER SEGMENT_BYTES COUNT`` (0: without end), and answers each event with
``N SEQ``: which one of its own it was, and the number in the log; ``N None`` if it is lost. A line that is not
whole was not said. After the last one comes ``done``.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from task_queue.domain.event_record import EventRecord
from task_queue.store.event_log import EventLog

ROOT = Path(__file__).parents[2]


def main(name: str, asked: IO[str], answers: IO[str]) -> None:
    serial = itertools.count()
    logs: dict[tuple[str, str], EventLog] = {}
    for line in asked:
        folder, size, count = line.rstrip("\n").split("\t")
        log = logs.setdefault((folder, size), EventLog(Path(folder), segment_bytes=int(size), patience_s=20))
        for number in itertools.islice(serial, int(count) or None):
            seq = log.append(EventRecord("written", {"writer": name, "n": number}))
            print(number, seq, file=answers, flush=True)
        print("done", file=answers, flush=True)


@dataclass
class Writer:
    """One such process; *confirmed* grows as its answers are read: its own number to that in the log."""

    name: str
    confirmed: dict[int, int] = field(default_factory=dict[int, int])
    asked: bool = False

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.writer", self.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, folder: Path, segment_bytes: int, count: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{folder}\t{segment_bytes}\t{count}\n")
        self.process.stdin.flush()
        self.asked = True

    def hear(self, most: int | None = None) -> None:
        """Read up to *most* confirmations, or all up to the end of what was asked for."""
        assert self.process.stdout is not None
        heard = 0
        while self.asked and heard != most:
            line = self.process.stdout.readline()
            if not line.endswith("\n") or line == "done\n":
                self.asked = False
                return
            number, seq = line.split()
            self.confirmed[int(number)] = int(seq)
            heard += 1

    def kill(self) -> None:
        """SIGKILL, and then read what it had confirmed."""
        self.process.kill()
        self.process.wait()
        self.hear()
        self._close()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin, sys.stdout)
