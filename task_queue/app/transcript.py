"""Where the record of a task is, and the lines of its transcript, as they are written if need be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from task_queue.app.answers import LogsView
from task_queue.app.files import record, text_in
from task_queue.app.finding import NotThereError, document_of, found, state_of
from task_queue.app.installation import Installation
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import durable

_POLL_S = 0.2


def logs_of(installation: Installation, task_id: TaskId, *, attempt: int | None = None) -> LogsView:
    """The files of *task_id*, and the transcript of *attempt* (default: the last).

    Raises UnknownTaskError, NotThereError if there is no such attempt.
    """
    listed, state = found(installation.sources(), task_id)
    folder = listed.folders.log(task_id)
    attempts = tuple(sorted(_attempts_in(folder)))
    if attempt is not None and attempt not in attempts:
        known = ", ".join(map(str, attempts))
        raise NotThereError(
            f"{task_id} has no attempt {attempt}",
            hint=f"attempts: {known}" if known else "it has none yet; wait for its first with: --follow",
        )
    number = attempt or max(attempts, default=1)
    return LogsView(
        task_id=task_id,
        source=listed.id,
        state=state,
        document=document_of(listed, task_id, state),
        result_path=listed.folders.result(task_id),
        attempt=number,
        attempts=attempts,
        transcript=folder / f"attempt-{number}" / "transcript.jsonl",
    )


def lines_of(installation: Installation, logs: LogsView, *, follow: bool) -> Iterator[str]:
    """Each whole line of the transcript; with *follow* those to come too, until the attempt is over: see ``why_over``.

    Waits for the transcript then. None if there is none. Raises OSError if it cannot be read.
    """
    path = logs.transcript
    while not path.exists():
        if not (follow and may_grow(installation, logs)):
            return
        installation.sleep(_POLL_S)
    with (
        durable.open_regular(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        unfinished = ""
        while True:
            # Asked before reading, so that nothing written until the end is missed.
            more = follow and may_grow(installation, logs)
            read = file.read()
            *whole, unfinished = (unfinished + read).split("\n")
            yield from whole
            if not more:
                return
            if not read:
                installation.sleep(_POLL_S)


def may_grow(installation: Installation, logs: LogsView) -> bool:
    """Whether more may be written to the transcript, or its attempt may begin yet."""
    # Asked of the task, too: one that is cancelled while it waits never has an attempt. An attempt that was
    # killed has no ending, and another one follows it.
    return (
        not _ending(logs).exists()
        and _later_than(logs) is None
        and _is_current(state_of(installation.sources(), logs.task_id))
    )


def why_over(installation: Installation, logs: LogsView) -> str:
    """Why nothing follows in the transcript any more, as a sentence."""
    ending = record(_ending(logs))
    outcome: object = ending.get("outcome") if isinstance(ending, dict) else None
    if isinstance(outcome, dict):
        said = cast("dict[str, Any]", outcome)
        return f"attempt {logs.attempt} has ended: {said.get('kind')}: {said.get('reason')}"
    later = _later_than(logs)
    if later is not None:
        return f"attempt {logs.attempt} was cut off; attempt {later} follows"
    where = state_of(installation.sources(), logs.task_id)
    if where is None:
        return "the task is gone"
    if not where[1].ended:
        return f"attempt {logs.attempt} goes on"
    result = record(logs.result_path)
    known = result if isinstance(result, dict) else {}
    parts = (where[1].value, text_in(known, "outcome"), text_in(known, "error"))
    return f"the task has ended: {', '.join(part for part in parts if part)}"


def _ending(logs: LogsView) -> Path:
    return logs.transcript.with_name("outcome.json")


def _later_than(logs: LogsView) -> int | None:
    last = max(_attempts_in(logs.transcript.parents[1]), default=0)
    return last if last > logs.attempt else None


def _is_current(where: tuple[object, TaskState] | None) -> bool:
    return where is not None and not where[1].ended


def _attempts_in(folder: Path) -> Iterator[int]:
    for path in folder.glob("attempt-*"):
        number = path.name.removeprefix("attempt-")
        if number.isdecimal():
            yield int(number)
