"""What runs, in the daemon and in the hands of workers: each of the two processes keeps a file, and reads the other's.

A file outlives its process, and so do attempts: what it lists counts until the process that takes its place has
looked at that source. What the daemon listed before the machine was started anew has ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from task_queue.domain.task import TaskId
from task_queue.domain.together import Neighbour, Workplace
from task_queue.platform import durable
from task_queue.platform.identity import own_identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import UnreadableRecordError, decode

log = logging.getLogger(__name__)

_LIMIT = 16 * 2**20
_OTHER_DECIDES_WITHIN_S = 2.0
RunningKey = tuple[str, TaskId]
"""Its source, and the name of the task's document without ``.md``: of each, one attempt runs at a time."""


@dataclass(frozen=True, slots=True)
class RunningTask:
    """*at* is None where the document does not say any more where it works."""

    source: str
    task_id: TaskId
    at: Workplace | None = None
    allowance_usd: float | None = None
    """What it may still spend today, and no other; None: it costs nothing, or nothing bounds it."""

    @property
    def key(self) -> RunningKey:
        return self.source, self.task_id

    @property
    def neighbour(self) -> Neighbour | None:
        return None if self.at is None else Neighbour(self.source, self.task_id, self.at)


@dataclass(frozen=True, slots=True)
class RunningFile:
    """What one of the two processes lists."""

    boot_id: str = ""
    tasks: tuple[RunningTask, ...] = ()
    last_start: datetime | None = None
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class RunningPlaces:
    """*own* is written by this process, *other* by the one besides it."""

    own: Path
    other: Path
    lock: Path
    survives_boot: bool = False
    """What is listed in *own* goes on when this machine is started anew: it runs on others."""


class RunningTasks:
    """Not thread-safe: the admission's lock guards it. Without *places* there is no other process."""

    def __init__(self, places: RunningPlaces | None = None) -> None:
        self.is_shared = False
        """Whether there is another process to agree with, by the configuration in force."""
        self._places = places
        self._lock = None if places is None else FileLock(places.lock)
        self._boot_id = own_identity().boot_id
        before = (
            RunningFile() if places is None else self._read(places.own, survives_boot=places.survives_boot)
        )
        self._mine = {task.key: task for task in before.tasks}
        self._inherited = set(self._mine)
        """Of an earlier process: not looked at yet."""
        self._last_start = before.last_start
        self._published: RunningFile | None = None
        self._other = RunningFile()
        self._other_seen: tuple[int, int, int] | None = None
        self._agrees = False

    @property
    def all(self) -> tuple[RunningTask, ...]:
        return (*self._mine.values(), *self._other.tasks)

    @property
    def last_start(self) -> datetime | None:
        return max(
            (start for start in (self._last_start, self._other.last_start) if start is not None), default=None
        )

    def of(self, source: str) -> tuple[RunningTask, ...]:
        """Those of this process."""
        return tuple(task for task in self._mine.values() if task.source == source)

    @contextmanager
    def agreed(self) -> Generator[None]:
        """What is decided within holds against what the other process decides."""
        if not self.is_shared or self._lock is None or self._agrees:
            yield
            return
        with ExitStack() as stack:
            try:
                durable.make_directory(self._lock.path.parent)
                stack.enter_context(self._lock.held(within_s=_OTHER_DECIDES_WITHIN_S))
            except OSError as error:  # held still in the middle, or a disk that refuses
                log.warning("decided without the other process path=%s error=%s", self._lock.path, error)
            self._agrees = True
            try:
                self.look()
                yield
            finally:
                self._agrees = False
                self._publish()

    def look(self) -> bool:
        """Read what the other process lists; whether that is news."""
        if not self.is_shared or self._places is None:
            was_empty, self._other, self._other_seen = self._other == RunningFile(), RunningFile(), None
            return not was_empty
        seen = _stamp(self._places.other)
        if seen == self._other_seen:
            return False
        self._other_seen = seen
        self._other = self._read(self._places.other, survives_boot=not self._places.survives_boot)
        return True

    def put(self, task: RunningTask) -> None:
        """Known before under that key: only where it works, and what it may spend, is as said now."""
        self._inherited.discard(task.key)
        self._mine[task.key] = task

    def started(self, task: RunningTask, now: datetime) -> None:
        self._last_start = now
        self.put(task)

    def allow(self, key: RunningKey, allowance_usd: float | None) -> None:
        known = self._mine.get(key) or RunningTask(*key)
        self.put(replace(known, allowance_usd=allowance_usd))

    def inherited(self, key: RunningKey) -> RunningTask | None:
        """As an earlier process listed it."""
        return self._mine[key] if key in self._inherited else None

    def has_inherited(self, source: str) -> bool:
        return any(of == source for of, _ in self._inherited)

    def left(self, key: RunningKey) -> None:
        self._inherited.discard(key)
        self._mine.pop(key, None)

    def looked(self, source: str) -> bool:
        """What an earlier process listed of *source*, and not this one, has ended; whether there was any."""
        gone = [key for key in self._inherited if key[0] == source]
        for key in gone:
            self.left(key)
        return bool(gone)

    def keep_only(self, sources: Collection[str]) -> None:
        """What an earlier process listed of other sources does not count."""
        for source in {key[0] for key in self._inherited} - set(sources):
            self.looked(source)

    def _publish(self) -> None:
        assert self._places is not None
        content = RunningFile(self._boot_id, tuple(self._mine.values()), self._last_start)
        if content == self._published:
            return
        try:
            durable.replace(self._places.own, _encoded(content), sync=False)
        except OSError as error:  # tried again with what changes next
            log.warning("what runs was not written path=%s error=%s", self._places.own, error)
            return
        self._published = content

    def _read(self, path: Path, *, survives_boot: bool) -> RunningFile:
        try:
            content = decode(RunningFile, durable.read_regular(path, limit=_LIMIT)[0])
        except FileNotFoundError:
            return RunningFile()
        except (OSError, UnreadableRecordError) as error:  # torn by a power cut
            log.warning("what runs was not read path=%s error=%s", path, error)
            return RunningFile()
        return content if survives_boot or content.boot_id == self._boot_id else RunningFile()


def _encoded(content: RunningFile) -> bytes:
    last = None if content.last_start is None else content.last_start.isoformat()
    head = json.dumps(
        {"schema_version": content.schema_version, "boot_id": content.boot_id, "last_start": last}
    )
    tasks = ", ".join(map(_text_of, content.tasks))
    return f'{head[:-1]}, "tasks": [{tasks}]}}\n'.encode()


@lru_cache(maxsize=1000)
def _text_of(task: RunningTask) -> str:
    """Made once: with many workers this file is written for each start, and most of it stays."""
    return json.dumps(asdict(task))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def described(task: RunningTask) -> dict[str, Any] | None:
    """For front ends, which work out from it what may not run beside *task*."""
    return None if task.at is None else {"task_id": task.task_id, **asdict(task.at)}
