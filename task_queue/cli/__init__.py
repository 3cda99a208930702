"""The command line: parse, one call, render. Nothing is imported before the search path is in order."""

from __future__ import annotations

import sys
from typing import NoReturn

from task_queue.cli.search_path import leave_out_working_directory


def main() -> NoReturn:
    """``task-queue``"""
    _run(sys.argv[1:])


def daemon_main() -> NoReturn:
    """``task-queue-daemon``, the name of the original system."""
    _run([*sys.argv[1:], "daemon"])


def _run(arguments: list[str]) -> NoReturn:
    leave_out_working_directory()
    from task_queue.cli.commands import cli
    from task_queue.cli.edge import run_guarded

    sys.exit(run_guarded(cli, arguments))
