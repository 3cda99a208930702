"""Wakes workers for "look at source X": one thread and one inotify instance for all sources.

An event is a hint that shortens a wait; the scan is the truth. So this module never says what
happened, it forgets nothing when a hint is lost, and what it cannot watch is left to the sweep.

Built on watchdog's ``InotifyFD`` (one instance, many watches, overflow reported) and not on its
observers: those take an instance and several threads per folder, hold every rename back for
500 ms to pair it, and do not learn of an overflow.

How a watch dies, and what notices it:
- its folder is deleted or unmounted: the kernel ends the watch and says so
- its folder is renamed, replaced, created later: an event of the queue folder around it
- it is mounted over, a symlink to it points elsewhere, the queue folder itself is replaced:
  ``check`` finds another (device, inode) at the path
- the message about any of these was lost in an overflow, or the file system sends no events at
  all: a probe file that ``check`` expects to have been heard of
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from task_queue.domain.events import WatchDegraded, WatchRestored
from task_queue.platform import durable, mounts
from task_queue.ports.emit import Emit


class Notify(Protocol):
    def __call__(self, source_id: str, name: str | None = None, arrived: bool = False) -> None:
        """Look at *source_id*: at *name* in its pending folder, which came by rename if *arrived*; at all if None."""
        ...


_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_MASK_ADD  # one source's queue folder may be another's pending folder
)
_END_OF_FOLDER = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FAILURES_UNTIL_DEGRADED = 3
_PROBE_PATIENCE_S = 1.0
_STOP_PATIENCE_S = 5.0
_LIMITS = Path("/proc/sys/fs/inotify")


class Watcher:
    """Calls *notify* with a source's id whenever a look at that source may be worth while.

    *notify* is called from the watcher's own thread and from the callers of ``watch`` and ``check``; it
    must return at once. Nothing here raises because a folder cannot be watched: ``degraded`` says so.
    """

    def __init__(
        self, notify: Notify, emit: Emit, *, mounted: Callable[[], tuple[mounts.Mount, ...]] = mounts.mounted
    ) -> None:
        self._notify = notify
        self._emit = emit
        self._lock = threading.Lock()
        self._sights: dict[str, _SourceWatch] = {}
        self._inotify: InotifyFD | None = None
        self._mounted = mounted
        self._mounts: tuple[mounts.Mount, ...] = ()
        self._remote: dict[Path, str | None] = {}

    def watch(self, source_id: str, pending: Path) -> None:
        """Watch *pending*, whether it exists already or not. Notifies once it is armed: look after that."""
        sight = _SourceWatch(source_id, pending.absolute(), self._notify)
        with self._lock:
            replaced = self._sights.pop(source_id, None)
            self._sights[source_id] = sight
        if replaced is not None:
            replaced.close()
        self._check_all([sight])

    def unwatch(self, source_id: str) -> None:
        with self._lock:
            sight = self._sights.pop(source_id, None)
        if sight is not None:
            sight.close()

    def degraded(self) -> Mapping[str, str]:
        """Why each of these sources is served by the sweep only."""
        with self._lock:
            return {source: sight.why for source, sight in self._sights.items() if sight.why is not None}

    def check(self) -> None:
        """Heal what died in silence. To be called every few seconds; costs one ``stat`` call per source."""
        with self._lock:
            sights = list(self._sights.values())
        self._check_all(sights)

    def close(self) -> None:
        """End the thread and give the inotify instance back. Idempotent."""
        with self._lock:
            sights, self._sights = list(self._sights.values()), {}
            inotify, self._inotify = self._inotify, None
        for sight in sights:
            sight.close()
        if inotify is not None:
            inotify.stop()
            if inotify is not threading.current_thread():
                inotify.join(_STOP_PATIENCE_S)

    def _check_all(self, sights: list[_SourceWatch]) -> None:
        if not sights:
            return
        inotify: InotifyFD | None = None
        no_instance: str | None = None
        with self._lock:
            if (mounted := self._mounted()) != self._mounts:
                self._mounts = mounted
                self._remote.clear()
            try:
                inotify = self._living_inotify()
            except _CannotWatchError as error:
                no_instance = str(error)
        for sight in sights:
            if inotify is not None and sight.is_well(inotify):
                continue
            before = sight.why
            after = sight.check(inotify, no_instance or self._remote_at(sight.pending))
            if after is not None and after != before:
                self._emit(WatchDegraded(sight.source, after))
            if before is not None and after is None:
                self._emit(WatchRestored(sight.source))

    def _living_inotify(self) -> InotifyFD:
        """The instance, made anew if its thread is gone."""
        if self._inotify is not None and not self._inotify.is_alive():
            dead, self._inotify = self._inotify, None
            for sight in self._sights.values():
                sight.forget()
            dead.close()
        if self._inotify is None:
            self._inotify = _started_inotify()
        return self._inotify

    def _remote_at(self, pending: Path) -> str | None:
        if pending not in self._remote:
            kind = mounts.kind_at(pending, self._mounts)
            is_remote = kind is not None and mounts.is_remote(kind)
            self._remote[pending] = f"{pending}: is on a network file system ({kind})" if is_remote else None
        return self._remote[pending]


class _CannotWatchError(Exception):
    """Why a folder cannot be watched now. ``certain``: trying twice more would show nothing new."""

    def __init__(self, why: str, *, certain: bool = False) -> None:
        super().__init__(why)
        self.certain = certain


class _Role(IntEnum):
    QUEUE = 0
    PENDING = 1


@dataclass(frozen=True, slots=True)
class _ArmedWatch:
    """One armed watch, and the folder that it is on."""

    wd: WatchDescriptor
    identity: tuple[int, int]


class _SourceWatch:
    """One source's two watches, as the receiver of their events (watchdog's ``WatchCallback``)."""

    _numbers = itertools.count()
    _probes = itertools.count()

    def __init__(self, source: str, pending: Path, notify: Notify) -> None:
        self.source = source
        self.pending = pending
        self.why: str | None = None
        self._folders = {_Role.QUEUE: str(pending.parent), _Role.PENDING: str(pending)}
        self._name = os.fsencode(pending.name)
        self._notify = notify
        self._number = next(self._numbers)
        # Held while the inotify lock is taken, never the other way round.
        self._lock = threading.Lock()
        self._inotify: InotifyFD | None = None
        self._held: dict[_Role, _ArmedWatch] = {}
        self._probe: tuple[bytes, float] | None = None
        self._doubted = False
        self._failures = 0
        self._closed = False

    def is_well(self, inotify: InotifyFD) -> bool:
        """Whether there is nothing for ``check`` to do; without the lock, as what it would find then, too."""
        return (
            self._inotify is inotify
            and self._probe is None
            and self.why is None
            and self._failures == 0
            and not self._doubted
            and self._is_armed()
        )

    def check(self, inotify: InotifyFD | None, obstacle: str | None) -> str | None:
        """Arm what is not armed; return ``why``. *obstacle*: what is known to forbid it."""
        with self._lock:
            if self._closed:
                return self.why
            self._inotify = inotify
            armed_before = self._held.get(_Role.PENDING)
            try:
                self._arm_and_probe(obstacle)
            except _CannotWatchError as error:
                self._failures += 1
                if error.certain or self._failures >= _FAILURES_UNTIL_DEGRADED:
                    self.why = str(error)
            else:
                if self._probe is None:
                    self._failures = 0
                    self.why = None
            why = self.why
            armed = self._held.get(_Role.PENDING)
        if armed is not None and armed is not armed_before:
            self._notify(self.source)
        return why

    def forget(self) -> None:
        """The instance that held the watches is gone."""
        with self._lock:
            self._held.clear()
            self._probe = None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._release_all()

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            if self._is_upheaval(event):
                if event.mask & _END_OF_FOLDER:
                    self._release(event.wd)
                self._rearm()
                name = None
            elif self._is_worth_a_look(event):
                name = os.fsdecode(event.name) or None
            else:
                return
        self._notify(self.source, name, name is not None and event.is_moved_to)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            if not any(hold.wd == wd for hold in self._held.values()):
                return
            self._release(wd)
            self._rearm()
        self._notify(self.source)

    def on_queue_overflow(self) -> None:
        """Events were lost, perhaps the one that said that a watch is dead."""
        self._doubted = True
        self._notify(self.source)

    def _is_upheaval(self, event: InotifyEvent) -> bool:
        """Whether another folder may be at the path now."""
        for role, hold in self._held.items():
            if hold.wd == event.wd:
                if event.mask & _END_OF_FOLDER:
                    return True
                if role is _Role.QUEUE and event.name == self._name and not event.is_attrib:
                    return True
        return False

    def _is_worth_a_look(self, event: InotifyEvent) -> bool:
        """Whether the worker may have something to do. A look too many does no harm."""
        hold = self._held.get(_Role.PENDING)
        if hold is None or hold.wd != event.wd:
            return False
        if self._probe is not None and event.name == self._probe[0]:
            self._probe = None
            return False
        # Locks, journals and temporaries come and go by our own doing; only a cancel is a message.
        return not event.name.startswith(b".") or (
            event.name.startswith(b".task-") and event.name.endswith(b".cancel")
        )

    def _arm_and_probe(self, obstacle: str | None) -> None:
        if obstacle is not None:
            self._release_all()
            raise _CannotWatchError(obstacle, certain=True)
        if self._doubted:
            self._doubted = False
            self._send_probe()
        if self._probe is not None and time.monotonic() - self._probe[1] > _PROBE_PATIENCE_S:
            self._release_all()
            self._arm()
            raise _CannotWatchError(f"{self.pending}: changes there cause no events")
        self._arm()

    def _rearm(self) -> None:
        """At once, from the watcher's thread; what fails now is counted and reported by the next ``check``."""
        if not self._closed:
            with contextlib.suppress(_CannotWatchError):
                self._arm()

    def _arm(self) -> None:
        """Watch both folders as they are now. The caller holds the lock."""
        if self._is_armed():
            return
        # First, so that a pending folder that appears in between is not missed. Without it a replaced
        # pending folder is noticed by the next check instead of at once.
        with contextlib.suppress(_CannotWatchError):
            self._hold(_Role.QUEUE)
        if self._hold(_Role.PENDING):
            self._send_probe()

    def _is_armed(self) -> bool:
        """Where pending is in its place, the way to it is the same too: one look is enough."""
        return _Role.QUEUE in self._held and self._is_in_place(_Role.PENDING)

    def _hold(self, role: _Role) -> bool:
        """Watch the folder that is at the path now; False if it is watched already."""
        assert self._inotify is not None
        if self._is_in_place(role):
            return False
        self._release_role(role)
        path = self._folders[role]
        try:
            # Watched through a descriptor: so the identity is that of the very folder that is watched.
            folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _CannotWatchError(f"{path}: {error.strerror}") from error
        try:
            wd = _add_watch(self._inotify, folder, self, self._callback_id(role))
            self._held[role] = _ArmedWatch(wd, _identity(os.fstat(folder)))
        except OSError as error:
            raise _no_watch(path, error) from error
        finally:
            os.close(folder)
        return True

    def _is_in_place(self, role: _Role) -> bool:
        """Whether the watched folder is still at its path."""
        hold = self._held.get(role)
        try:
            # os.stat of a string costs half of what Path.stat does, and this is all that an idle check does.
            return hold is not None and hold.identity == _identity(os.stat(self._folders[role]))  # noqa: PTH116
        except OSError:
            return False

    def _send_probe(self) -> None:
        # Named so that the engine sweeps it where we are killed, or the disk fails, before it is removed.
        name = f"{durable.TEMPORARY_PREFIX}{os.getpid()}-probe-{next(self._probes)}"
        self._probe = (os.fsencode(name), time.monotonic())
        try:
            os.close(os.open(self.pending / name, _NEW_FILE, 0o600))
            (self.pending / name).unlink(missing_ok=True)
        except OSError:
            self._probe = None  # read-only, full, sick: the watch is not at fault

    def _release(self, wd: WatchDescriptor) -> None:
        for role in [role for role, hold in self._held.items() if hold.wd == wd]:
            self._release_role(role)

    def _release_role(self, role: _Role) -> None:
        hold = self._held.pop(role, None)
        if role is _Role.PENDING:
            self._probe = None
        if hold is not None and self._inotify is not None:
            self._inotify.remove_callbacks([(hold.wd, self._callback_id(role))])

    def _release_all(self) -> None:
        for role in _Role:
            self._release_role(role)

    def _callback_id(self, role: _Role) -> CallbackId:
        return CallbackId(self._number * len(_Role) + role)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _started_inotify() -> InotifyFD:
    """A running instance of our own; the shared one of ``get_instance`` could not be ended."""
    try:
        inotify = InotifyFD()
    except OSError as error:
        raise _no_instance(error) from error
    # watchdog opens it without IN_CLOEXEC, so a child would keep the instance and all its watches alive.
    os.set_inheritable(inotify._inotify_fd, False)  # pyright: ignore[reportPrivateUsage]
    inotify.name = "watcher"
    inotify.start()
    return inotify


def _add_watch(
    inotify: InotifyFD, folder: int, receiver: _SourceWatch, callback_id: CallbackId
) -> WatchDescriptor:
    path = os.fsencode(f"/proc/self/fd/{folder}")
    wd = inotify.add_callback(path, _MASK, receiver, callback_id)
    if wd == -1:  # watchdog swallows EACCES (seen in 7.1.0)
        inotify.remove_callbacks([(wd, callback_id)])
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return wd


def _no_watch(path: str, error: OSError) -> _CannotWatchError:
    if error.errno == errno.ENOSPC:
        limit = _limit("max_user_watches")
        return _CannotWatchError(
            f"{path}: no inotify watch is left; raise fs.inotify.max_user_watches (now {limit})", certain=True
        )
    return _CannotWatchError(f"{path}: {error.strerror}")


def _no_instance(error: OSError) -> _CannotWatchError:
    if error.errno == errno.EMFILE and _has_free_descriptor():
        limit = _limit("max_user_instances")
        return _CannotWatchError(
            f"no inotify instance is left; raise fs.inotify.max_user_instances (now {limit})"
        )
    return _CannotWatchError(f"no inotify instance: {os.strerror(error.errno or 0)}")


def _has_free_descriptor() -> bool:
    """EMFILE means either limit: inotify's, or that of the process's open files."""
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _limit(name: str) -> str:
    try:
        return (_LIMITS / name).read_text().strip()
    except OSError:
        return "unknown"
