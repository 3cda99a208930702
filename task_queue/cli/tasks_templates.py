"""``tasks templates``: what ``tasks add --template`` can begin with."""

from __future__ import annotations

import click

from task_queue.app import templates as texts
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1


@click.command()
@click.argument("name", required=False)
@as_json_option
@pass_installation
def templates(installation: Installation, *, name: str | None, as_json: bool) -> None:
    """List the templates for tasks add --template, or print the template NAME."""
    if name is not None:
        text = texts.template(installation, name)
        if as_json:
            render.say_json({"name": name, "text": text, "schema_version": _SCHEMA_VERSION})
        else:
            render.say_block(text.rstrip("\n"))
        return
    found = texts.templates(installation)
    if as_json:
        render.say_json({"templates": found, "schema_version": _SCHEMA_VERSION})
        return
    render.show(render.table([(each.name, each.origin, each.description) for each in found], lead=2))
    folder = texts.user_templates(installation)
    if folder is not None:
        render.note(f"your own: {folder}/NAME.md, where {{text}} stands for what you type")
