"""Becomes the agent's CLI, bound to the life of the runner and with exactly the environment it was given.

Run as a file, by ``python -IS``: ``launcher.py RUNNER_PID NAMES HIDDEN CLI [ARGUMENT...]``. NAMES are the variables
to keep, joined by commas; HIDDEN those that go through a pipe instead, as ``NAME=VARIABLE`` where VARIABLE gives
the CLI the pipe's number: its tools inherit the environment, but find an empty pipe. Imports no module of the queue, so
that it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_GONE = 125
# What the SDK sets for the CLI on its own account.
_OF_THE_SDK = {
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_AGENT_SDK_VERSION",
    "CLAUDE_CODE_SDK_READS_SESSION_STATE",
    "PWD",
}


def main(arguments: list[str]) -> None:
    runner, names, hidden, cli, *rest = arguments
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("cannot bind the agent to its runner: prctl failed")
    # Compared with the pid in the arguments: a runner that died before prctl sends no signal any more.
    if os.getppid() != int(runner):
        sys.exit(_GONE)
    kept = _OF_THE_SDK.union(names.split(","))
    environment = {name: value for name, value in os.environ.items() if name in kept}
    for pair in filter(None, hidden.split(",")):
        name, _, variable = pair.partition("=")
        if name in environment:
            environment[variable] = str(_pipe_with(environment.pop(name)))
    os.execve(cli, [cli, *rest], environment)  # noqa: S606 - becoming the CLI is the point


def _pipe_with(secret: str) -> int:
    """The end to read *secret* from, once."""
    reader, writer = os.pipe()
    os.write(writer, secret.encode(errors="surrogateescape"))
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


if __name__ == "__main__":
    main(sys.argv[1:])
