"""What traced calls did to a queue, step by step, and where a step began before an earlier one was durable.

A step gives, takes away or replaces a name, or adds to a file. Before an actor's next step the data has to be synced,
and each folder whose names changed: of a move both, the one with the new name first. Else a power cut can undo the
earlier step and keep the later one. Files that nothing is decided by are exempt, and a transcript is until its attempt
ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from task_queue.platform.durable import TEMPORARY_PREFIX

_WRITING = frozenset({"write", "pwrite64", "writev"})
_SYNCING = frozenset({"fsync", "fdatasync"})
_LINKING = frozenset({"link", "linkat"})
_RENAMING = frozenset({"rename", "renameat", "renameat2"})
_OPENING = frozenset({"open", "openat"})
_EXEMPT = frozenset({"runner.log", ".task-queue.lock"})
_TRANSCRIPT, _ENDING = "transcript.jsonl", "outcome.json"
_NAMELESS = " (deleted)"
"""What the kernel says of a file that never had a name: it tries the disk, and nothing is to be left of it."""


class Recording:
    """``steps`` in their order, as ``actor: verb path``; ``faults`` in words. Paths are from the queue's folder."""

    def __init__(self, queue: Path, calls: Iterable[dict[str, Any]]) -> None:
        self.steps: list[str] = []
        self.faults: list[str] = []
        self._queue = queue
        self._unsynced: dict[str, dict[Path, str]] = {}
        """By actor: what has to be synced, and the step that it belongs to."""
        for call in calls:
            if "nth" in call:
                self._take(call["actor"], call["call"], Path(call["path"]), Path(call.get("from", "")))
        for actor, left in self._unsynced.items():
            self.faults += [
                f"{actor}: {step} was never made durable in {path}" for path, step in left.items()
            ]

    def _take(self, actor: str, call: str, path: Path, source: Path) -> None:
        unsynced = self._unsynced.setdefault(actor, {})
        if call in _SYNCING:
            step = unsynced.get(path)
            if step is not None and next(left for left, its in unsynced.items() if its == step) != path:
                self.faults.append(f"{actor}: {step}: the old name went before the new one was durable")
            unsynced.pop(path, None)
        elif path.name in _EXEMPT or path.name.endswith(_NAMELESS):
            pass
        elif call in _WRITING:
            if not _is_temporary(path) and path not in unsynced:
                self._step(actor, "append", path, touches=(path,))
            unsynced[path] = self._said("write", path)
        elif call in _LINKING or call in _RENAMING:
            if unsynced.pop(source, None) is not None:
                self.faults.append(f"{actor}: {path.name} was named before its data was durable")
            if _is_temporary(source):
                verb = "publish" if call in _LINKING else "replace"
                self._step(actor, verb, path, touches=(path.parent,))
            else:
                verb = f"move {self._said('', source)} to"
                self._step(actor, verb, path, touches=(path.parent, source.parent))
        elif call in {"unlink", "unlinkat"} and not _is_temporary(path):
            self._step(actor, "remove", path, touches=(path.parent,))
        elif call in {"mkdir", "mkdirat"}:
            self._step(actor, "make", path, touches=(path.parent,))
        elif call in _OPENING and actor == "runner" and path.suffix == ".lock":
            self._step(actor, "read", path, touches=())

    def _step(self, actor: str, verb: str, path: Path, *, touches: tuple[Path, ...]) -> None:
        unsynced, step = self._unsynced[actor], self._said(verb, path)
        for left, earlier in unsynced.items():
            if left.name != _TRANSCRIPT or path.name == _ENDING:
                self.faults.append(f"{actor}: {step} began before {earlier} was durable")
        unsynced.update(dict.fromkeys(touches, step))
        self.steps.append(f"{actor}: {step}")

    def _said(self, verb: str, path: Path) -> str:
        return f"{verb} {path.relative_to(self._queue)}".strip()


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(TEMPORARY_PREFIX)
