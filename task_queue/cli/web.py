"""``web``: open the page in a browser, signed in."""

from __future__ import annotations

import os
import webbrowser

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import as_json_option, pass_installation


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Only print the link; open nothing.")
@as_json_option
@pass_installation
def web(installation: Installation, *, only_print: bool, as_json: bool) -> None:
    """Open the page in a browser, with a link that signs you in once, within 5 minutes."""
    from task_queue.app.page_address import page_link

    link = page_link(installation)
    if as_json:
        render.say_json(link)
        return
    render.say(link.link)
    if not only_print and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(link.link)
