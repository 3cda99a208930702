"""The program in a process of its own that does not import it again: forked from one that has.

Tests start more than a thousand commands, daemons and APIs, and most of what such a start costs is imports. Where the
way of starting is the matter of a test, it starts ``PROGRAM`` as a person does.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from task_queue.platform import identity, isolated
from task_queue.platform.forking import MARKER_SPACE

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "task_queue.cli")
_OF_ALL = ("domain", "platform", "ports", "config", "store", "git", "app", "cli")
_PRELOADED = {
    "commands": _OF_ALL,
    "daemon": (*_OF_ALL, "daemon"),
    "api": (*_OF_ALL, "dispatch", "mcp", "api"),
    "template": ("domain", "platform", "ports", "config", "store", "git", "agents", "runner"),
}
_MAIN = {"api": "task_queue.api.__main__", "template": "task_queue.runner.template"}
_ROOM_FOR_MARKER = {identity.MARKER_VARIABLE: "_" * MARKER_SPACE}
"""Of a template: its runners write there, in the block that it was started with (``template.show_marker``)."""
_SERVERS: dict[str, subprocess.Popen[bytes]] = {}
"""Kept, because one that is forgotten while it runs is warned about."""
_FIXED_AT_START = ("PYTHON", "LANG", "LC_", "MALLOC", "LD_")
_SERVES = frozenset({"daemon", "run", "api", "worker", "mcp", "demo", "web"})


class Process(Protocol):
    """What tests use of ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def run_cli(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, given: bytes = b"", timeout_s: float = 100
) -> subprocess.CompletedProcess[bytes]:
    """``task-queue`` with *arguments*, *given* at its stdin. Raises TimeoutExpired, once it has been killed.

    One that serves is started as a person does: it may start others, which hold its streams.
    """
    words = [*PROGRAM, *arguments]
    if _is_told_at_its_start(env) or not _SERVES.isdisjoint(arguments):
        return subprocess.run(
            words, env=env, cwd=cwd, input=given, capture_output=True, timeout=timeout_s, check=False
        )
    with _memory() as stdin, _memory() as stdout, _memory() as stderr:
        stdin.write(given)
        stdin.seek(0)
        process = _Forked(
            _server("commands"), arguments, env, cwd, (stdin.fileno(), stdout.fileno(), stderr.fileno())
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(words, code, _content(stdout), _content(stderr))


def start_cli(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stderr: IO[Any],
    program: Sequence[str] | None = None,
) -> Process:
    """The daemon or the API as a process in a session of its own, which writes to *stderr* only.

    *program*: start that, as a person does; what is forked shows another environment below /proc than it has.
    """
    with Path(os.devnull).open("r+b") as null:
        if _is_told_at_its_start(env) or program is not None:
            return subprocess.Popen(
                [*(program or PROGRAM), *arguments],
                env=env,
                cwd=cwd,
                stdin=null,
                stdout=null,
                stderr=stderr,
                start_new_session=True,
            )
        kind = "api" if "api" in arguments else "daemon"
        words = [
            word for word in arguments if word != "api"
        ]  # ``task-queue api`` goes on as a module of its own
        streams = (null.fileno(), null.fileno(), stderr.fileno())
        return _Forked(_server(kind), words, env, isolated.DIRECTORY, streams, new_session=True)


def _start_template(
    server: socket.socket, control: int, errors: int, environment: Mapping[str, str]
) -> Process:
    """Stands in for ``runners.start_template``."""
    with Path(os.devnull).open("r+b") as null:
        streams = (null.fileno(), null.fileno(), errors, control)
        return _Forked(server, (), environment, isolated.DIRECTORY, streams, new_session=True)


def _is_told_at_its_start(env: Mapping[str, str]) -> bool:
    told = {name: value for name, value in env.items() if name.startswith(_FIXED_AT_START)}
    return told not in ({}, {"PYTHONPATH": str(ROOT)})


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("stream"), "w+b", buffering=0)


def _content(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


class _Forked:
    """Implements Process. Who watches over it tells its pid, and then its exit code, each in a line.

    A descriptor behind those of stdin, stdout and stderr is the program's last argument.
    """

    def __init__(
        self,
        server: socket.socket,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | str,
        streams: Sequence[int],
        *,
        new_session: bool = False,
    ) -> None:
        self._arguments = list(arguments)
        self._code: int | None = None
        self._said = b""
        self._call, theirs = socket.socketpair()
        request = {
            "arguments": self._arguments,
            "env": dict(env),
            "cwd": str(cwd),
            "new_session": new_session,
        }
        with theirs:
            socket.send_fds(server, [b"."], [theirs.fileno(), *streams])
        self._call.sendall(json.dumps(request).encode() + b"\n")
        self._pid = self._line(None)

    @property
    def pid(self) -> int:
        return self._pid

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._code = self._line(timeout)
            self._call.close()
        return self._code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self._pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _line(self, timeout_s: float | None) -> int:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._said:
            self._call.settimeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
            try:
                part = self._call.recv(64)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self._arguments, timeout_s or 0) from None
            if not part:
                raise RuntimeError(f"the process that starts {self._arguments} has ended")
            self._said += part
        line, _, self._said = self._said.partition(b"\n")
        return int(line)


@functools.cache
def _server(kind: str) -> socket.socket:
    """The way to ask the one of each kind for each process of the test runner; it ends with that process.

    What serves goes on isolated before it serves, so it is forked from one that is.
    """
    ours, theirs = socket.socketpair()
    inherited = [theirs.fileno(), *([_server("template").fileno()] if kind == "daemon" else [])]
    arguments = (__name__, kind, *map(str, inherited))
    with theirs:
        _SERVERS[kind] = subprocess.Popen(
            [sys.executable, "-m", *arguments] if kind == "commands" else isolated.words_for(*arguments),
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                **(_ROOM_FOR_MARKER if kind == "template" else {}),
            },
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours


def serve(kind: str, control: socket.socket, templates: socket.socket | None = None) -> None:
    for package in _PRELOADED[kind]:
        root = importlib.import_module(f"task_queue.{package}")
        for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    if templates is not None:
        runners = importlib.import_module("task_queue.daemon.runners")
        vars(runners)["start_template"] = functools.partial(_start_template, templates)
    gc.collect()
    gc.freeze()  # collected objects would be copied page by page into every command
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        word, descriptors, *_ = socket.recv_fds(control, 1, 5)
        if not word:
            return
        if os.fork() == 0:
            control.close()
            _watch_over_one(_MAIN.get(kind, "task_queue.cli"), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch_over_one(module: str, call: int, *streams: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=call) as connection, connection.makefile("rwb") as lines:
        request = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            os.close(call)
            _become_the_program(module, request, streams)
        for stream in streams:
            os.close(stream)
        lines.write(b"%d\n" % pid)
        lines.flush()
        lines.write(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        with contextlib.suppress(BrokenPipeError):  # who asked did not wait so long
            lines.flush()
        os._exit(0)


def _become_the_program(module: str, request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    if request["new_session"]:
        os.setsid()
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    for name in os.environ.keys() - _ROOM_FOR_MARKER.keys():
        del os.environ[name]
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = ["task-queue", *request["arguments"], *map(str, streams[3:])]
    code = 0
    try:
        code = importlib.import_module(module).main()
    except SystemExit as left:
        code = _code_of(left)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    finally:
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def _code_of(left: SystemExit) -> int:
    if left.code is None or isinstance(left.code, int):
        return left.code or 0
    print(left.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    serve(sys.argv[1], *(socket.socket(fileno=int(each)) for each in sys.argv[2:]))
