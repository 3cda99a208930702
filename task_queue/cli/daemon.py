"""``daemon``: what the service starts."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Serve every source until stopped. Says where its log is, and when it is ready."""
    from task_queue.app import serving

    if sweep:
        render.say(f"ended {serving.end_leftovers(installation)} processes")
    else:
        run_isolated(installation, "daemon")
        serving.serve(
            installation, starts=lambda log: render.note(f"the daemon starts; its log: {log}"), ready=_ready
        )


def _ready(sources: Sequence[str]) -> None:
    served = ", ".join(sources) or "no source yet (task-queue sources add)"
    render.note(f"ready; it serves {served}; end it with Ctrl-C")
