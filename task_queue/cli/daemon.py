"""``daemon``: what the service starts."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import pass_installation


@click.command()
@click.option(
    "--sweep", is_flag=True, help="Only end what attempts left running; the service does so after a hang."
)
@pass_installation
def daemon(installation: Installation, *, sweep: bool) -> None:
    """Serve every source until stopped."""
    from task_queue.config.locations import service_manager
    from task_queue.daemon import log as logs
    from task_queue.daemon.instance import demand_regular_files
    from task_queue.daemon.instance import sweep as end_leftovers
    from task_queue.daemon.process import serve
    from task_queue.platform.notify import Notifier

    if sweep:
        render.say(f"ended {end_leftovers(installation.locations)} processes")
        return
    demand_regular_files(
        installation.locations
    )  # before the log is opened: a FIFO in its place would hold us up
    manager = service_manager()
    logs.set_up(installation.locations.state_dir, journal_stream=manager.journal_stream)
    serve(
        installation.locations,
        logs.record,
        notifier=Notifier(manager.notify_socket),
        log_place="journal" if logs.is_journal(2, manager.journal_stream) else "file",
    )
