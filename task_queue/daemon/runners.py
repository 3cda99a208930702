"""Starts attempts as processes, finds them again, ends them. The daemon's side of ``task_queue.runner.template``."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import BinaryIO

from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import RunRecord
from task_queue.domain.text import printable
from task_queue.platform import descriptors, identity, isolated
from task_queue.platform.forking import HEADER, MARKER_SPACE
from task_queue.platform.owners import process_of
from task_queue.platform.records import encode
from task_queue.ports.executor import Order, Stop
from task_queue.ports.runner import RunningAttempt

_START_TIMEOUT_S = 60.0
_LAST_WORDS_BYTES = 4096
_LAST_WORDS_CHARS = 300
_SIGNAL_OF = {Stop.SUSPEND: signal.SIGTERM, Stop.CANCEL: signal.SIGINT}


def start_template(control: int, errors: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """It gets orders over the socket *control*, and writes to *errors*. Raises OSError."""
    return subprocess.Popen(
        isolated.words_for("task_queue.runner.template", str(control)),
        cwd=isolated.DIRECTORY,
        pass_fds=[control],
        env={**environment, identity.MARKER_VARIABLE: "_" * MARKER_SPACE},
        stdin=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )


class ProcessRunners:
    """Implements ports.runner.Runners. Thread-safe; one template serves all sources."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._errors: BinaryIO | None = None
        """What the template writes to stderr."""

    def preload(self) -> None:
        """Have the template import what it needs while nothing waits for it."""
        with self._lock:
            self._control_of_live_template()

    def start(self, order: Order) -> RunningAttempt:
        raw = encode(order, for_people=False)
        with self._lock:
            try:
                pid = self._fork(raw)
            except OSError:
                self._discard_template()  # it died; a fresh one gets one more chance
                begun = self.find(order.marker)
                if begun is not None:  # it died between the fork and its answer
                    return begun
                try:
                    pid = self._fork(raw)
                except OSError as error:
                    said = self._discard_template()
                    raise ExecutorError(
                        f"no runner could be started: {said or error}",
                        hint="correct that, or see what is missing with: task-queue doctor",
                    ) from error
        try:
            return _Runner(os.pidfd_open(pid), order.marker)
        except ProcessLookupError:
            return _Runner(None, order.marker)
        except OSError as error:  # it runs; the caller finds it by its run record
            raise ExecutorError(f"the runner {pid} cannot be watched: {error}") from error

    def adopt(self, run: RunRecord) -> RunningAttempt | None:
        named = process_of(run.runner)
        pidfd = None if named is None else identity.open_process(named[0])
        return None if pidfd is None else _Runner(pidfd, run.marker)

    def find(self, marker: str) -> RunningAttempt | None:
        tree = identity.bearers(marker)
        if not tree:
            return None
        pidfd = identity.open_process(min(tree, key=lambda process: (process.pid_start_ticks, process.pid)))
        return None if pidfd is None else _Runner(pidfd, marker)

    def sweep(self, marker: str) -> int:
        return identity.end_tree(marker, grace_s=0)

    def close(self) -> None:
        """Runners that were forked go on; the template itself has nothing to finish, and may be in a long import."""
        with self._lock:
            if self._template is not None:
                self._template.kill()
            self._discard_template()

    def _fork(self, raw: bytes) -> int:
        control = self._control_of_live_template()
        control.sendall(HEADER.pack(len(raw)) + raw)
        answer = b""
        while len(answer) < HEADER.size:
            part = control.recv(HEADER.size - len(answer))
            if not part:
                raise ConnectionError("the runner template ended")
            answer += part
        return int(HEADER.unpack(answer)[0])

    def _control_of_live_template(self) -> socket.socket:
        if self._control is not None and self._template is not None and self._template.poll() is None:
            return self._control
        self._discard_template()
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_TIMEOUT_S)
        self._errors = os.fdopen(os.memfd_create("template's stderr"), "w+b", buffering=0)
        with theirs:
            self._template = start_template(theirs.fileno(), self._errors.fileno(), self._environment)
        descriptors.give_back(self._template.pid)
        self._control = ours
        return ours

    def _discard_template(self) -> str:
        """End it; returns its last words, empty if it said nothing."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._template is not None:
            # It ends by itself when its socket closes; runners forked from it go on.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._template.wait(timeout=5)
            if self._template.poll() is None:
                self._template.kill()
                self._template.wait()
            self._template = None
        if self._errors is None:
            return ""
        with self._errors as errors:
            self._errors = None
            return _last_words(errors)


def _last_words(errors: BinaryIO) -> str:
    """The last line of what the template wrote: of a traceback, what was wrong."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return printable(lines[-1].strip()[:_LAST_WORDS_CHARS]) if lines else ""


class _Runner:
    """Implements ports.runner.RunningAttempt; *pidfd* is None for one that ended before it could be opened."""

    def __init__(self, pidfd: int | None, marker: str) -> None:
        self._pid = None if pidfd is None else identity.pid_behind(pidfd)
        self._pidfd = pidfd
        self._marker = marker
        self._ended_fd = os.eventfd(1, os.EFD_CLOEXEC) if pidfd is None else -1

    def fileno(self) -> int:
        return self._ended_fd if self._pidfd is None else self._pidfd

    def ended(self) -> bool:
        return self._pidfd is None or identity.has_exited(self._pidfd)

    def can_answer(self) -> bool:
        return self._pid is None or not identity.is_held_still(self._pid)

    def stop(self, how: Stop) -> None:
        self._signal(_SIGNAL_OF[how])

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        identity.end_tree(self._marker, grace_s=0)

    def close(self) -> None:
        os.close(self.fileno())

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)
