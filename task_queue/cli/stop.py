"""``stop`` and ``resume``: everything at once, whatever the sources are."""

from __future__ import annotations

import click

from task_queue.app import stopping
from task_queue.app.installation import Installation
from task_queue.app.stopping import Stopping
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.session import pass_installation


@click.command()
@click.option(
    "--now", "at_once", is_flag=True, help="Kill what runs, instead of letting it end in good order."
)
@pass_installation
def stop(installation: Installation, *, at_once: bool) -> int:
    """Start nothing more and stop what runs, so that it can go on; ``resume`` ends this, a restart does not."""
    match stopping.stop(installation, at_once=at_once):
        case Stopping.NO_DAEMON:
            render.say("stopped: the daemon does not run, and will start nothing when it does")
        case Stopping.STOPPED:
            render.say("stopped: nothing runs; go on with: task-queue resume")
        case Stopping.STILL_RUNNING:
            render.note("something still runs; the stop stands. See: task-queue status")
            return FAILED
    return 0


@click.command()
@pass_installation
def resume(installation: Installation) -> None:
    """Continue after a stop, with the sessions that were stopped."""
    render.say("going on" if stopping.resume(installation) else "nothing was stopped")


@click.command("resume-account")
@pass_installation
def resume_account(installation: Installation) -> None:
    """Try the account again now, although it is paused: after a new login, or a limit that was raised."""
    opened = stopping.resume_account(installation)
    render.say("the account is open again" if opened else "the account is not paused")
