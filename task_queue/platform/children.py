"""Processes of the queue that get one question on their standard input and answer on their output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from task_queue.platform import descriptors, isolated


def ask(module: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start *module* in a session of its own; all three streams are pipes. Raises OSError."""
    process = subprocess.Popen(
        isolated.words_for(module),
        cwd=isolated.DIRECTORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    descriptors.give_back(process.pid)
    return process
