"""A transcript in parts that a page can show, however long it is: the last one first, or where a text occurs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

from task_queue.app.installation import Installation
from task_queue.app.transcript import logs_of
from task_queue.app.transcript_text import EntryKind, TranscriptEntry, TranscriptReader
from task_queue.domain.task import TaskId
from task_queue.platform import durable

_PART = 192 * 1024
_LONGEST_LINE = 8 * 2**20
_CHUNK = 2**20
MOST_FOUND = 200


@dataclass(frozen=True, slots=True)
class TranscriptPage:
    """The entries between two places of the file, in bytes; ``end`` is its end where ``later`` is False."""

    attempt: int
    attempts: tuple[int, ...]
    entries: tuple[TranscriptEntry, ...]
    start: int
    end: int
    later: bool
    found: int | None = None
    """How many lines have the text that was searched; None where none was."""

    @property
    def named(self) -> Iterator[tuple[str, TranscriptEntry]]:
        """Each entry, with a name of its own that it keeps when the part grows at its end and shrinks at its begin."""
        times: Counter[int] = Counter()
        for entry in self.entries:
            said = entry.body if entry.kind is EntryKind.WORDS else ""
            digest = crc32(
                f"{entry.kind.name}\n{entry.at}\n{entry.text}\n{said[:200]}".encode(errors="replace")
            )
            times[digest] += 1
            yield f"entry-{digest:08x}-{times[digest]}", entry


def transcript_page(
    installation: Installation,
    task_id: TaskId,
    *,
    attempt: int | None = None,
    before: int | None = None,
    text: str = "",
) -> TranscriptPage:
    """The part that ends at the byte *before* (default: the last one), or the lines with *text*, at most MOST_FOUND.

    Raises UnknownTaskError, TaskQueueError if there is no such attempt, OSError.
    """
    logs = logs_of(installation, task_id, attempt=attempt)
    start, end, size, found = 0, 0, 0, None
    lines: list[bytes] = []
    try:
        with durable.open_regular(logs.transcript) as file:
            size = os.fstat(file.fileno()).st_size
            if text:
                lines = list(_with(text, file.fileno()))
                found, end = len(lines), size
            else:
                start, end, lines = _part(file.fileno(), min(size, size if before is None else before))
    except FileNotFoundError:
        pass
    entries = tuple(TranscriptReader().entries(_decoded(lines)))
    return TranscriptPage(logs.attempt, logs.attempts, entries, start, end, end < size, found)


def _part(descriptor: int, end: int) -> tuple[int, int, list[bytes]]:
    """Whole lines before the byte *end*: where they begin and end, and what they are."""
    length = _PART
    while True:
        start = max(0, end - length)
        data = os.pread(descriptor, end - start, start)
        first = 0 if start == 0 else data.find(b"\n") + 1
        last = data.rfind(b"\n") + 1
        if start == 0 or first < last or length >= _LONGEST_LINE:
            return start + first, start + max(first, last), data[first:last].splitlines()
        length *= 4


def _with(text: str, descriptor: int) -> Iterator[bytes]:
    has, rest, offset, found = _search_for(text), b"", 0, 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        offset += len(chunk)
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        rest = rest[-_LONGEST_LINE:]
        if not (end and has(whole)):  # most of it, at once
            continue
        for line in filter(has, whole.split(b"\n")):
            yield line
            found += 1
            if found == MOST_FOUND:
                return


def _search_for(text: str) -> Callable[[bytes], bool]:
    """Whether a line of the transcript has *text*, in whatever case, as JSON writes it."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    if text.isascii():
        wanted = written.lower().encode()
        return lambda line: wanted in line.lower()
    folded = written.casefold()
    return lambda line: folded in line.decode(errors="replace").casefold()


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode(errors="replace") for line in lines)
