"""What commands share: the installation they speak to, and options."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from task_queue.app.installation import Installation
from task_queue.cli import completing

pass_installation = click.make_pass_decorator(Installation)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version."
)
source_option = click.option(
    "--source", "source_id", metavar="ID", help="Only this source.", shell_complete=completing.sources
)


def past_moment_in(installation: Installation, text: str | None) -> datetime | None:
    """What ``--since`` names."""
    from task_queue.domain.past_time import past_moment

    if text is None:
        return None
    try:
        return past_moment(text, installation.now())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None


def run_isolated(installation: Installation, *command: str) -> None:
    """Go on with *command* in this process, apart from the present folder and variables; returns once that is done."""
    from task_queue.app.serving import become

    debug = ["--debug"] if "--debug" in sys.argv else []
    become(installation, *debug, *command)
