"""Project settings that execute something: accepted as they are at first sight, afterwards only by their owner.

An agent can write ``.claude/settings.json`` in its workspace, and with it hooks that run outside of every
permission, in all later tasks; or prompts, and with them what its own auditor is told. So what a workspace holds
is compared with what its owner accepted, and the agent loads no project settings while they differ. Kept in the
state folder, which agents cannot write.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from task_queue.domain.trust import Difference, differences
from task_queue.platform import durable

_FILES = (".claude/settings.json", ".claude/settings.local.json", ".mcp.json")
_FOLDERS = (".claude/hooks", ".claude/skills/task-worker", ".claude/task-queue")
_FILE_LIMIT = 16 * 2**20
_MOST_FILES = 1000
_STORE_LIMIT = 16 * 2**20


class SettingsTrust:
    """Thread-safe; *store* is ``trusted-settings.json`` in the state folder."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()

    def changes(self, workspace: Path) -> tuple[Difference, ...]:
        """How *workspace* differs from what was accepted; seen for the first time, it is accepted as it is.

        Raises OSError or ValueError where the store cannot be read: then nothing is to be trusted.
        """
        found = hashes_of(workspace)
        with self._lock:
            accepted = self._accepted()
            if str(workspace) in accepted:
                return differences(accepted[str(workspace)], found)
            self._write({**accepted, str(workspace): found})
            return ()

    def pending(self, workspace: Path) -> tuple[Difference, ...]:
        """The same for those who only look: nothing is accepted by it."""
        accepted = self._accepted()
        known = accepted.get(str(workspace))
        return () if known is None else differences(known, hashes_of(workspace))

    def workspaces(self) -> tuple[Path, ...]:
        """Those that were seen so far."""
        return tuple(map(Path, self._accepted()))

    def accept(self, workspace: Path) -> None:
        """The owner's word: what lies there now is to be loaded."""
        with self._lock:
            self._write({**self._accepted(), str(workspace): hashes_of(workspace)})

    def _accepted(self) -> dict[str, dict[str, str]]:
        try:
            data, _ = durable.read_regular(self._store, limit=_STORE_LIMIT)
        except FileNotFoundError:
            return {}
        content: Any = json.loads(data)
        try:
            accepted: dict[str, dict[str, str]] = content["workspaces"]
            return {workspace: dict(hashes) for workspace, hashes in accepted.items()}
        except (AttributeError, KeyError, TypeError):
            raise ValueError(f"{self._store} does not hold accepted settings") from None

    def _write(self, accepted: dict[str, dict[str, str]]) -> None:
        durable.make_directory(self._store.parent)
        content = {"schema_version": 1, "workspaces": accepted}
        durable.replace(self._store, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def hashes_of(workspace: Path) -> dict[str, str]:
    """Every file of *workspace* that can make an agent execute something, with its hash."""
    return {
        os.path.relpath(path, workspace): _hash_of(path)
        for path in _executing(workspace)
        if os.path.lexists(path)
    }


def _executing(workspace: Path) -> Iterator[Path]:
    yield from (workspace / name for name in _FILES)
    files = (path for folder in _FOLDERS for path in sorted((workspace / folder).rglob("*")))
    for number, path in enumerate(path for path in files if not path.is_dir() or path.is_symlink()):
        if number == _MOST_FILES:
            return
        yield path


def _hash_of(path: Path) -> str:
    """Of the content, through links: a settings file may well be one. What cannot be read is told apart, too."""
    try:
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_FILE_LIMIT)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return hashlib.sha256(data).hexdigest()
