"""A line on stderr for each thing that happens to tasks: while a person waits for them, and while ``run`` works."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from task_queue.app import awaiting
from task_queue.app.awaiting import TaskEnd, WaitTimedOut
from task_queue.app.event_feed import EventReader, LoggedEvent, from_now_on
from task_queue.app.installation import Installation
from task_queue.app.spelling import span
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.render import line, word
from task_queue.domain.task import TaskId, TaskState

_LOOK_S = 0.5


@dataclass(slots=True)
class Awaited:
    """How the tasks ended, in the order in which they did; ``left`` have not."""

    ends: list[TaskEnd] = field(default_factory=list[TaskEnd])
    left: tuple[TaskId, ...] = ()

    @property
    def code(self) -> int:
        """0 if all succeeded."""
        good = not self.left and all(end.state is TaskState.COMPLETED for end in self.ends)
        return 0 if good else FAILED


def await_end(
    installation: Installation,
    task_ids: Iterable[TaskId],
    *,
    since: EventReader,
    timeout_s: float | None = None,
    as_json: bool = False,
) -> Awaited:
    """Show what happens to each after what *since* has read, and how it ends; with *as_json* nothing on stdout."""
    wanted = list(task_ids)
    awaited = Awaited()
    for seen in awaiting.wait(installation, wanted, timeout_s=timeout_s, since=since):
        match seen:
            case LoggedEvent():
                sentence = sentence_of(seen)
                if sentence is not None:
                    of = f"{seen.task_id}: " if len(wanted) > 1 else ""
                    _note(seen.at, of + sentence)
            case WaitTimedOut():
                awaited.left = seen.task_ids
                render.note(f"not ended in time: {', '.join(seen.task_ids)}")
            case TaskEnd():
                awaited.ends.append(seen)
                if not as_json:
                    said = ", ".join(part for part in (seen.outcome, seen.error) if part)
                    render.show(
                        line(word(seen.state.value), f"  {seen.task_id}", f"  {said}" if said else "")
                    )
    since.close()
    return awaited


class LiveLines:
    """What this process says, and of the event log the phases, which runners write there; in order, with times."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._phases = from_now_on(installation, warn=lambda _: None)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._show_phases()
        self._phases.close()

    def say(self, text: str) -> None:
        """After the phases that began before."""
        with self._lock:
            self._show_phases()
            _note(self._installation.now(), text)

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            with self._lock:
                self._show_phases()

    def _show_phases(self) -> None:
        with suppress(OSError):  # a log that cannot be read stops no work
            for event in self._phases.events():
                if event.type == "phase_started":
                    _note(event.at, f"{event.task_id}: {sentence_of(event)}")


def _note(at: datetime, text: str) -> None:
    render.note(f"{at.astimezone():%H:%M:%S}  {text}")


def view_of(end: TaskEnd) -> dict[str, Any]:
    """For JSON."""
    return {"task_id": end.task_id, "state": end.state.value, "outcome": end.outcome, "error": end.error}


def sentence_of(event: LoggedEvent) -> str | None:
    """What a person who waits learns from *event*; None for turns and what the next event says, too."""
    data, attempt = event.data, f"attempt {event.attempt}"
    match event.type:
        case "attempt_started":
            return f"{attempt} {'continues' if data.get('resumes') else 'begins'}"
        case "phase_started":
            return f"{attempt}: {data.get('phase')}"
        case "limited":
            return f"{attempt} met the usage limit: {data.get('reason')}"
        case "released":
            delay = data.get("delay")
            again = f"; tried again in {span(delay)}" if isinstance(delay, int | float) and delay else ""
            return f"{attempt} ended: {data.get('outcome')}, {data.get('reason')}{again}"
        case "cancel_asked":
            return "a cancel was requested"
        case "edited":
            return f"the document was changed while it runs; the newer text is kept as {data.get('kept_as')}"
        case "landed":
            return str(data.get("said"))
        case _:
            return None
