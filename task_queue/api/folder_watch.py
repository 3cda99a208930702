"""Says when something in a folder changes, to all who wait for it in one event loop: one inotify instance, no thread.

It is a hint that shortens a wait: where a folder cannot be watched, its reader looks again soon by itself.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from watchdog.observers.inotify_c import (
    InotifyConstants,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

_END_OF_FOLDER = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
_MASK = (
    InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_HEAD = struct.Struct("iIII")
_AT_ONCE = 64 * 1024


class FolderWatch:
    """The instance is there while a folder is watched. For the thread of its event loop."""

    def __init__(self) -> None:
        self._fd = -1
        self._watchers: dict[WatchDescriptor, set[FolderWatcher]] = {}

    def watcher(self) -> FolderWatcher:
        """To be closed."""
        return FolderWatcher(self)

    def add(self, folder: Path, watcher: FolderWatcher) -> WatchDescriptor | None:
        """Watch *folder*; by which number, None where that cannot be done."""
        if self._fd < 0 and not self._begin():
            return None
        number = inotify_add_watch(self._fd, os.fsencode(folder), _MASK)
        if number < 0:
            self._end_if_unused()
            return None
        self._watchers.setdefault(number, set()).add(watcher)
        return number

    def remove(self, number: WatchDescriptor, watcher: FolderWatcher) -> None:
        watchers = self._watchers.get(number, set())
        watchers.discard(watcher)
        if not watchers and self._watchers.pop(number, None) is not None:
            inotify_rm_watch(self._fd, number)
        self._end_if_unused()

    def end_waits(self) -> None:
        """Let everyone look now."""
        for watcher in {each for several in self._watchers.values() for each in several}:
            watcher.end_wait()

    def _begin(self) -> bool:
        self._fd = inotify_init()
        if self._fd < 0:
            return False
        os.set_inheritable(self._fd, False)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._note_changes)
        return True

    def _end_if_unused(self) -> None:
        if self._fd >= 0 and not self._watchers:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _note_changes(self) -> None:
        with suppress(BlockingIOError):
            for number, mask in _events_in(os.read(self._fd, _AT_ONCE)):
                if mask & InotifyConstants.IN_Q_OVERFLOW:
                    self.end_waits()
                    continue
                if mask & (_END_OF_FOLDER | InotifyConstants.IN_IGNORED):
                    watchers = self._watchers.pop(number, set())
                    inotify_rm_watch(self._fd, number)  # one that was moved is watched still
                else:
                    watchers = self._watchers.get(number, set())
                for watcher in watchers:
                    if number not in self._watchers:
                        watcher.forget(number)
                    watcher.end_wait()
        self._end_if_unused()


class FolderWatcher:
    """One who waits for changes in a few folders."""

    def __init__(self, watch: FolderWatch) -> None:
        self._watch = watch
        self._numbers: dict[Path, WatchDescriptor] = {}
        self._changed = asyncio.Event()

    def watch(self, folders: Iterable[Path]) -> bool:
        """Whether all of *folders*, and only they, are watched from now on: look after that."""
        wanted = tuple(folders)
        for folder in [each for each in self._numbers if each not in wanted]:
            self._watch.remove(self._numbers.pop(folder), self)
        for folder in wanted:
            if folder not in self._numbers:
                number = self._watch.add(folder, self)
                if number is None:
                    return False
                self._numbers[folder] = number
        return True

    async def wait(self, longest_s: float) -> bool:
        """Until something has changed since the last wait ended; False where nothing has within *longest_s*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._changed.wait()
        has_changed = self._changed.is_set()
        self._changed.clear()
        return has_changed

    def end_wait(self) -> None:
        """Also the next one, where it does not wait now."""
        self._changed.set()

    def forget(self, number: WatchDescriptor) -> None:
        """That folder is not at its path any more."""
        self._numbers = {path: each for path, each in self._numbers.items() if each != number}

    def close(self) -> None:
        self.watch(())


def _events_in(data: bytes) -> Iterator[tuple[WatchDescriptor, int]]:
    """The number of the watch, and the mask."""
    at = 0
    while at < len(data):
        number, mask, _, length = _HEAD.unpack_from(data, at)
        yield WatchDescriptor(number), mask
        at += _HEAD.size + length
