"""``task-queue`` itself: a command, handed in as a document that is renamed into ``pending/``."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.rig import Rig

_DOCUMENT = "---\nexecutor: job\n---\nnothing\n"


@dataclass(frozen=True, slots=True)
class Ours:
    sources: int
    starts_at_once: bool = False
    promise: str = (
        "what has ended survives a power cut, with a record of each attempt; a claim survives kills"
    )

    @property
    def name(self) -> str:
        return f"task-queue, {self.sources} source{'s' if self.sources > 1 else ''}"

    def why_not(self) -> str | None:
        return None

    @contextmanager
    def opened(self, folder: Path, job: Sequence[str]) -> Generator[_Sources]:
        names = tuple(f"s{number}" for number in range(self.sources))
        executors = {"job": {"kind": "command", "argv": list(job)}}
        rig = Rig(folder / "home", sources=names, executors=executors, sweep_seconds=30)
        try:
            yield _Sources(rig, names)
        finally:
            rig.close()


@dataclass(slots=True)
class _Sources:
    rig: Rig
    names: tuple[str, ...]
    given: int = 0

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            self.given += 1
            source = self.names[self.given % len(self.names)]
            self.rig.drop(f"task-{self.given:06}", _DOCUMENT, source=source)

    def work(self) -> None:
        self.rig.start()
