"""The daemon's own log: where it goes, what an event looks like in it, and how it is read.

Under systemd it goes to the journal, which knows times and priorities; otherwise to ``daemon.log`` in
the state directory, rotated. What an agent says is not here: that is each attempt's transcript.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any, BinaryIO

from task_queue.domain import events
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import display_name_of
from task_queue.domain.events import Event
from task_queue.domain.text import printable
from task_queue.platform import durable

LOG_NAME = "daemon.log"
UNIT = "task-queue"

_BYTES_PER_FILE = 5 * 1024 * 1024
_OLD_FILES = 4
_FOLLOW_POLL_S = 0.2
_BLOCK = 64 * 1024
_KEYS = {"task_id": "task"}
_LEVELS: dict[type[Event], int] = {
    events.SourceUnavailable: logging.ERROR,
    events.WorkerCrashed: logging.ERROR,
    events.TaskRecovered: logging.WARNING,
    events.TaskRejected: logging.WARNING,
    events.TaskLimited: logging.WARNING,
    events.AccountPaused: logging.WARNING,
    events.WatchDegraded: logging.WARNING,
    events.ScheduleBroken: logging.WARNING,
    events.TaskStuck: logging.WARNING,
    events.BaseBroken: logging.WARNING,
    events.ScheduleMissed: logging.WARNING,
    # One for each document of a folder, and what the log says in other words beside it.
    events.TaskDropped: logging.DEBUG,
    events.QueueStopped: logging.DEBUG,
    events.QueueResumed: logging.DEBUG,
    events.ConfigurationChanged: logging.DEBUG,
    events.DaemonStarted: logging.DEBUG,
    events.DaemonStopped: logging.DEBUG,
}
"""The levels of the events that are not logged as INFO."""
_SAID_ELSEWHERE = ("figures", "model")
"""Fields of events that the log does without: for statistics, or named in another field."""
_log = logging.getLogger("task_queue")


def set_up(state_dir: Path, *, journal_stream: str | None, level: int = logging.INFO) -> None:
    """Send the records of the whole process to the journal or to the file. *journal_stream*: JOURNAL_STREAM."""
    handler: logging.Handler
    if is_journal(sys.stderr.fileno(), journal_stream):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JournalFormatter())
    else:
        handler = _private_rotating_file(state_dir / LOG_NAME)
        handler.setFormatter(_FileFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def is_journal(fd: int, journal_stream: str | None) -> bool:
    """Whether *fd* is the stream to the journal that ``JOURNAL_STREAM`` names, not one redirected since."""
    if journal_stream is None:
        return False
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def record(event: Event) -> None:
    """The one subscriber that turns events into log lines."""
    level, line = describe(event)
    _log.log(level, "%s", line)


def describe(event: Event) -> tuple[int, str]:
    """Level and ``message key=value`` of *event*. One line, but for a traceback."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    for name in _SAID_ELSEWHERE:
        values.pop(name, None)
    traceback = str(values.pop("traceback", ""))
    # The only foreign text with lines of its own; the bar keeps them from passing for records.
    body = "".join(f"\n  | {printable(text)}" for text in traceback.splitlines())
    return _LEVELS.get(type(event), logging.INFO), _line(display_name_of(type(event)), **values) + body


def tail(path: Path, lines: int) -> list[str]:
    """The last *lines* lines of the log at *path*, going on into the file rotated before it."""
    log = _open(path)
    if log is None:
        return []
    with log:
        return _tail(log, path, lines)


def follow(path: Path, *, lines: int = 10) -> Iterator[str]:
    """The last *lines* lines and then each new one, across rotations; waits for the file. Never ends."""
    log = _open(path)
    if log is not None:
        yield from _tail(log, path, lines)
    try:
        while True:
            # Asked before reading: what was written to the old file before the rotation is not lost.
            is_current = log is not None and _is_at(path, log)
            if log is not None:
                yield from _new_lines(log)
            if is_current:
                time.sleep(_FOLLOW_POLL_S)
                continue
            newer = _open(path)
            if newer is None:
                time.sleep(_FOLLOW_POLL_S)
                continue
            if log is not None:
                log.close()
            log = newer
    finally:
        if log is not None:
            log.close()


def journal(lines: int, *, follow: bool) -> Iterator[str]:
    """The same from the journal, for a daemon that runs as the unit. Closing the iterator ends the child.

    Raises TaskQueueError where journalctl cannot be started.
    """
    argv = ["journalctl", "--user", "-u", UNIT, "-o", "cat", "-n", str(lines), "--no-pager"]
    try:
        started = subprocess.Popen([*argv, *(["-f"] if follow else [])], stdout=subprocess.PIPE)
    except OSError as error:
        raise TaskQueueError(
            f"the daemon logs to the journal, and journalctl cannot be started: {error.strerror}",
            hint="install it (it comes with systemd), or put its folder on your PATH",
        ) from error
    with started as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                yield _text(line.rstrip(b"\n"))
        finally:
            child.terminate()


class _JournalFormatter(logging.Formatter):
    """``<N>`` before every line, as sd-daemon(3) has it; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class _FileFormatter(logging.Formatter):
    """Local time with offset."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - its name
        moment = time.localtime(record.created)
        return time.strftime(datefmt or "%Y-%m-%dT%H:%M:%S%z", moment)


def _private_rotating_file(path: Path) -> logging.Handler:
    from logging.handlers import RotatingFileHandler

    class PrivateRotatingFile(RotatingFileHandler):
        def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the name that logging calls
            if self.stream is not None and not _is_at(Path(self.baseFilename), self.stream):
                self.stream.close()  # it was removed: go on with the file that is there, or make it anew
                self.stream = None
            return bool(super().shouldRollover(record))

        def _open(self) -> TextIOWrapper:
            durable.make_directory(Path(self.baseFilename).parent)
            fd = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return TextIOWrapper(FileIO(fd, "a"), encoding=self.encoding, errors=self.errors)

    return PrivateRotatingFile(
        path, maxBytes=_BYTES_PER_FILE, backupCount=_OLD_FILES, encoding="utf-8", errors="backslashreplace"
    )


def _priority(level: int) -> int:
    """The syslog priority of a level of ``logging``."""
    for floor, priority in (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
    ):
        if level >= floor:
            return priority
    return 7


def _line(message: str, /, **values: object) -> str:
    named = ((_KEYS.get(name, name), value) for name, value in values.items())
    return " ".join([message, *(f"{key}={_value(value)}" for key, value in named)])


def _value(value: object) -> str:
    if isinstance(value, datetime):
        value = value.isoformat(timespec="seconds")
    elif isinstance(value, tuple):
        value = ",".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # any tuple
    text = "unknown" if value is None else printable(str(value))
    if text and not any(c in text for c in ' "='):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _tail(log: BinaryIO, path: Path, lines: int) -> list[str]:
    found = _last_lines(log, lines)
    older = _open(path.with_name(path.name + ".1")) if len(found) < lines else None
    if older is None:
        return found
    with older:
        return _last_lines(older, lines - len(found)) + found


def _last_lines(log: BinaryIO, lines: int) -> list[str]:
    """Read backwards, and leave *log* behind its last finished line."""
    start = end = log.seek(0, os.SEEK_END)
    found = b""
    while start > 0 and found.count(b"\n") <= lines:
        size = min(_BLOCK, start)
        start = log.seek(start - size)
        found = log.read(size) + found
    finished, _, unfinished = found.rpartition(b"\n")
    log.seek(end - len(unfinished))
    return [_text(line) for line in finished.split(b"\n")[-lines:]] if finished and lines > 0 else []


def _new_lines(log: BinaryIO) -> Iterator[str]:
    for line in log:
        if not line.endswith(b"\n"):
            log.seek(-len(line), os.SEEK_CUR)  # its writer is not done; the next look sees it whole
            return
        yield _text(line[:-1])


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_at(path: Path, log: IO[Any]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(log.fileno()))
    except FileNotFoundError:
        return False


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
