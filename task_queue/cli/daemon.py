"""``daemon``: what the service starts."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import pass_installation, run_isolated


@click.command()
@click.option(
    "--sweep", is_flag=True, help="Only end what attempts left running; the service does so after a hang."
)
@pass_installation
def daemon(installation: Installation, *, sweep: bool) -> None:
    """Serve every source until stopped."""
    from task_queue.app import serving

    if sweep:
        render.say(f"ended {serving.end_leftovers(installation)} processes")
    else:
        run_isolated(installation, "daemon")
        serving.serve(installation)
