"""From the bytes of a task document to a Task. Whatever is wrong with them is one TaskFileError."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from task_queue.domain.document import frontmatter, settings
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import Task, TaskId

MAX_BYTES = 1024 * 1024

_TITLE_LENGTH = 80
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}#{1,6}([ \t].*)")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*")
_ENCODED = "save the document as UTF-8"


def parse(data: bytes, task_id: TaskId) -> Task:
    """The task that *data* describes; raises only TaskFileError, with the line where one is to blame."""
    text = _decoded(data)
    if not text.strip("\ufeff \t\r\n"):
        raise TaskFileError("the document is empty", hint="write what is to be done into it")
    front, body = frontmatter.split(text)
    entries = () if front is None else frontmatter.read(front)
    given: dict[str, Any] = settings.parse_given(entries)
    if not body.strip():
        raise TaskFileError(
            "the document has front matter, but no text", hint="write what is to be done below it"
        )
    return Task(
        id=task_id,
        title=given.get("title") or _title_of(body),
        body=body,
        given=given,
        sha256=hashlib.sha256(data).hexdigest(),
        lines=dict(_lines(entries)),
    )


def _lines(entries: Iterable[frontmatter.Field]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        yield entry.key, entry.line
        yield from (
            (f"{entry.key}: {item}", line) for item, line in zip(entry.value, entry.item_lines, strict=False)
        )


def _decoded(data: bytes) -> str:
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


def _title_of(body: str) -> str:
    """The first heading outside of code fences, else the first line that says something."""
    first = ""
    for line in _prose(body):
        heading = _heading_in(line)
        if heading:
            return heading[:_TITLE_LENGTH]
        first = first or " ".join(line.split())
    return (first or next(line for line in body.split("\n") if line.strip()).strip())[:_TITLE_LENGTH]


def _prose(body: str) -> Iterator[str]:
    """Lines outside of code fences that are not blank; one underlined with ``=`` comes again as ``#``."""
    fence = ""
    previous = ""
    for line in body.split("\n"):
        match = _FENCE.fullmatch(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif match and not (match[1][0] == "`" and "`" in match[2]):
            fence = match[1]
        elif previous and _UNDERLINE.fullmatch(line):
            yield "# " + previous.strip()
        elif line.strip():
            yield line
        previous = "" if fence or match else line.strip()


def _heading_in(line: str) -> str:
    """Text of a ``#`` heading, empty if *line* is none. Linear in a long line: the pattern has one open end."""
    match = _HEADING.match(line)
    text = match[1].strip() if match else ""
    before_closing = text.rstrip("#")
    return " ".join((before_closing if before_closing[-1:] in {"", " ", "\t"} else text).split())
