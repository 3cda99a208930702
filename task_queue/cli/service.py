"""``service``: the systemd user unit."""

from __future__ import annotations

from dataclasses import asdict

import click

from task_queue.app import service as unit
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.groups import CommandGroup
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1


@click.group(cls=CommandGroup)
def service() -> None:
    """Install, remove and inspect the systemd user unit."""


@service.command()
@pass_installation
def install(installation: Installation) -> None:
    """Write the unit, enable it and start it. Safe to repeat: after an upgrade, or to move it elsewhere."""
    installed = unit.install_here(installation)
    render.say(f"installed and started: {installed.unit}")
    if not installed.lingers:
        render.note(f"it ends when you log out; to keep it running: loginctl enable-linger {installed.user}")


@service.command()
def uninstall() -> None:
    """Stop the service and remove its unit. Tasks, results and settings stay where they are."""
    removed = unit.uninstall(unit.user_units())
    render.say("stopped and removed" if removed else "nothing to remove: the unit is not installed")


@service.command()
@as_json_option
def status(*, as_json: bool) -> int:
    """What systemd says of the unit; exit code 3 unless it is active."""
    found = unit.status()
    if as_json:
        render.say_json({**asdict(found), "schema_version": _SCHEMA_VERSION})
    elif not found.installed:
        render.say("not installed")
        render.note("install it with: task-queue service install")
    else:
        about = [f"pid {found.pid}"] if found.pid else []
        about += [f"since {found.since}"] if found.since else []
        about += [f"restarted {found.restarts} times"] if found.restarts else []
        about += [f"ended with: {found.result}"] if found.result != "success" else []
        about += [] if found.enabled else ["not enabled"]
        render.say(", ".join([f"{found.active} ({found.sub})", *about]))
        if found.says:
            render.say(found.says)
        render.say(f"unit: {found.unit}")
    return 0 if found.active == "active" else NEEDS_ATTENTION
