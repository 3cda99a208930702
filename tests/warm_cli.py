"""The command line in a process of its own that does not import it again: forked from one that has.

Most tests type many commands, and three quarters of a command's time is imports. A command that serves (``daemon``,
``run``, ``api``), and one whose way of starting is the matter of a test, is started as a person does.
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
from typing import IO, Any, NoReturn

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "task_queue.cli")
_SERVE = frozenset({"daemon", "run", "api", "worker", "mcp", "demo", "web"})
_PRELOADED = ("domain", "platform", "ports", "config", "store", "git", "app", "cli")
_FIXED_AT_START = ("PYTHON", "LANG", "LC_", "MALLOC", "LD_")


def run_cli(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, given: bytes = b"", timeout_s: float = 100
) -> subprocess.CompletedProcess[bytes]:
    """``task-queue`` with *arguments*, *given* at its stdin. Raises TimeoutExpired, once it has been killed."""
    words = [*PROGRAM, *arguments]
    if _is_told_at_its_start(arguments, env):
        return subprocess.run(
            words, env=env, cwd=cwd, input=given, capture_output=True, timeout=timeout_s, check=False
        )
    with _memory() as stdin, _memory() as stdout, _memory() as stderr:
        stdin.write(given)
        stdin.seek(0)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = [theirs.fileno(), stdin.fileno(), stdout.fileno(), stderr.fileno()]
            socket.send_fds(_server(), [b"."], descriptors)
            theirs.close()
            code = _answer(ours, {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}, timeout_s)
        return subprocess.CompletedProcess(words, code, _content(stdout), _content(stderr))


def _is_told_at_its_start(arguments: Sequence[str], env: Mapping[str, str]) -> bool:
    told = any(name.startswith(_FIXED_AT_START) and name != "PYTHONPATH" for name in env)
    return told or not _SERVE.isdisjoint(arguments)


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("stream"), "w+b", buffering=0)


def _content(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def _answer(call: socket.socket, request: Mapping[str, Any], timeout_s: float) -> int:
    """The exit code, negative for a signal."""
    with call.makefile("rwb") as lines:
        lines.write(json.dumps(request, ensure_ascii=True).encode() + b"\n")
        lines.flush()
        pid = int(lines.readline())
        call.settimeout(timeout_s)
        try:
            return int(lines.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(request["arguments"]), timeout_s) from None


@functools.cache
def _server() -> socket.socket:
    """One for each process of the test runner; it ends with it."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours


def serve(control: socket.socket) -> None:
    for package in _PRELOADED:
        root = importlib.import_module(f"task_queue.{package}")
        for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # collected objects would be copied page by page into every command
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        word, descriptors, *_ = socket.recv_fds(control, 1, 4)
        if not word:
            return
        if os.fork() == 0:
            control.close()
            _watch_over_one(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch_over_one(call: int, *streams: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=call) as connection, connection.makefile("rwb") as lines:
        request = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            os.close(call)
            _become_the_command(request, streams)
        lines.write(b"%d\n" % pid)
        lines.flush()
        lines.write(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        with contextlib.suppress(BrokenPipeError):  # who asked did not wait so long
            lines.flush()
    os._exit(0)


def _become_the_command(request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = ["task-queue", *request["arguments"]]
    code = 0
    try:
        importlib.import_module("task_queue.cli").main()
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
    serve(socket.socket(fileno=int(sys.argv[1])))
