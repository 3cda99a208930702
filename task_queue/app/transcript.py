"""Where the record of a task is, and the lines of its transcript, as they are written if need be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from task_queue.app.answers import LogsView
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.listing import document_of, state_of
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable

_POLL_S = 0.2


def logs_of(installation: Installation, task_id: TaskId, *, attempt: int | None = None) -> LogsView:
    """The files of *task_id*, and the transcript of *attempt* (default: the last). Raises UnknownTaskError."""
    listed, state = found(installation.sources(), task_id)
    folder = listed.folders.log(task_id)
    number = attempt or max(_attempts_in(folder), default=1)
    return LogsView(
        task_id=task_id,
        source=listed.id,
        state=state,
        document=document_of(listed, task_id, state),
        result_path=listed.folders.result(task_id),
        attempt=number,
        transcript=folder / f"attempt-{number}" / "transcript.jsonl",
    )


def lines_of(installation: Installation, logs: LogsView, *, follow: bool) -> Iterator[str]:
    """Each whole line of the transcript; with *follow* those to come too, until the attempt has ended.

    Waits for the transcript then. None if there is none. Raises OSError if it cannot be read.
    """
    path = logs.transcript
    ending = path.with_name("outcome.json")
    sources = installation.sources()

    def may_grow() -> bool:
        # Asked of the task, too: one that is cancelled while it waits never has an attempt.
        return follow and not ending.exists() and _is_current(state_of(sources, logs.task_id))

    while not path.exists():
        if not may_grow():
            return
        installation.sleep(_POLL_S)
    with (
        durable.open_regular(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        unfinished = ""
        while True:
            more = may_grow()  # asked before reading, so that nothing written until the end is missed
            read = file.read()
            *whole, unfinished = (unfinished + read).split("\n")
            yield from whole
            if not more:
                return
            if not read:
                installation.sleep(_POLL_S)


def _is_current(where: tuple[object, TaskState] | None) -> bool:
    return where is not None and not where[1].ended


def _attempts_in(folder: Path) -> Iterator[int]:
    for path in folder.glob("attempt-*"):
        number = path.name.removeprefix("attempt-")
        if number.isdecimal():
            yield int(number)
