"""``notify``: try whether messages arrive."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.app.notifying import send_test
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.render import item
from task_queue.cli.session import as_json_option, pass_installation


@click.group()
def notify() -> None:
    """Messages to the targets of the configuration's ``notifications``."""


@notify.command()
@click.argument("name", required=False)
@as_json_option
@pass_installation
def test(installation: Installation, *, name: str | None, as_json: bool) -> int:
    """Send a test message to the target NAME (default: to all), and say what came of it. Exit code 1 if one failed."""
    found = send_test(installation, name)
    if as_json:
        render.say_json(found)
    else:
        for each in found.targets:
            word = "delivered" if each.delivered else "failed"
            render.show(item(each.target, f"{word}: {each.said}"))
    return 0 if all(each.delivered for each in found.targets) else FAILED
