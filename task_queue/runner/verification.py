"""Runs ``verify`` commands, and hashes the files that judge. What the results mean: ``domain.work.verification``."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.work.verification import Check, is_judge
from task_queue.platform.identity import MARKER_VARIABLE, is_held_still, kill_group
from task_queue.platform.sandbox import Sandbox
from task_queue.platform.wakeup import Wakeup, readable

COMMAND_TIMEOUT_S = 1800.0
OVERALL_TIMEOUT_S = 7200.0
TAIL_BYTES = 4096
"""What is kept of a command's output unless more is asked for."""
_CHUNK_BYTES = 64 * 1024
_TERM_GRACE_S = 5.0
_VARIABLE = "TASK_QUEUE_COMMAND"
_RUN_VARIABLE = f'eval "unset {_VARIABLE}; ${_VARIABLE}"'
"""All users of the machine can read the arguments of a process."""
_NOT_FOUND = 127  # of the shell (POSIX, 2.8.2)
_NEVER_JUDGES = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__", ".tox"})
_HASHED_BYTES = 64 * 2**20


class Verification:
    """The commands of one task, one after the other; every one runs, also after one that failed."""

    def __init__(self) -> None:
        self._wakeup = Wakeup()
        self._asked = False

    def stop(self) -> None:
        """End what runs and begin nothing more. Safe from a signal handler."""
        self._asked = True
        self._wakeup.wake()

    def run(
        self,
        commands: Iterable[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        marker: str,
        timeout_s: float = COMMAND_TIMEOUT_S,
        overall_s: float = OVERALL_TIMEOUT_S,
        sandbox: Sandbox | None = None,
        announce: Callable[[str], None] = lambda _: None,
        tail_bytes: int = TAIL_BYTES,
    ) -> tuple[Check, ...]:
        """Each command is a line for /bin/sh, run in *directory* with *environment* and the attempt's marker.

        None for *sandbox*: it can do what the user can. *announce* gets each command just before it starts.
        """
        variables = {**environment, MARKER_VARIABLE: marker, "PWD": str(directory)}
        ends_at = time.monotonic() + overall_s
        return tuple(
            self._one(
                command,
                directory,
                variables,
                sandbox,
                ends_at=ends_at,
                timeout_s=timeout_s,
                announce=announce,
                tail_bytes=tail_bytes,
            )
            for command in commands
        )

    def _one(
        self,
        command: str,
        directory: Path,
        environment: Mapping[str, str],
        sandbox: Sandbox | None,
        *,
        ends_at: float,
        timeout_s: float,
        announce: Callable[[str], None],
        tail_bytes: int,
    ) -> Check:
        began = time.monotonic()
        ends_at = min(ends_at, began + timeout_s)
        if self._asked:
            return Check(command, None, 0, interrupted=True)
        if began >= ends_at:
            return Check(
                command, None, 0, "not started: the time for all commands was used up", timed_out=True
            )
        announce(command)
        try:
            process = _spawn(command, directory, environment, sandbox)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the command
            return Check(command, None, 0, f"cannot be started in {directory}: {error}", not_found=True)
        output = _Tail(process, tail_bytes)
        ended = self._watch(process, output, ends_at)
        _end(process, ended=ended)
        tail = output.finish()
        duration_ms = int((time.monotonic() - began) * 1000)
        if not ended:
            return Check(command, None, duration_ms, tail, timed_out=not self._asked, interrupted=self._asked)
        code = process.returncode
        return Check(command, code, duration_ms, tail, not_found=code == _NOT_FOUND)

    def _watch(self, process: subprocess.Popen[bytes], output: _Tail, ends_at: float) -> bool:
        """Until the command has ended (True), its time is over or we are asked to stop (False)."""
        pidfd = os.pidfd_open(process.pid)
        try:
            while not self._asked:
                left_s = ends_at - time.monotonic()
                if left_s <= 0:
                    return False
                self._wakeup.wait(left_s, pidfd, *output.streams)
                output.read()
                if readable(pidfd, timeout_s=0):
                    return True
            return False
        finally:
            os.close(pidfd)


@dataclass(slots=True)
class _Tail:
    """The end of what a command writes."""

    process: subprocess.Popen[bytes]
    most_bytes: int
    kept: bytes = b""
    open: bool = True

    @property
    def streams(self) -> list[int]:
        return [self._fd] if self.open else []

    def read(self) -> bool:
        """Take what is there now; whether there was anything."""
        if not self.open or not readable(self._fd, timeout_s=0):
            return False
        data = os.read(self._fd, _CHUNK_BYTES)
        self.open = bool(data)
        self.kept = (self.kept + data)[-self.most_bytes :]
        return self.open

    def finish(self) -> str:
        """The tail, once no process of the command's session writes any more."""
        for _ in range(256):  # not without end: something that left the session may still write
            if not self.read():
                break
        assert self.process.stdout is not None
        self.process.stdout.close()
        # A cut may have split a character; its rest says nothing.
        cut = self.kept.lstrip(bytes(range(0x80, 0xC0))) if len(self.kept) == self.most_bytes else self.kept
        return cut.decode(errors="replace")

    @property
    def _fd(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


def hashes_of(directory: Path, patterns: Iterable[str]) -> dict[str, str]:
    """What each file that judges holds, by its path in *directory*: sha256 of content, type and execute bit."""
    wanted = tuple(patterns)
    return {
        path: digest
        for path in _files_below(directory)
        if is_judge(path, wanted) and (digest := _digest(directory / path)) is not None
    }


def _files_below(directory: Path) -> Iterator[str]:
    for folder, names, files in os.walk(directory):
        links = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in _NEVER_JUDGES)
        for name in sorted([*files, *links]):
            yield Path(folder, name).relative_to(directory).as_posix()


def _digest(path: Path) -> str | None:
    """None: gone, unreadable, or nothing that has content."""
    try:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            return hashlib.sha256(b"link\0" + os.fsencode(path.readlink())).hexdigest()
        if not stat.S_ISREG(about.st_mode):
            return None
        digest = hashlib.sha256(b"x\0" if about.st_mode & stat.S_IXUSR else b"-\0")
        digest.update(about.st_size.to_bytes(8, "big"))
        with path.open("rb") as file:
            left = _HASHED_BYTES
            while left > 0 and (data := file.read(min(left, 1 << 20))):
                digest.update(data)
                left -= len(data)
        return digest.hexdigest()
    except OSError:
        return None


def _spawn(
    command: str, directory: Path, environment: Mapping[str, str], sandbox: Sandbox | None
) -> subprocess.Popen[bytes]:
    argv = ["/bin/sh", "-c", _RUN_VARIABLE, "/bin/sh"]
    return subprocess.Popen(
        argv if sandbox is None else sandbox.around(argv, directory=directory),
        cwd=directory,
        env={**environment, _VARIABLE: command},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes], *, ended: bool) -> None:
    """End the command's session. Its leader is reaped last, so that its number cannot mean another one.

    What left the session carries the marker and is the runner's to end.
    """
    if not ended and not is_held_still(process.pid):
        os.killpg(process.pid, signal.SIGTERM)
        pidfd = os.pidfd_open(process.pid)
        try:
            readable(pidfd, timeout_s=_TERM_GRACE_S)
        finally:
            os.close(pidfd)
    kill_group(process.pid)
    process.wait()
