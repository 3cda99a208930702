"""Reads ``schedules/`` of a source: its files and its ledger. Changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.schedule.document import (
    SUFFIX,
    Schedule,
    is_schedule_name,
    read_schedule,
    why_not_named,
)
from task_queue.domain.schedule.ledger import Kept, LedgerError, kept_by
from task_queue.platform import durable, trust
from task_queue.store.folder.intake_check import FileStamp, is_being_written, why_not_a_document
from task_queue.store.folder.layout import Layout

LEDGER = ".ledger.jsonl"
LEDGER_LIMIT = 16 * 2**20


class UnreadableLedgerError(TaskQueueError):
    """Which due times led to tasks is not known, so none may lead to another."""


@dataclass(frozen=True, slots=True)
class BrokenSchedule:
    """A file in ``schedules/`` that cannot be used; *why* names the line, where one is to blame."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class LedgerLines:
    """``torn``: bytes of a line that was never written whole, at the end."""

    lines: tuple[Mapping[str, Any], ...] = ()
    size: int = 0
    torn: bytes = b""


def why_no_schedules(layout: Layout) -> str | None:
    """Why nothing in ``schedules/`` may be used, None if it may. Raises OSError."""
    try:
        about = layout.schedules.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(about.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(about.st_mode) else "not a folder"
        return f"{layout.schedules} is {what}"
    problem = trust.grave_problem(layout.schedules, *layout.folders())
    if problem is None:
        return None
    return f"not trusted: {problem.what}, and a user who can write there runs agents as you; fix it with: {problem.fix}"


class ScheduleFiles:
    """The files of one source; what did not change since the last look is not read again."""

    def __init__(self, layout: Layout, *, settle_s: Callable[[], float] | None = None) -> None:
        """Without *settle_s* every file counts as complete."""
        self._layout = layout
        self._settle_s = settle_s
        self._read: dict[str, tuple[FileStamp, Schedule | BrokenSchedule]] = {}

    def look(self) -> tuple[Schedule | BrokenSchedule, ...]:
        """Each schedule, by name. One that is being written is as it was before. Raises OSError."""
        try:
            names = sorted(name for name in os.listdir(self._layout.schedules) if is_schedule_name(name))  # noqa: PTH208 - names only
        except FileNotFoundError:
            names = []
        read: dict[str, tuple[FileStamp, Schedule | BrokenSchedule]] = {}
        unnamed: list[BrokenSchedule] = []
        for file_name in names:
            name = file_name.removesuffix(SUFFIX)
            path = self._layout.schedules / file_name
            try:
                about = path.lstat()
                why = why_not_named(name) or why_not_a_document(about)
                if why is not None:
                    unnamed.append(BrokenSchedule(name, why))
                    continue
                found = self._found(path, name, FileStamp.of(about))
            except FileNotFoundError:
                continue
            except OSError as error:
                unnamed.append(BrokenSchedule(name, f"cannot be read: {error.strerror}"))
                continue
            if found is not None:
                read[name] = found
        self._read = read
        return (*(found for _, found in read.values()), *unnamed)

    def _found(
        self, path: Path, name: str, stamp: FileStamp
    ) -> tuple[FileStamp, Schedule | BrokenSchedule] | None:
        known = self._read.get(name)
        if known is not None and known[0] == stamp:
            return known
        if self._settle_s is not None and (
            abs(time.time() - stamp.ctime_ns / 1e9) < self._settle_s() or is_being_written(path)
        ):
            return known
        data, about = durable.read_regular(path, limit=MAX_BYTES)
        if FileStamp.of(about) != stamp:
            return known
        try:
            return stamp, read_schedule(data, name)
        except TaskFileError as error:
            return stamp, BrokenSchedule(name, error.in_full)


def read_ledger(layout: Layout) -> LedgerLines:
    """The lines of the ledger, none where there is no ledger. Raises UnreadableLedgerError, OSError."""
    path = layout.schedules / LEDGER
    try:
        data, _ = durable.read_regular(path, limit=LEDGER_LIMIT)
    except FileNotFoundError:
        return LedgerLines()
    if len(data) > LEDGER_LIMIT:
        raise _unreadable(path, f"it is larger than {LEDGER_LIMIT:,} bytes")
    whole, _, torn = data.rpartition(b"\n")
    lines: list[Mapping[str, Any]] = []
    for number, raw in enumerate(whole.split(b"\n") if whole else (), start=1):
        try:
            line: object = json.loads(raw)
        except (ValueError, RecursionError):
            raise _unreadable(path, f"line {number} is not JSON") from None
        if not isinstance(line, dict):
            raise _unreadable(path, f"line {number} is not an object")
        lines.append(cast("dict[str, Any]", line))
    return LedgerLines(tuple(lines), len(data), torn)


def kept_in(layout: Layout, ledger: LedgerLines) -> dict[str, Kept]:
    """What *ledger* says of each schedule. Raises UnreadableLedgerError."""
    try:
        return kept_by(ledger.lines)
    except LedgerError as error:
        raise _unreadable(layout.schedules / LEDGER, str(error)) from error


def _unreadable(path: Path, why: str) -> UnreadableLedgerError:
    return UnreadableLedgerError(
        f"{path}: {why}; no schedule of the source fires, because it is not known which times did",
        hint=f"begin anew from now on: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}",
    )
