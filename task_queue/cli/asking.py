"""The one question before what cannot be taken back, or is not meant lightly."""

from __future__ import annotations

import sys

import click

from task_queue.domain.text import printable


def is_agreed(question: str) -> bool:
    """Ask on the terminal. A program, which is not asked, has to give ``--yes``: raises UsageError."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "without a terminal there is no question: give --yes, or look first with --dry-run"
        )
    return click.confirm(printable(question), err=True)
