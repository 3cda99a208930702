"""From the bytes of a task document to a Task. Whatever is wrong with them is one TaskFileError."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from task_queue.domain.document import frontmatter, settings
from task_queue.domain.document.title import title_of
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import Task, TaskId

MAX_BYTES = 1024 * 1024

_MOST_KNOWN = 256
_LONGEST_KNOWN = 1024
_Front = tuple[dict[str, Any], dict[str, int], tuple[TaskFileError, ...]]
"""Of front matter: what it gives, on which lines, and what is wrong with it."""
_fronts: dict[str, _Front] = {}
_ENCODED = "save the document as UTF-8"


def parse(data: bytes, task_id: TaskId) -> Task:
    """The task that *data* describes; raises only TaskFileError, with each fault and the line that is to blame."""
    task, faults = read_task(data, task_id)
    if faults:
        raise TaskFileError.of(faults)
    return task


def read_task(data: bytes, task_id: TaskId) -> tuple[Task, tuple[TaskFileError, ...]]:
    """What can be read of the task that *data* describes, and what is wrong with the rest.

    Raises TaskFileError where nothing can be read.
    """
    text = text_of(data)
    if not text.strip("\ufeff \t\r\n"):
        raise TaskFileError("the document is empty", hint="write what is to be done into it")
    front, body = frontmatter.split(text)
    given, lines, faults = _known(front or "")
    if not body.strip():
        empty = TaskFileError(
            "the document has front matter, but no text", hint="write what is to be done below it"
        )
        faults = (*faults, empty)
    task = Task(
        id=task_id,
        title=given.get("title") or title_of(body),
        body=body,
        given=given,
        sha256=hashlib.sha256(data).hexdigest(),
        lines=lines,
    )
    return task, faults


def _known(front: str) -> _Front:
    """What front matter says, worked out once for the many tasks that have the same: reading it takes longest.

    A fault is of one document: who sees it may add to it.
    """
    found = _fronts.get(front)
    if found is None:
        entries, unreadable = frontmatter.read(front) if front else ((), ())
        given, faults = settings.parse_given(entries)
        found = given, dict(_lines(entries)), (*unreadable, *faults)
        if not found[2] and len(front) <= _LONGEST_KNOWN:
            if len(_fronts) >= _MOST_KNOWN:
                _fronts.clear()
            _fronts[front] = found
    return found


def _lines(entries: Iterable[frontmatter.Field]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        yield entry.key, entry.line
        yield from (
            (f"{entry.key}: {item}", line) for item, line in zip(entry.value, entry.item_lines, strict=False)
        )


def text_of(data: bytes) -> str:
    """The text that *data* is. Raises TaskFileError."""
    if len(data) > MAX_BYTES:
        raise TaskFileError(
            f"the document has {len(data)} bytes, more than {MAX_BYTES}",
            hint="put large input into a file of the workspace and name it in the document",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TaskFileError("the document is UTF-16, not UTF-8", line=1, hint=_ENCODED)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TaskFileError(
            f"byte {error.start} (0x{data[error.start]:02x}) is not valid UTF-8",
            line=data.count(b"\n", 0, error.start) + 1,
            hint=_ENCODED,
        ) from None
    nul = data.find(b"\0")
    if nul >= 0:
        raise TaskFileError(f"byte {nul} is NUL: not a text file", line=data.count(b"\n", 0, nul) + 1)
    return text
