"""Carries out an attempt with any program: another agent's CLI, a script, a build.

The task's text is on stdin and its file in ``{file}`` and TASK_QUEUE_TASK_FILE. Exit 0 succeeded, 75
(EX_TEMPFAIL of sysexits.h) is tried again later, anything else failed. Such a program has no session:
what was interrupted cannot be continued, and is not silently run again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field

from task_queue.domain.attempt.exits import outcome_of_exit
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.platform.identity import MARKER_VARIABLE, is_held_still
from task_queue.platform.wakeup import Wakeup, readable
from task_queue.ports.executor import Order, Stop, Transcript

_KEPT_OUTPUT = 64 * 1024
_TERM_GRACE_S = 5.0
_CHUNK = 64 * 1024
_MOST_DRAINED_CHUNKS = 256


class CommandExecutor:
    """Implements ports.executor.Executor."""

    def __init__(self) -> None:
        self._wakeup = Wakeup()
        self._asked: Stop | None = None

    def stop(self, how: Stop) -> None:
        self._asked = self._asked or how
        self._wakeup.wake()

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        argv = [fill_in(part, order) for part in order.argv]
        process = _spawn(argv, order)
        transcript.write(
            "out", {"type": "command", "argv": argv, "cwd": str(order.workspace), "pid": process.pid}
        )
        output = _Output(transcript)
        cut_short = self._watch(process, order, output)
        if cut_short is not None:
            _end(process)
        code = process.wait()
        output.drain(process)
        transcript.write("in", {"type": "exit", "code": code})
        work = Work(output=output.tail())
        return cut_short or outcome_of_exit(code, output.last_line()), work

    def _watch(self, process: subprocess.Popen[bytes], order: Order, output: _Output) -> Outcome | None:
        """Until the program has ended (None), or the reason to end it."""
        settings = order.settings
        started = last_sign = time.monotonic()
        pidfd = os.pidfd_open(process.pid)
        try:
            while True:
                if self._asked is not None:
                    return _outcome_of_stop(self._asked)
                now = time.monotonic()
                silent_until = last_sign + settings.idle_timeout.total_seconds()
                ends_at = started + settings.timeout.total_seconds()
                if now >= ends_at:
                    return Outcome(
                        OutcomeKind.TIMED_OUT, f"ran longer than its timeout of {settings.timeout}"
                    )
                if now >= silent_until:
                    return Outcome(OutcomeKind.STALLED, f"wrote nothing for {settings.idle_timeout}")
                streams = output.open_streams(process)
                self._wakeup.wait(min(ends_at, silent_until) - now, pidfd, *streams)
                if output.read(streams):
                    last_sign = time.monotonic()
                if _exited(pidfd):
                    return None
        finally:
            os.close(pidfd)


def fill_in(part: str, order: Order) -> str:
    """Put the task's own values into one configured argument."""
    values = {"{file}": str(order.document), "{id}": order.claim.task_id, "{workspace}": str(order.workspace)}
    for placeholder, value in values.items():
        part = part.replace(placeholder, value)
    return part


@dataclass(slots=True)
class _Output:
    """What the program writes, line by line into the transcript, its end kept for the result."""

    transcript: Transcript
    partial: dict[int, bytes] = field(default_factory=dict[int, bytes])
    names: dict[int, str] = field(default_factory=dict[int, str])
    kept: bytes = b""
    closed: set[int] = field(default_factory=set[int])

    def open_streams(self, process: subprocess.Popen[bytes]) -> list[int]:
        assert process.stdout is not None
        assert process.stderr is not None
        self.names = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"}
        return [fd for fd in self.names if fd not in self.closed]

    def read(self, streams: list[int]) -> bool:
        """Take what is there now; whether there was anything."""
        anything = False
        for fd in readable(*streams, timeout_s=0):
            data = os.read(fd, _CHUNK)
            if not data:
                self.closed.add(fd)
                continue
            anything = True
            self._take(fd, data)
        return anything

    def drain(self, process: subprocess.Popen[bytes]) -> None:
        """Take what is left in the pipes, without waiting for a grandchild that holds them open."""
        for _ in range(_MOST_DRAINED_CHUNKS):
            if not self.read(self.open_streams(process)):
                break
        for fd in self.names:
            self._line(fd, self.partial.pop(fd, b""))
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def tail(self) -> str:
        return self.kept.decode(errors="replace")

    def last_line(self) -> str:
        lines = self.tail().strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _take(self, fd: int, data: bytes) -> None:
        if self.names[fd] == "stdout":
            self.kept = (self.kept + data)[-_KEPT_OUTPUT:]
        *lines, rest = (self.partial.get(fd, b"") + data).split(b"\n")
        if len(rest) > _CHUNK:
            lines, rest = [*lines, rest], b""
        self.partial[fd] = rest
        for line in lines:
            self._line(fd, line)

    def _line(self, fd: int, line: bytes) -> None:
        if line:
            text = line.decode(errors="replace")
            self.transcript.write("in", {"type": "output", "stream": self.names[fd], "text": text})


def _spawn(argv: list[str], order: Order) -> subprocess.Popen[bytes]:
    environment = {
        **order.env_of_command,
        MARKER_VARIABLE: order.marker,
        "TASK_QUEUE_TASK_FILE": str(order.document),
        "TASK_QUEUE_TASK_ID": order.claim.task_id,
    }
    stdin = os.memfd_create("task", os.MFD_CLOEXEC)  # a pipe could block us while the program does not read
    try:
        os.write(stdin, order.body.encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        return subprocess.Popen(
            argv,
            cwd=order.workspace,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ExecutorError(
            f"cannot start {argv[0]!r}: {error.strerror}",
            hint="check executors.<name>.argv in the configuration",
        ) from error
    finally:
        os.close(stdin)


def _outcome_of_stop(how: Stop) -> Outcome:
    if how is Stop.CANCEL:
        return Outcome(OutcomeKind.CANCELLED, "cancelled while it ran")
    reason = "the queue was stopped while the program ran; it cannot be continued"
    return Outcome(OutcomeKind.INTERRUPTED, reason, lost_session=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """TERM to the program's session, KILL after a grace; what left the session is the runner's to end."""
    for number, grace_s in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, None)):
        if number == signal.SIGTERM and is_held_still(process.pid):
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
            return


def _exited(pidfd: int) -> bool:
    return bool(readable(pidfd, timeout_s=0))
