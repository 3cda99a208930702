"""The systemd user unit: written, enabled, removed and looked at.

The unit itself is ``task_queue/task-queue.service``, which looks for the program in the usual places; here
its commands are replaced by the absolute paths of this installation, and its processes get the few variables
that say where the queue's files are.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.config.locations import config_home
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import durable

UNIT = "task-queue.service"
KEPT_VARIABLES = ("PATH", "TASK_QUEUE_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
"""What the service needs of the environment it is installed from, to find the same files and programs."""

_AFTER_TIMEOUT = """/bin/sh -c 'test "$SERVICE_RESULT" != timeout || exec "$0" "$@"'"""
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "MainPID",
    "NRestarts",
    "Result",
    "StatusText",
    "ActiveEnterTimestamp",
)
_LINGER = Path("/var/lib/systemd/linger")
_ANSWER_S = 90.0  # a stop waits for the runners
_NO_BUS = ("Failed to connect to bus", "Failed to connect to user scope bus")


class ServiceError(TaskQueueError):
    """The service manager is missing, out of reach, or refused."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What systemd knows of the unit, in its own words."""

    installed: bool
    enabled: bool
    active: str
    """``active``, ``inactive``, ``failed``, ``activating`` ..."""
    sub: str
    result: str
    """Why it ended last time; ``success`` if nothing went wrong."""
    pid: int | None
    restarts: int
    since: str | None
    unit: str | None
    says: str | None
    """The daemon's own last word about itself."""


@dataclass(frozen=True, slots=True)
class InstalledService:
    unit: Path
    user: str
    lingers: bool
    """It goes on when *user* logs out."""


def install_here(installation: Installation) -> InstalledService:
    """Install this very program as the user's service for *installation*, and start it. Raises ServiceError."""
    ours = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment = {**ours, "TASK_QUEUE_CONFIG": str(installation.locations.config)}
    unit = install(user_units(), _this_program(), environment=environment)
    user = pwd.getpwuid(os.getuid()).pw_name
    return InstalledService(unit, user, lingers=(_LINGER / user).exists())


def user_units() -> Path:
    """Where systemd looks for the user's units."""
    return config_home() / "systemd" / "user"


def _this_program() -> list[str]:
    """What runs this very installation, whatever the shell of the day finds first."""
    script = Path(sys.executable).with_name("task-queue")
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "task_queue.cli"]


def install(unit_dir: Path, command: Sequence[str], *, environment: Mapping[str, str]) -> Path:
    """Write the unit for *command*, enable and (re)start it; return its path. Safe to repeat.

    *command* is what runs ``task-queue``, its first word an absolute path. Raises ServiceError.
    """
    _require_manager()
    unit = unit_dir / UNIT
    text = render(command, environment=environment)
    _require_ours(unit)
    durable.make_directory(unit_dir)
    durable.replace(unit, text.encode())
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT)
    _systemctl("restart", UNIT)
    return unit


def uninstall(unit_dir: Path) -> bool:
    """Stop and disable the service and remove its unit; False if there was none. Tasks and settings stay."""
    _require_manager()
    unit = unit_dir / UNIT
    if not unit.exists():
        return False
    _require_ours(unit)
    _systemctl("disable", "--now", UNIT)
    if status().active == "failed":
        _systemctl("reset-failed", UNIT)  # else systemd shows a unit that is no more
    durable.remove(unit)
    _systemctl("daemon-reload")
    return True


def status() -> ServiceStatus:
    """Raises ServiceError where no service manager answers."""
    answer = _systemctl("show", UNIT, "--property=" + ",".join(_PROPERTIES))
    known = {name: value for name, _, value in (line.partition("=") for line in answer.splitlines())}
    return ServiceStatus(
        installed=known.get("LoadState") == "loaded",
        enabled=known.get("UnitFileState") in {"enabled", "enabled-runtime"},
        active=known.get("ActiveState", "unknown"),
        sub=known.get("SubState", "unknown"),
        result=known.get("Result", "unknown"),
        pid=_number(known.get("MainPID")) or None,
        restarts=_number(known.get("NRestarts")),
        since=known.get("ActiveEnterTimestamp") or None,
        unit=known.get("FragmentPath") or None,
        says=known.get("StatusText") or None,
    )


def render(command: Sequence[str], *, environment: Mapping[str, str]) -> str:
    """The unit's text for *command*, with *environment* for the service."""
    template = resources.files("task_queue").joinpath(UNIT).read_text(encoding="utf-8")
    lines: list[str] = []
    words = [_argument(word) for word in command]
    for line in template.splitlines():
        if line.startswith("ExecStart="):
            lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items()]
            # Of the program itself systemd expands specifiers, but no variables.
            lines.append(" ".join([f"ExecStart={_quoted(command[0])}", *words[1:], "daemon"]))
        elif line.startswith("ExecStopPost="):
            lines.append(" ".join([f"ExecStopPost={_AFTER_TIMEOUT}", *words, "daemon --sweep"]))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _argument(word: str) -> str:
    return _quoted(word.replace("$", "$$"))


def _quoted(word: str) -> str:
    """*word* as one word of a unit file (systemd.syntax(7), systemd.unit(5) on specifiers)."""
    if not word.isprintable():
        raise ServiceError(
            f"a unit file cannot hold {word!r}", hint="install below a path without control characters"
        )
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _require_manager() -> None:
    """Before anything is changed."""
    _systemctl("show", "--property=Version")


def _require_ours(unit: Path) -> None:
    """A unit of that name that the queue did not write is not overwritten or removed."""
    mark = resources.files("task_queue").joinpath(UNIT).read_text(encoding="utf-8").splitlines()[0]
    try:
        found = unit.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    if not found.startswith(mark):
        raise ServiceError(f"{unit} was not written by task-queue", hint="move it away, then try again")


def _systemctl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--user", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except FileNotFoundError:
        raise ServiceError(
            "systemctl was not found: this machine does not run systemd",
            hint="start the daemon with what this machine has for services: task-queue daemon",
        ) from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"systemctl {arguments[0]} did not answer within {_ANSWER_S:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        if said.startswith(_NO_BUS):
            raise ServiceError(
                "your user's service manager cannot be reached",
                hint="log in as that user itself, not through su or sudo; on a server first:"
                " sudo loginctl enable-linger USER",
            )
        raise ServiceError(
            f"systemctl --user {' '.join(arguments)}: {said}",
            hint=f"see what it says: journalctl --user -u {UNIT} -n 30",
        )
    return done.stdout


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
