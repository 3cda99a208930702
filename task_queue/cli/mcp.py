"""``mcp``: agents use the queue by tools."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app.installation import Installation
from task_queue.cli import completing
from task_queue.cli.session import pass_installation


@click.command()
@click.option("--read-only", is_flag=True, help="Without the tools that add, cancel or retry tasks.")
@click.option(
    "--source",
    "source_id",
    metavar="ID",
    shell_complete=completing.sources,
    help="Gets tasks that name none, else the one that works in the present folder.",
)
@pass_installation
def mcp(installation: Installation, *, read_only: bool, source_id: str | None) -> None:
    """Serve the Model Context Protocol on standard input and output, for an agent."""
    from task_queue.app import mcp_process

    mcp_process.give_way(installation, here=Path.cwd(), source_id=source_id, read_only=read_only)
