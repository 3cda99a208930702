"""``report``: the morning in one screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from task_queue.app.installation import Installation
from task_queue.app.report import ReportView
from task_queue.app.report import report as report_of
from task_queue.app.report_page import Fact, as_html, as_markdown, headline, period, sections_of
from task_queue.cli import render, screen
from task_queue.cli.render import Renderable, faint, item, line, stacked, strong
from task_queue.cli.screen import Listing
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation, past_moment_in
from task_queue.domain.past_time import FORM

_FORMATS = ("text", "markdown", "json", "html")


@click.command()
@click.option(
    "--since", metavar="WHEN", default="24h", show_default=True, help=f"{FORM[0].upper()}{FORM[1:]}."
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@server_options
@as_json_option
@pass_installation
def report(
    installation: Installation, *, since: str, form: str, server: QueueServer | None, as_json: bool
) -> None:
    """What needs you, what was done, what failed and why, what runs, what was spent and what limits did."""
    moment = past_moment_in(installation, since)
    assert moment is not None
    if server is not None:
        from task_queue.client import view_operations

        view = server.ask(view_operations.morning_report(since=moment))
    else:
        view = report_of(installation, since=moment)
    if as_json or form == "json":
        render.say_json(view)
    elif form == "text":
        screen.show(_screen(view), whole=False, command=f"task-queue report --since {shlex.quote(since)}")
    else:
        render.say_block((as_markdown if form == "markdown" else as_html)(view).rstrip("\n"))


def _screen(view: ReportView) -> Iterator[Listing]:
    yield Listing([line(strong(headline(view))), line(faint(period(view)))], 0)
    for rank, section in enumerate(sections_of(view), 1):
        head = [line(), line(strong(section.title))]
        yield Listing(list(map(_row, section.rows)), rank, head=head, indent=2)


def _row(row: Fact) -> Renderable:
    lines = [item(row.name or "", row.said, indent=2)]
    if row.command:
        lines.append(item("", line(row.command), indent=4))
    return stacked(lines)
