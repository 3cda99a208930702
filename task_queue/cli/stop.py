"""``stop`` and ``resume``: everything at once, whatever the sources are."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from task_queue.app.daemon_state import daemon_from
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.session import pass_installation
from task_queue.platform import durable

_STOP_TAKES_S = 90.0
_POLL_S = 0.1


@click.command()
@click.option(
    "--now", "at_once", is_flag=True, help="Kill what runs, instead of letting it end in good order."
)
@pass_installation
@click.pass_context
def stop(context: click.Context, installation: Installation, *, at_once: bool) -> None:
    """Start nothing more and stop what runs, so that it can go on; ``resume`` ends this, a restart does not."""
    marker = installation.locations.stopped
    durable.make_directory(marker.parent)
    how = "now" if at_once else "gently"
    durable.replace(marker, f"{how} {datetime.now(UTC).isoformat()}\n".encode())
    if not daemon_from(installation.locations.daemon_state)[0].running:
        render.say("stopped: the daemon does not run, and will start nothing when it does")
        return
    deadline = time.monotonic() + _STOP_TAKES_S
    while time.monotonic() < deadline:
        daemon, sources = daemon_from(installation.locations.daemon_state)
        if not daemon.running or (
            daemon.stopped and not any(said.get("task_id") for said in sources.values())
        ):
            render.say("stopped: nothing runs; go on with: task-queue resume")
            return
        time.sleep(_POLL_S)
    render.note("something still runs; the stop stands. See: task-queue status")
    context.exit(FAILED)


@click.command()
@pass_installation
def resume(installation: Installation) -> None:
    """Go on after a stop: sessions that were stopped are continued."""
    if not installation.locations.stopped.exists():
        render.say("nothing was stopped")
        return
    durable.remove(installation.locations.stopped)
    render.say("going on")


@click.command("resume-account")
@pass_installation
def resume_account(installation: Installation) -> None:
    """Try the account again now, although it is paused: after a new login, or a limit that was raised."""
    if not installation.locations.accounts.exists():
        render.say("the account is not paused")
        return
    durable.remove(installation.locations.accounts)
    render.say("the account is open again")
