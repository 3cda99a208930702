"""``logs``: the daemon's own log."""

from __future__ import annotations

import signal
import sys

import click

from task_queue.app.daemon_log import log_file, log_lines
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import pass_installation


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Wait for more, and print each new line.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=50, show_default=True)
@pass_installation
def logs(installation: Installation, *, follow: bool, lines: int) -> None:
    """The daemon's own log (as a systemd unit it writes to the journal: journalctl --user -u task-queue)."""
    path = log_file(installation)
    if path is None:
        # Without it journalctl would outlive us until it has another line to write.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    elif not path.exists():
        render.note(f"there is no {path} yet")
    for line in log_lines(installation, lines=lines, follow=follow):
        render.say(line)
