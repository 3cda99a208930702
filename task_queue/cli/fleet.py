"""``fleet``: several machines on one database."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.groups import CommandGroup
from task_queue.cli.session import as_json_option, pass_installation


@click.group(cls=CommandGroup)
def fleet() -> None:
    """Several machines on one PostgreSQL. Needs the extra: pip install 'task-queue[fleet]'."""


@fleet.command()
@click.option(
    "--db", "url", metavar="URL", required=True, help="Such as postgresql://USER@HOST:5432/DATABASE."
)
@click.option(
    "--schema", default="task_queue", show_default=True, help="Where its tables are; for one fleet."
)
@click.option(
    "--name", help="Refuse the schema of a fleet with another name; a new one gets this (else the schema's)."
)
@as_json_option
@pass_installation
def init(installation: Installation, /, *, url: str, schema: str, name: str | None, as_json: bool) -> None:
    """Create the tables of a fleet, or upgrade those of an earlier release. Safe to repeat.

    Keep the password out of the URL: libpq reads it from ~/.pgpass.
    """
    from task_queue.app.fleet import init_fleet

    done = init_fleet(installation, url, schema=schema, name=name)
    if as_json:
        render.say_json(done)
        return
    if done.before == done.version:
        what = f"is there, and its tables are up to date (version {done.version})"
    elif done.before:
        what = f"upgraded from version {done.before} of its tables to {done.version}"
    else:
        what = f"created (version {done.version} of its tables)"
    render.say(f"fleet '{done.name}' at {done.where}: {what}")
