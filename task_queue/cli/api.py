"""``api``: the HTTP API in the foreground; the daemon starts the same where it is configured."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.cli.session import pass_installation


@click.command()
@pass_installation
def api(installation: Installation) -> None:
    """Serve the HTTP API until stopped, at api.listen of the configuration (else a unix socket)."""
    from task_queue.app import api_process

    api_process.give_way(installation)
