"""What commands share: the installation they speak to, and options."""

from __future__ import annotations

import sys

import click

from task_queue.app.installation import Installation

pass_installation = click.make_pass_decorator(Installation)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version."
)
source_option = click.option("--source", "source_id", metavar="ID", help="Only this source.")


def run_isolated(installation: Installation, *command: str) -> None:
    """Go on with *command* in this process, apart from the present folder and variables; returns once that is done."""
    from task_queue.app.serving import become

    debug = ["--debug"] if "--debug" in sys.argv else []
    become(installation, *debug, *command)
