"""The private queue: its configuration, its daemon as a process of its own, and its tasks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from task_queue.app import changing, revising
from task_queue.app.daemon_state import daemon_from
from task_queue.app.finding import state_of
from task_queue.app.installation import Installation
from task_queue.app.tracked_task import TrackedTask
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.app.transcript import logs_of
from task_queue.config.locations import Locations
from task_queue.domain.errors import TaskQueueError, UnknownTaskError
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, Caller
from task_queue.domain.task import TaskId
from task_queue.platform import durable, isolated
from task_queue.platform.json_files import json_object
from task_queue.store.folder.artifacts import Artifacts
from task_queue.store.folder.intake import drop_as
from task_queue.store.folder.layout import Layout
from task_queue.worker.settings import Tell, WorkerPlaces, source_of

_TAKEN_OVER = (
    *("agent", "audit", "checks", "executors", "git", "limits"),
    *("settle_seconds", "sweep_seconds", "stop_grace_seconds"),
)
"""Sections of the machine's own configuration that hold for tasks of the server, too."""
_KEPT = {"results": {"age": "7d"}, "logs": {"age": "7d"}}
_ME = Caller(OWNER, EVERYTHING_ALLOWED)
_STARTS_WITHIN_S = 30.0
_ENDS_WITHIN_S = 120.0
_PAUSE_S = 5.0
_LOOK_S = 0.1


class PrivateQueue:
    """Thread-safe, but for ``look`` and ``stop``, which are for one thread."""

    def __init__(self, places: WorkerPlaces, *, slots: int, own: Installation, tell: Tell) -> None:
        """*own*: the machine's own configuration, which need not be there."""
        self._places, self._slots, self._tell = places, slots, tell
        self._own = own
        self._installation = Installation(str(places.config))
        self._kept = KeptDocuments()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    @property
    def locations(self) -> Locations:
        return self._installation.locations

    @property
    def executors(self) -> tuple[str, ...]:
        """Of which tasks this machine can carry out."""
        return ("claude", *self._section("executors"))

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the machine's own configuration says that it has."""
        listed: object = self._content().get("capabilities")
        return tuple(map(str, cast("list[object]", listed))) if isinstance(listed, list) else ()

    def prepare(self) -> None:
        """Write the configuration. Raises TaskQueueError, OSError."""
        sources: list[dict[str, str]] = []
        for slot in range(1, self._slots + 1):
            pending, workspaces = self._places.pending(slot), self._places.workspaces(slot)
            durable.make_directory(pending)
            durable.make_directory(workspaces)
            sources.append(
                {"id": source_of(slot), "path": str(pending), "project_workspace": str(workspaces)}
            )
        content = {
            **{name: value for name, value in self._content().items() if name in _TAKEN_OVER},
            "version": "2.1",
            "retention": _KEPT,
            "task_source_directories": sources,
        }
        content["limits"] = {**self._section("limits"), "running": self._slots}
        durable.replace(self._places.config, json.dumps(content, indent=1).encode())
        self._installation = self._installation.again()
        _ = self._installation.config  # checks it as a whole

    def look(self) -> None:
        """Start the daemon if none runs."""
        daemon = self._daemon
        if daemon is not None and daemon.poll() is not None:
            self._daemon = None
            self._tell(f"the private daemon ended with {daemon.returncode}: {self._last_words()}")
            self._start_at = time.monotonic() + _PAUSE_S
        if self._daemon is None and time.monotonic() >= self._start_at and not self.is_served:
            self._start()

    @property
    def is_served(self) -> bool:
        return daemon_from(self.locations.daemon_state)[0].running

    def stop(self) -> None:
        """End the daemon, which interrupts its tasks so that they could go on, and wait for that."""
        view, _ = daemon_from(self.locations.daemon_state)
        if view.running and view.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(view.pid, signal.SIGTERM)
        until = time.monotonic() + _ENDS_WITHIN_S
        while self.is_served and time.monotonic() < until:
            if self._daemon is not None:
                self._daemon.poll()
            time.sleep(_LOOK_S)
        if self._daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=_STARTS_WITHIN_S)

    def add(self, slot: int, local_id: TaskId, document: str) -> None:
        """Hand a task in, once. Raises EngineUnavailable."""
        drop_as(self._places.pending(slot), document, local_id)

    def artifacts(self, slot: int, local_id: TaskId) -> Artifacts:
        """Files that come with a task."""
        return Artifacts(Layout(self._places.pending(slot)), local_id)

    def task(self, local_id: TaskId) -> TrackedTask | None:
        """Raises TaskQueueError."""
        try:
            return tracked(self._installation.again(), local_id, _ME, self._kept)
        except UnknownTaskError:
            return None

    def ids_in(self, slot: int) -> tuple[TaskId, ...]:
        """Tasks of the slot that have not ended."""
        listed = self._installation.again().sources(source_of(slot))
        names = [path.stem for path in self._places.pending(slot).glob("task-*.md")]
        found = [(TaskId(name), state_of(listed, TaskId(name))) for name in names]
        return tuple(task_id for task_id, state in found if state is not None and not state[1].ended)

    def cancel(self, local_id: TaskId) -> None:
        """Ask for the end of a task that waits or runs. Raises TaskQueueError."""
        changing.cancel(self._installation.again(), local_id, timeout_s=0)

    def remove(self, local_id: TaskId) -> None:
        """Take a waiting task out. Raises TaskQueueError."""
        revising.remove(self._installation.again(), local_id)

    def attempts_of(self, local_id: TaskId) -> tuple[int, ...]:
        with contextlib.suppress(TaskQueueError):
            return logs_of(self._installation.again(), local_id).attempts
        return ()

    def transcript(self, local_id: TaskId, attempt: int, offset: int, limit: int) -> bytes:
        """Whole lines from *offset* on; empty if there are none yet. Raises OSError."""
        logs = logs_of(self._installation.again(), local_id, attempt=attempt)
        try:
            with durable.open_regular(logs.transcript) as file:
                data = os.pread(file.fileno(), limit, offset)
                while data and b"\n" not in data:
                    more = os.pread(file.fileno(), limit, offset + len(data))
                    if not more:
                        break
                    data += more
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def ending(self, local_id: TaskId, attempt: int) -> dict[str, Any]:
        """What ``outcome.json`` of the attempt says; empty if there is none."""
        try:
            logs = logs_of(self._installation.again(), local_id, attempt=attempt)
        except TaskQueueError:
            return {}
        found = json_object(logs.transcript.with_name("outcome.json"))
        return dict(found) if isinstance(found, dict) else {}

    def last_frame_at(self, local_id: TaskId, attempt: int) -> datetime | None:
        """When the transcript of *attempt* last grew."""
        with contextlib.suppress(TaskQueueError, OSError):
            about = logs_of(self._installation.again(), local_id, attempt=attempt or None).transcript.stat()
            return datetime.fromtimestamp(about.st_mtime, UTC)
        return None

    def _start(self) -> None:
        environment = dict(_passed_on())
        words = isolated.words_for("task_queue.cli", "--config", str(self._places.config), "daemon")
        with self._errors.open("ab") as errors:
            self._daemon = subprocess.Popen(
                words,
                cwd=isolated.DIRECTORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        until = time.monotonic() + _STARTS_WITHIN_S
        while not self.is_served and self._daemon.poll() is None and time.monotonic() < until:
            time.sleep(_LOOK_S)

    @property
    def _errors(self) -> Path:
        return self._places.state / "daemon.err"

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._errors.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it said nothing"
        return "it said nothing"

    def _content(self) -> dict[str, Any]:
        return self._own.content if self._own.locations.config.exists() else {}

    def _section(self, name: str) -> dict[str, Any]:
        found: object = self._content().get(name)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _passed_on() -> Iterator[tuple[str, str]]:
    """Our variables, without what the service manager meant for us alone, and the name of another configuration."""
    for name, value in os.environ.items():
        if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "TASK_QUEUE_CONFIG"}:
            yield name, value
