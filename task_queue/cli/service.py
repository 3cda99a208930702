"""``service``: the systemd user unit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from task_queue.app import service as unit
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.config.locations import config_home

_SCHEMA_VERSION = 1
_LINGER = Path("/var/lib/systemd/linger")


@click.group()
def service() -> None:
    """Install, remove and look at the systemd user unit."""


@service.command()
@pass_installation
def install(installation: Installation) -> None:
    """Write the unit, enable it and start it. Safe to repeat: after an upgrade, or to move it elsewhere."""
    environment = _environment(os.environ, installation.locations.config)
    path = unit.install(_unit_dir(), _command(), environment=environment)
    render.say(f"installed and started: {path}")
    if not (_LINGER / _user()).exists():
        render.note(f"it ends when you log out; to keep it running: loginctl enable-linger {_user()}")


@service.command()
def uninstall() -> None:
    """Stop the service and remove its unit. Tasks, results and settings stay where they are."""
    removed = unit.uninstall(_unit_dir())
    render.say("stopped and removed" if removed else "nothing to remove: the unit is not installed")


@service.command()
@as_json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
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
    context.exit(0 if found.active == "active" else NEEDS_ATTENTION)


def _command() -> list[str]:
    """What runs this very installation, whatever the shell of the day finds first."""
    script = Path(sys.executable).with_name("task-queue")
    return [str(script)] if script.exists() else [sys.executable, "-m", "task_queue.cli"]


def _environment(ours: Mapping[str, str], config: Path) -> dict[str, str]:
    kept = {name: ours[name] for name in unit.KEPT_VARIABLES if name in ours}
    return {**kept, "TASK_QUEUE_CONFIG": str(config)}


def _unit_dir() -> Path:
    return config_home() / "systemd" / "user"


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
