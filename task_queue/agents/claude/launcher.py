"""Becomes the agent's CLI, bound to the life of the runner and with exactly the environment it was given.

Run as a file, by ``python -IS``: ``launcher.py RUNNER_PID CLI [ARGUMENT...]``. The environment comes first on standard
input, as ``handed_over`` writes it: in an environment block or an argument, other processes could read the key that
pays. Imports no module of the queue, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1
_GONE = 125
_LENGTH = 12
# What the SDK sets for the CLI on its own account.
_OF_THE_SDK = (
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_AGENT_SDK_VERSION",
    "CLAUDE_CODE_SDK_READS_SESSION_STATE",
    "PWD",
)


def handed_over(environment: Mapping[str, str], hidden: Mapping[str, str]) -> str:
    """What the launcher reads before it becomes the CLI.

    The variables in *hidden* go through a pipe instead, each as the variable named there, which gives the CLI the
    pipe's number: its tools inherit the environment, but find an empty pipe.
    """
    text = json.dumps({"environment": dict(environment), "hidden": dict(hidden)})
    return f"{len(text):{_LENGTH}}{text}"


def main(arguments: list[str]) -> None:
    runner, cli, *rest = arguments
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("cannot bind the agent to its runner: prctl failed")
    # Compared with the pid in the arguments: a runner that died before prctl sends no signal any more.
    if os.getppid() != int(runner):
        sys.exit(_GONE)
    given = json.loads(_read(int(_read(_LENGTH))))
    environment: dict[str, str] = given["environment"]
    environment.update((name, os.environ[name]) for name in _OF_THE_SDK if name in os.environ)
    for name, variable in given["hidden"].items():
        if name in environment:
            environment[variable] = str(_pipe_with(environment.pop(name)))
    os.execve(cli, [cli, *rest], environment)  # noqa: S606 - becoming the CLI is the point


def _read(size: int) -> bytes:
    """*size* bytes of standard input and no more: the rest is for the CLI."""
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            sys.exit(_GONE)
        data += part
    return data


def _pipe_with(secret: str) -> int:
    """The end to read *secret* from, once."""
    reader, writer = os.pipe()
    os.write(writer, secret.encode(errors="surrogateescape"))
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


if __name__ == "__main__":
    main(sys.argv[1:])
