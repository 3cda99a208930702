"""A source with schedules, and the many lives of what materialises them: killed, suspended, its clock set."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from task_queue.domain.events import Event, ScheduleFired, ScheduleMissed, ScheduleSkipped
from task_queue.domain.schedule.rule import Recurrence, rule_of
from task_queue.domain.task import TaskState
from task_queue.platform import durable
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.materialising import Looked, Materialiser
from task_queue.store.folder.schedule_files import LEDGER

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process ends here."""


class ScheduleBench:
    """One source; the clock moves only when it is set."""

    def __init__(self, folder: Path, *, now: datetime = NOON) -> None:
        self.layout = Layout(folder / "pending")
        self.layout.create()
        durable.make_directory(self.layout.schedules)
        self.now = now
        self.events: list[Event] = []
        self.taken: set[str] = set()
        """Ids of tasks of other sources."""
        self.restart()

    def restart(self, *, settle_s: Callable[[], float] | None = None) -> None:
        self.materialiser = Materialiser(
            "a",
            self.layout,
            is_taken=self.taken.__contains__,
            emit=self.events.append,
            settle_s=settle_s,
        )

    def write(self, name: str, schedule: str, *keys: str, text: str = "# Do it\n") -> Path:
        path = self.layout.schedules / f"{name}.md"
        front = "\n".join(("---", f"schedule: '{schedule}'", *keys, "---", ""))
        durable.replace(path, f"{front}{text}".encode())
        return path

    def look(self, **later: float) -> Looked:
        self.now += timedelta(**later)
        return self.materialiser.look(self.now)

    @property
    def pending(self) -> list[str]:
        return sorted(path.name for path in self.layout.pending.glob("*.md"))

    def end(self, document: str, state: TaskState = TaskState.COMPLETED) -> None:
        (self.layout.pending / document).rename(self.layout.ended(state) / document)

    def claim(self, document: str) -> None:
        (self.layout.pending / f".{document.removesuffix('.md')}.lock").write_text("{}")

    def told(self) -> list[tuple[str, str]]:
        """Each event of a schedule: its due time (the last one of several) and what became of it."""
        found: list[tuple[str, str]] = []
        for event in self.events:
            match event:
                case ScheduleFired():
                    found.append((f"{event.due:%m-%d %H:%M}", event.task_id))
                case ScheduleSkipped():
                    found.append((f"{event.due:%m-%d %H:%M}", f"skipped: {event.why}"))
                case ScheduleMissed():
                    found.append((f"{event.last:%m-%d %H:%M}", f"missed {event.count}: {event.why}"))
                case _:
                    pass
        return found

    def ledger(self) -> list[Mapping[str, Any]]:
        path = self.layout.schedules / LEDGER
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Lives:
    """Random lives of one bench. Every document that ever came into ``pending/`` is counted, by its due time."""

    def __init__(
        self,
        folder: Path,
        patch: Callable[[str, object], None],
        *,
        seed: int,
        start: datetime,
        rules: Mapping[str, str],
        zone: str,
    ) -> None:
        """*patch* replaces a function of ``platform.durable`` by its name; *rules* are expressions by name."""
        self._random = random.Random(seed)
        self.bench = ScheduleBench(folder, now=start)
        self.start = start
        self.moved: Counter[tuple[str, str]] = Counter()
        """Name and due time, as the staged file has them."""
        self.documents: Counter[str] = Counter()
        self.rules: dict[str, Recurrence] = {}
        self._calls_left: int | None = None
        for name, expression in rules.items():
            self.bench.write(name, expression, f"timezone: {zone}", "overlap: queue", "catch_up: all")
            self.rules[name] = rule_of(expression, timezone=zone)
        self.bench.look()
        for function in ("publish", "replace", "move", "append", "remove"):
            patch(function, self._killing(function, getattr(durable, function)))
        self.kills = self.looks = 0

    def _killing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def killing(*args: Any, **kwargs: Any) -> Any:
            before = self._random.random() < 0.5
            if before:
                self._count_down()
            result = call(*args, **kwargs)
            if name == "move" and args[1].parent == self.bench.layout.pending:
                due, _, schedule = args[0].name.removeprefix(".schedule-").partition("-")
                self.moved[schedule, due] += 1
                self.documents[args[1].name] += 1
            if not before:
                self._count_down()
            return result

        return killing

    def _count_down(self) -> None:
        if self._calls_left is not None:
            self._calls_left -= 1
            if self._calls_left < 0:
                self._calls_left = None
                raise Killed

    def step(self, *, clock_may_go_back: bool) -> None:
        bench, rng = self.bench, self._random
        minutes = rng.choice([0.2, 1, 7, 25, 61, rng.uniform(60, 600), rng.choice([1, 1, 1, 10]) * 60 * 7])
        if clock_may_go_back and rng.random() < 0.15:
            minutes = -minutes
        bench.now += timedelta(minutes=minutes)
        if rng.random() < 0.5:
            self._calls_left = rng.randrange(12)
        try:
            self.looks += 1
            bench.look()
        except Killed:
            self.kills += 1
            bench.restart()
        self._calls_left = None
        if rng.random() < 0.1:
            bench.restart()
        for document in bench.pending:
            if rng.random() < 0.6:
                self._end(document)

    def _end(self, document: str) -> None:
        if self._random.random() < 0.1:
            (self.bench.layout.pending / document).unlink()  # a person does
        else:
            self.bench.end(document)

    def finish(self) -> None:
        self.bench.look()
