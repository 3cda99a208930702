"""What statistics need of each segment of the event log, kept so that it is read once.

    summaries/<epoch>/<first>.<by>.json   of the segment that begins with the event of that number

A segment that is sealed never changes, so neither does its summary. It is published whole, and one that is missing,
damaged, of another release or of a segment of another size is made again: a kill at any moment costs the work of
one. The segment that is still written is read each time. Nothing here is needed: the folder may be deleted.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from task_queue.domain.event_record import EventRecord
from task_queue.domain.statistics import (
    ACCOUNT_PAUSED,
    ACCOUNT_RESUMED,
    LIMITED,
    SETTLED,
    EndRecord,
    LimitEvent,
    PartKey,
    Summary,
    Tally,
    summarized,
)
from task_queue.platform import durable
from task_queue.platform.json_files import json_object
from task_queue.store import event_files as files
from task_queue.store.event_files import EventFolder

KEPT = ("source", "type", "model", "outcome", "day")
"""The last is written last."""
TYPES = (SETTLED, LIMITED, ACCOUNT_PAUSED, ACCOUNT_RESUMED)
_VERSION = 1
_LIMIT = 64 * 2**20
_OF_TYPE = re.compile(
    rb'^\{"seq":\d+,"at":"[^"]*","type":"(?:%s)".*\n' % "|".join(TYPES).encode(), re.MULTILINE
)
_TALLY = tuple(field.name for field in fields(Tally))
_END = tuple(field.name for field in fields(EndRecord) if field.name != "seconds_by_phase")
OnStep = Callable[[int, int], None]
"""Called with how many segments are done, and of how many."""


class EventSummaries:
    """Of the log in *events*; *kept* is the folder of the summaries, which is made when it is needed."""

    def __init__(self, events: Path, kept: Path) -> None:
        self._log = EventFolder(events)
        self._kept = kept

    def since(
        self, since: datetime | None, by: str, *, step: OnStep = lambda _done, _of: None
    ) -> list[Summary]:
        """The sums, by one of ``KEPT``, of the parts of the log from *since* on; ends before it are left out.

        One more part before these may be among them: it has what went on at that time. Of a segment that is gone by
        ``retention`` the sums are whole. Raises OSError.
        """
        epoch = self._log.current_epoch()
        found: list[Summary] = []
        if epoch is None:
            return found
        firsts = sorted({*self._log.firsts(epoch), *self._without_segment(epoch)})
        for done, first in enumerate(reversed(firsts)):
            step(done, len(firsts))
            summary = self._of(epoch, first, by)
            is_partly_before = since is not None and (summary.begins is None or summary.begins < since)
            is_readable = is_partly_before and self._log.segment(epoch, first).exists()
            found.append(self._read(epoch, first, [by], since=since)[by] if is_readable else summary)
            if since is not None and summary.ends is not None and summary.ends < since:
                break
        return found[::-1]

    def keep_up(self, *, most: int, stopping: Callable[[], bool] = lambda: False) -> int:
        """Make summaries that are missing, the newest first and at most so many; how many. Raises OSError.

        Those of earlier epochs are removed.
        """
        epoch = self._log.current_epoch()
        made = 0
        if epoch is None:
            return made
        self._remove_others(epoch)
        for first in reversed(self._log.firsts(epoch)[:-1]):
            if made == most or stopping():
                break
            if not self._path(epoch, first, KEPT[-1]).exists():
                self._of(epoch, first, KEPT[-1])
                made += 1
        return made

    def outlives(self, epoch: str, first: int) -> bool:
        """Make what is missing of that sealed segment's; whether all are there now. Raises OSError."""
        for by in KEPT:
            if not self._path(epoch, first, by).exists():
                self._of(epoch, first, by)
        return all(self._kept_of(epoch, first, by) is not None for by in KEPT)

    def _without_segment(self, epoch: str) -> set[int]:
        """Sealed segments that are gone, by their first number."""
        there = self._log.firsts(epoch)
        names = (path.name for path in (self._kept / epoch).glob(f"*.{KEPT[-1]}.json"))
        kept = {int(name.partition(".")[0]) for name in names if name.partition(".")[0].isdecimal()}
        return {first for first in kept if there and first < there[0]}

    def _kept_of(self, epoch: str, first: int, by: str, *, size: int | None = None) -> Summary | None:
        """None where there is none, or none of a segment of *size* bytes."""
        kept = json_object(self._path(epoch, first, by), limit=_LIMIT)
        if isinstance(kept, dict) and kept.get("version") == _VERSION and size in {None, kept.get("size")}:
            with contextlib.suppress(KeyError, TypeError, ValueError, IndexError):
                return _summary_from(kept)
        return None

    def _of(self, epoch: str, first: int, by: str) -> Summary:
        segment = self._log.segment(epoch, first)
        try:
            about = segment.lstat()
        except FileNotFoundError:
            return self._kept_of(epoch, first, by) or Summary()
        if not files.is_sealed(about):
            return self._read(epoch, first, [by])[by]
        if (kept := self._kept_of(epoch, first, by, size=about.st_size)) is not None:
            return kept
        summaries = self._read(epoch, first, KEPT)
        with contextlib.suppress(OSError):  # the answer is right without it, only slower the next time
            durable.make_directory(self._kept / epoch)
            for name, summary in summaries.items():
                content = {"version": _VERSION, "size": about.st_size, **_content_of(summary)}
                data = json.dumps(content, separators=(",", ":")).encode()
                durable.replace(self._path(epoch, first, name), data)
        return summaries[by]

    def _read(
        self, epoch: str, first: int, dimensions: Iterable[str], *, since: datetime | None = None
    ) -> dict[str, Summary]:
        with durable.open_regular(self._log.segment(epoch, first)) as file:
            segment = file.read()
        summaries = summarized(_events_in(segment), dimensions, since=since)
        begin, end = (
            segment.find(b"\n"),
            segment.rfind(b"\n") + 1,
        )  # a line without an end may still be written
        opening = files.decoded(segment[: max(0, begin)])
        closing = files.decoded(segment[segment.rfind(b"\n", 0, max(0, end - 1)) + 1 : end])
        for summary in summaries.values():
            summary.begins = None if opening is None else opening.at
            summary.ends = None if closing is None else closing.at
        return summaries

    def _path(self, epoch: str, first: int, by: str) -> Path:
        return self._kept / epoch / f"{first:016d}.{by}.json"

    def _remove_others(self, epoch: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for folder in self._kept.iterdir():
                if folder.name != epoch:
                    shutil.rmtree(folder, ignore_errors=True)


def _events_in(segment: bytes) -> Iterator[tuple[datetime, EventRecord]]:
    for line in _OF_TYPE.finditer(segment):
        event = files.decoded(line[0])
        if event is not None:
            yield event.at, event.record


def _content_of(summary: Summary) -> dict[str, Any]:
    return {
        "begins": _time(summary.begins),
        "ends": _time(summary.ends),
        "cells": [
            [kind, *(getattr(tally, name) for name in _TALLY)] for kind, tally in summary.cells.items()
        ],
        "first": [[_plain(getattr(end, name)) for name in _END] for end in summary.first.values()],
        "last": [[source, *key] for source, key in summary.last.items()],
        "limits": [
            [_time(event.at), event.type, _time(event.until), event.model] for event in summary.limits
        ],
    }


def _summary_from(content: dict[str, Any]) -> Summary:
    """Raises KeyError, TypeError, ValueError, IndexError for what no release wrote."""
    firsts = [EndRecord(_moment(at), *rest) for at, *rest in content["first"]]
    return Summary(
        begins=_moment_or_none(content["begins"]),
        ends=_moment_or_none(content["ends"]),
        cells={cast("PartKey", tuple(key)): Tally(*sums) for key, *sums in content["cells"]},
        first={end.source: end for end in firsts},
        last={source: (task_id, attempt) for source, task_id, attempt in content["last"]},
        limits=[
            LimitEvent(_moment(at), type_, _moment_or_none(until), model)
            for at, type_, until, model in content["limits"]
        ],
    )


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
