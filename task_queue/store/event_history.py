"""The newest events of some types first, without reading those in between: a search from the end of the log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from task_queue.platform import durable
from task_queue.store import event_files as files
from task_queue.store.event_files import EventFolder, NumberedRecord


@dataclass(slots=True)
class SearchBound:
    """How much of the log one search reads at most; once it has stopped for that reason, where it may go on."""

    segments: int
    events: int | None = None
    """How many it gives; None: any number."""
    before: int | None = None
    """Every event of at least this number was looked at; None while the search has not stopped."""
    reached: datetime | None = None
    """When the oldest event was logged that was looked at."""

    def stop(self, before: int, reached: datetime | None) -> None:
        self.before, self.reached = before, reached


def newest_first(
    folder: Path,
    types: Collection[str],
    *,
    may_be_wanted: Callable[[bytes], bool] = lambda _line: True,
    bound: SearchBound | None = None,
    before: int | None = None,
) -> Iterator[NumberedRecord]:
    """Events of *types* in the log in *folder*, as it is now; what cannot be read is left out. Raises OSError.

    A line is decoded only where the name of one of the types stands as that of a type, and *may_be_wanted* says so;
    it is asked of many lines together first. *bound* ends it early; with *before*, only events with a smaller number.
    Segments are read and not mapped: a writer takes back what it could write only a part of.
    """
    log = EventFolder(folder)
    epoch = log.current_epoch()
    if epoch is None:
        return
    firsts = [first for first in log.firsts(epoch) if before is None or first < before]
    segment, given = b"", 0
    for place, first in enumerate(reversed(firsts)):
        if bound is not None and place == bound.segments:
            oldest = files.decoded(segment[: segment.find(b"\n")])
            bound.stop(firsts[-place], None if oldest is None else oldest.at)
            return
        try:
            with durable.open_regular(log.segment(epoch, first)) as file:
                segment = file.read()
        except FileNotFoundError:
            return  # gone by ``retention`` meanwhile, as is all before it
        if may_be_wanted(segment):
            for line in _newest_in(segment, types):
                event = files.decoded(line) if may_be_wanted(line) else None
                if event is None or event.record.type not in types:
                    continue
                if before is not None and event.seq >= before:
                    continue
                if bound is not None and given == bound.events:
                    bound.stop(event.seq + 1, event.at)
                    return
                given += 1
                yield event


def _newest_in(segment: bytes, types: Collection[str]) -> Iterator[bytes]:
    end = segment.rfind(b"\n") + 1  # a line without an end may still be written
    marks = [b'"type":"%s"' % name.encode() for name in types]
    places = {mark: segment.rfind(mark, 0, end) for mark in marks}
    while (place := max(places.values(), default=-1)) >= 0:
        start = segment.rfind(b"\n", 0, place) + 1
        yield segment[start : segment.find(b"\n", place)]
        places = {
            mark: found if found < start else segment.rfind(mark, 0, start) for mark, found in places.items()
        }
