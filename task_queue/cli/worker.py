"""``worker``: carries out tasks of a server on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import pass_installation
from task_queue.domain.lease import LONGEST_S, SHORTEST_S, USUAL_S


@click.command()
@click.option("--server", required=True, metavar="URL", help="https://HOST, or unix:/PATH of its socket.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with a token of the role `work`; read with each request.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificates of the server's authority.",
)
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True, help="Tasks at once.")
@click.option("--capabilities", metavar="TAGS", default="", help="What this machine has; commas between.")
@click.option(
    "--repositories",
    multiple=True,
    metavar="NAME",
    help="HOST/OWNER/NAME that may be fetched, or *; may be repeated. Without it, none.",
)
@click.option(
    "--source", "sources", multiple=True, metavar="ID", help="Only of this source; may be repeated."
)
@click.option(
    "--lease",
    "lease_s",
    type=click.IntRange(int(SHORTEST_S), int(LONGEST_S)),
    default=int(USUAL_S),
    show_default=True,
    metavar="SECONDS",
    help="After so long without a sign of life, another worker may get the task.",
)
@click.option("--drain", is_flag=True, help="End once no task is left.")
@click.option("--once", is_flag=True, help="End after one task.")
@pass_installation
def worker(
    installation: Installation,
    *,
    server: str,
    token_file: Path | None,
    ca_file: Path | None,
    slots: int,
    capabilities: str,
    repositories: tuple[str, ...],
    sources: tuple[str, ...],
    lease_s: int,
    drain: bool,
    once: bool,
) -> None:
    """Claim tasks of a server until stopped, and carry them out here with the ordinary daemon.

    Sections agent, audit, executors, checks, git and limits of this machine's configuration hold, if it has one.
    """
    from task_queue.worker.service import work
    from task_queue.worker.settings import WorkerSettings

    settings = WorkerSettings(
        server,
        token_file,
        ca_file,
        1 if once else slots,
        tuple(tag.strip() for tag in capabilities.split(",") if tag.strip()),
        repositories,
        sources or None,
        lease_s,
        drain=drain,
        once=once,
    )
    work(settings, installation, render.note)
